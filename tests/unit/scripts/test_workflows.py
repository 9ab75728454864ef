"""Rules across workflows: which jobs may be skipped, which get secrets, and what they pass on."""

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest
from ruamel.yaml import YAML

from scripts import ROOT
from scripts.artifacts import PROVENANCE
from scripts.environments.record import ENVIRONMENTS

Workflows: TypeAlias = dict[str, dict[str, Any]]
# With a status function, a job is not skipped because another one was; success() is the default.
STATUS = re.compile(r"\b(always|cancelled|failure)\(\)")
CALLED = "./.github/workflows/"


def load(text: str) -> dict[str, Any]:
    return dict(YAML(typ="safe").load(text))


@pytest.fixture(scope="module")
def workflows() -> Workflows:
    return {path.name: load(path.read_text()) for path in sorted(ROOT.glob(".github/workflows/*.yml"))}


def needed(job: dict[str, Any]) -> list[str]:
    needs = job.get("needs", [])
    return [needs] if isinstance(needs, str) else list(needs)


def may_be_skipped(workflows: Workflows, file: str, name: str) -> bool:
    """Return whether a job may be skipped, or counts as skipped because of one in a called workflow.

    https://docs.github.com/en/actions/how-tos/write-workflows/choose-when-workflows-run/control-jobs-with-conditions
    and https://github.com/orgs/community/discussions/189172.
    """
    job = workflows[file]["jobs"][name]
    called = str(job.get("uses", "")).removeprefix(CALLED)
    return (
        "if" in job
        or any(may_be_skipped(workflows, called, inner) for inner in workflows.get(called, {"jobs": {}})["jobs"])
        or any(may_be_skipped(workflows, file, need) for need in needed(job))
    )


def skipped_by_others(workflows: Workflows) -> list[str]:
    """Return each job that GitHub skips together with another, and each that ignores whether the other was skipped."""
    found = []
    for file, workflow in workflows.items():
        for name, job in workflow["jobs"].items():
            asked, before = str(job.get("if", "")), [one for one in needed(job) if may_be_skipped(workflows, file, one)]
            if before and not STATUS.search(asked):
                found.append(f"{file}: {name} is skipped when {' or '.join(before)} is, or a job in it")
            elif before and not re.search(r"\bneeds\.[\w-]+\.outputs\.", asked):
                found.append(f"{file}: {name} runs whatever became of {' and '.join(before)}")
    return found


def test_no_job_here_is_skipped_because_another_was(workflows: Workflows) -> None:
    assert skipped_by_others(workflows) == []


CALLER = """
jobs:
  image: {uses: ./.github/workflows/called.yml}
  other: {}
  record: {needs: [other, image]CONDITION}
"""
CALLED_ONE = """
jobs:
  build: {}
  release: {needs: buildCONDITION}
"""


def two(caller: str, called: str) -> Workflows:
    return {
        "caller.yml": load(CALLER.replace("CONDITION", caller and f", if: '{caller}'")),
        "called.yml": load(CALLED_ONE.replace("CONDITION", called and f", if: '{called}'")),
    }


ASKS = "!cancelled() && !failure() && needs.image.outputs.digest"


@pytest.mark.parametrize(
    ("caller", "called", "fault"),
    [
        ("", "", None),
        ("", "inputs.release", "caller.yml: record is skipped when image is, or a job in it"),
        ("success()", "inputs.release", "caller.yml: record is skipped when image is, or a job in it"),
        ("needs.image.outputs.digest", "inputs.release", "caller.yml: record is skipped when image is, or a job in it"),
        ("always()", "inputs.release", "caller.yml: record runs whatever became of image"),
        ("!cancelled() && !failure()", "inputs.release", "caller.yml: record runs whatever became of image"),
        (ASKS, "inputs.release", None),
    ],
)
def test_a_job_after_a_skippable_one_must_check_its_outputs(caller: str, called: str, fault: str | None) -> None:
    assert skipped_by_others(two(caller, called)) == [fault] * bool(fault)


def test_skipping_propagates_through_later_jobs() -> None:
    chain = load("jobs: {a: {if: inputs.a}, b: {needs: a}, c: {needs: [b]}, d: {}}")

    assert skipped_by_others({"chain.yml": chain}) == [
        "chain.yml: b is skipped when a is, or a job in it",
        "chain.yml: c is skipped when b is, or a job in it",
    ]


def test_nested_calls_are_followed(workflows: Workflows) -> None:
    assert may_be_skipped(workflows, "main.yml", "image")
    assert may_be_skipped(workflows, "pull-request.yml", "test")
    assert not may_be_skipped(workflows, "pull-request.yml", "dependencies")


def jobs(workflows: Workflows) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield each job with its name and its text."""
    for file, workflow in workflows.items():
        for name, job in workflow["jobs"].items():
            yield f"{file}: {name}", job, str(job)


def test_secrets_are_used_only_in_their_environment_and_user_names_are_variables(workflows: Workflows) -> None:
    """The runner drops an output that contains a secret, and image names contain the user name."""
    holders = {"DOCKERHUB_TOKEN": "registries", "DEPLOY_KEY": "dev"}
    for name, job, text in jobs(workflows):
        used = set(re.findall(r"\bsecrets\.([\w-]+)", text)) - {"GITHUB_TOKEN"}
        assert used <= set(holders), name
        assert all(job["environment"]["name"] == holders[secret] for secret in used), name


def test_the_jobs_that_may_sign_or_write_are_listed(workflows: Workflows) -> None:
    def may(right: str) -> set[str]:
        return {name for name, job, _ in jobs(workflows) if "steps" in job and job["permissions"].get(right) == "write"}

    assert may("id-token") == {"publish.yml: publish", "image.yml: provenance", "scorecard.yml: scorecard"}
    assert may("contents") == {"main.yml: dev", "promote.yml: request", "release.yml: page"}


def test_only_pinned_actions_make_provenance(workflows: Workflows) -> None:
    steps = workflows["image.yml"]["jobs"]["provenance"]["steps"]

    assert all(re.fullmatch(r"(step-security|docker|actions)/[\w-]+@[0-9a-f]{40}", step["uses"]) for step in steps)
    assert not any(step["uses"].startswith("actions/checkout@") for step in steps)


@pytest.mark.parametrize("file", ["pull-request.yml", "test.yml"])
def test_a_pull_request_needs_no_variable_and_no_secret(workflows: Workflows, file: str) -> None:
    """Pull requests from forks and by Dependabot have none."""
    assert not re.search(r"\b(vars|secrets)\.", str(workflows[file]))


@pytest.mark.parametrize("file", ["test.yml", "publish.yml", "image.yml"])
def test_two_models_in_one_run_share_no_artifact(workflows: Workflows, file: str) -> None:
    steps = [step for job in workflows[file]["jobs"].values() for step in job.get("steps", [])]
    for step in steps:
        if re.match(r"actions/(up|down)load-artifact@", step.get("uses", "")):
            name = step["with"].get("name") or step["with"]["pattern"]
            assert name.endswith("@${{ inputs.name }}"), name  # no model's name has that sign


def test_manual_runs_publish_for_main_only(workflows: Workflows) -> None:
    assert "workflow_dispatch" in workflows["main.yml"]["on"]
    assert workflows["main.yml"]["jobs"]["image"]["if"] == "github.ref == 'refs/heads/main'"


def test_the_published_digest_is_compared_with_the_built_one(workflows: Workflows) -> None:
    image, publish = workflows["image.yml"]["jobs"], workflows["publish.yml"]["jobs"]["publish"]

    assert image["publish"]["with"]["digest"] == "${{ needs.test.outputs.digest }}"
    [step] = [step for step in publish["steps"] if "./ship publish" in step.get("run", "")]
    assert '--digest "$DIGEST"' in step["run"]
    assert step["env"]["DIGEST"] == "${{ inputs.digest }}"


def test_two_copies_of_one_owner_have_different_packages(workflows: Workflows) -> None:
    named = {file: re.findall(r"ghcr\.io/[^)]*\)", str(workflow)) for file, workflow in workflows.items()}

    for file in ("main.yml", "promote.yml", "release.yml", "reproduce.yml"):
        assert named[file] == ["ghcr.io/{0}', github.repository)"], file


def test_a_release_page_marks_the_latest_and_attaches_provenance(workflows: Workflows) -> None:
    jobs = workflows["release.yml"]["jobs"]
    step = jobs["page"]["steps"][-1]

    assert '--latest="$LATEST" --draft=false' in step["run"]
    assert step["env"]["LATEST"] == "${{ needs.tags.outputs.latest }}"
    assert jobs["tags"]["outputs"]["latest"] == "${{ steps.release.outputs.latest }}"
    assert f"release/{PROVENANCE.name}" in step["run"]


def test_every_environment_can_be_promoted_by_hand(workflows: Workflows) -> None:
    options = workflows["promote.yml"]["on"]["workflow_dispatch"]["inputs"]["environment"]["options"]

    assert tuple(options) == ENVIRONMENTS

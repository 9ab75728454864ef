"""What holds for the workflows together: which jobs may be skipped, who gets a secret, what is handed on."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from ruamel.yaml import YAML

from scripts import ROOT
from scripts.artifacts import PROVENANCE
from scripts.environments.record import ENVIRONMENTS

Workflows: TypeAlias = dict[str, dict[str, Any]]
# A status function keeps a job from being skipped because another was; success() is what holds without one.
STATUS = re.compile(r"\b(always|cancelled|failure)\(\)")
CALLED = "./.github/workflows/"


def load(text: str) -> dict[str, Any]:
    return dict(YAML(typ="safe").load(text))


RECIPE = ROOT / "docs/workflows.md"


@pytest.fixture(scope="module")
def workflows() -> Workflows:
    return {path.name: load(path.read_text()) for path in sorted(ROOT.glob(".github/workflows/*.yml"))}


def needed(job: dict[str, Any]) -> list[str]:
    needs = job.get("needs", [])
    return [needs] if isinstance(needs, str) else list(needs)


def may_be_skipped(workflows: Workflows, file: str, name: str) -> bool:
    """Return whether a job may be skipped, or counts as skipped because of one in the workflow that it calls.

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
    """Return each job that GitHub skips when another one was, and each that then runs without asking what is there."""
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
def test_a_job_behind_one_that_may_be_skipped_in_a_called_workflow_has_to_ask(
    caller: str, called: str, fault: str | None
) -> None:
    assert skipped_by_others(two(caller, called)) == [fault] * bool(fault)


def test_being_skipped_goes_on_through_every_job_behind_it() -> None:
    chain = load("jobs: {a: {if: inputs.a}, b: {needs: a}, c: {needs: [b]}, d: {}}")

    assert skipped_by_others({"chain.yml": chain}) == [
        "chain.yml: b is skipped when a is, or a job in it",
        "chain.yml: c is skipped when b is, or a job in it",
    ]


def test_a_call_within_a_call_is_walked_too(workflows: Workflows) -> None:
    assert may_be_skipped(workflows, "main.yml", "image")
    assert may_be_skipped(workflows, "pull-request.yml", "test")
    assert not may_be_skipped(workflows, "pull-request.yml", "dependencies")


def jobs(workflows: Workflows) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Give each job, with its name and its text."""
    for file, workflow in workflows.items():
        for name, job in workflow["jobs"].items():
            yield f"{file}: {name}", job, str(job)


def test_a_secret_is_had_in_the_environment_that_holds_it_and_a_name_is_none(workflows: Workflows) -> None:
    """The runner drops an output with a secret in it, and each image has the user's name in its own."""
    holders = {"DOCKERHUB_TOKEN": "registries", "DEPLOY_KEY": "dev"}
    for name, job, text in jobs(workflows):
        used = set(re.findall(r"\bsecrets\.([\w-]+)", text)) - {"GITHUB_TOKEN"}
        assert used <= set(holders), name
        assert all(job["environment"]["name"] == holders[secret] for secret in used), name


def test_what_may_sign_or_write_here_is_named(workflows: Workflows) -> None:
    def may(right: str) -> set[str]:
        return {name for name, job, _ in jobs(workflows) if "steps" in job and job["permissions"].get(right) == "write"}

    assert may("id-token") == {"publish.yml: publish", "image.yml: provenance", "scorecard.yml: scorecard"}
    assert may("contents") == {"main.yml: dev", "promote.yml: request", "release.yml: page"}


def test_the_provenance_is_made_by_pinned_actions_alone(workflows: Workflows) -> None:
    steps = workflows["image.yml"]["jobs"]["provenance"]["steps"]

    assert all(re.fullmatch(r"(step-security|docker|actions)/[\w-]+@[0-9a-f]{40}", step["uses"]) for step in steps)
    assert not any(step["uses"].startswith("actions/checkout@") for step in steps)


@pytest.mark.parametrize("file", ["pull-request.yml", "test.yml"])
def test_a_pull_request_needs_no_variable_and_no_secret(workflows: Workflows, file: str) -> None:
    """In one from a fork, or by Dependabot, there are none."""
    assert not re.search(r"\b(vars|secrets)\.", str(workflows[file]))


@pytest.mark.parametrize("file", ["test.yml", "publish.yml", "image.yml"])
def test_two_models_in_one_run_share_no_artifact(workflows: Workflows, file: str) -> None:
    steps = [step for job in workflows[file]["jobs"].values() for step in job.get("steps", [])]
    for step in steps:
        if re.match(r"actions/(up|down)load-artifact@", step.get("uses", "")):
            name = step["with"].get("name") or step["with"]["pattern"]
            assert name.endswith("@${{ inputs.name }}"), name  # no model's name has that sign


def test_what_can_be_started_by_hand_for_any_branch_publishes_for_main_alone(workflows: Workflows) -> None:
    assert "workflow_dispatch" in workflows["main.yml"]["on"]
    assert workflows["main.yml"]["jobs"]["image"]["if"] == "github.ref == 'refs/heads/main'"


def test_what_is_published_is_compared_with_what_was_built(workflows: Workflows) -> None:
    image, publish = workflows["image.yml"]["jobs"], workflows["publish.yml"]["jobs"]["publish"]

    assert image["publish"]["with"]["digest"] == "${{ needs.test.outputs.digest }}"
    [step] = [step for step in publish["steps"] if "./ship publish" in step.get("run", "")]
    assert '--digest "$DIGEST"' in step["run"]
    assert step["env"]["DIGEST"] == "${{ inputs.digest }}"


def test_two_copies_under_one_owner_do_not_share_a_package(workflows: Workflows) -> None:
    named = {file: re.findall(r"ghcr\.io/[^)]*\)", str(workflow)) for file, workflow in workflows.items()}

    for file in ("main.yml", "promote.yml", "release.yml", "reproduce.yml"):
        assert named[file] == ["ghcr.io/{0}', github.repository)"], file


def test_a_release_page_says_whether_it_is_the_latest_and_carries_the_provenance(workflows: Workflows) -> None:
    jobs = workflows["release.yml"]["jobs"]
    step = jobs["page"]["steps"][-1]

    assert '--latest="$LATEST" --draft=false' in step["run"]
    assert step["env"]["LATEST"] == "${{ needs.tags.outputs.latest }}"
    assert jobs["tags"]["outputs"]["latest"] == "${{ steps.release.outputs.latest }}"
    assert f"release/{PROVENANCE.name}" in step["run"]


def test_what_can_be_promoted_by_hand_is_every_environment(workflows: Workflows) -> None:
    options = workflows["promote.yml"]["on"]["workflow_dispatch"]["inputs"]["environment"]["options"]

    assert tuple(options) == ENVIRONMENTS


def test_the_recipe_for_act_leaves_out_actions_that_are_used() -> None:
    used = "".join(path.read_text() for path in ROOT.glob(".github/**/*.yml"))
    left_out = re.findall(r"\$\(pin ([\w./-]+)\)", RECIPE.read_text())

    assert left_out
    assert [action for action in left_out if not re.search(rf"uses: {action}@[0-9a-f]{{40}} ", used)] == []


def test_the_recipe_for_act_takes_out_what_act_does_not_know(workflows: Workflows, tmp_path: Path) -> None:
    """A sed that finds nothing says nothing."""
    found = re.search(r"^sed -i '(.+)' \.github/workflows/\*\.yml$", RECIPE.read_text(), re.MULTILINE)
    assert found
    for name in workflows:
        shutil.copy(ROOT / ".github/workflows" / name, tmp_path)
    subprocess.run(["sed", "-i", found[1], *map(str, tmp_path.iterdir())], check=True)
    left = {path.name: load(path.read_text()) for path in tmp_path.iterdir()}

    for text in ("queue", "deployment", ",linux/arm64"):
        assert text in str(workflows), f"{text} is gone, and the recipe need not take it out"
    for text in ("queue", "deployment", ",linux/arm64"):
        assert text not in str(left)

"""Rules across workflows: which jobs may be skipped, which get secrets, and what they pass on."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from ruamel.yaml import YAML

from scripts import ROOT, artifacts, variables
from scripts.environments.record import ENVIRONMENTS
from scripts.errors import Failure

Workflows: TypeAlias = dict[str, dict[str, Any]]
# With a status function, a job is not skipped because another one was; success() is the default.
STATUS = re.compile(r"\b(always|cancelled|failure)\(\)")
CALLED = "./.github/workflows/"


def load(text: str) -> dict[str, Any]:
    return dict(YAML(typ="safe").load(text))


RECIPE = ROOT / "CONTRIBUTING.md"


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
            assert name.endswith("@${{ inputs.shipment }}"), name  # the file that says what it is


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

    assert '--latest="$LATEST"' in step["run"]
    assert step["env"]["LATEST"] == "${{ needs.tags.outputs.latest }}"
    assert jobs["tags"]["outputs"]["latest"] == "${{ steps.release.outputs.latest }}"
    files = (artifacts.RELEASED_SBOM, artifacts.PROVENANCE, artifacts.NOTES)
    assert all(f"release/{file.name}" in step["run"] for file in files)


def test_every_environment_can_be_promoted_by_hand(workflows: Workflows) -> None:
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


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Every workflow and action as it is written."""
    files = [*ROOT.glob(".github/workflows/*.yml"), *ROOT.glob(".github/actions/*/action.yml")]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in files}


def environments(node: Any) -> Iterator[dict[str, Any]]:
    """Give each `env` in a workflow: its own, those of jobs and those of steps."""
    if isinstance(node, dict):
        if "env" in node:
            yield node["env"]
        for inner in node.values():
            yield from environments(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from environments(inner)


def refused(names: set[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what `./ship` has against variables of these names, nothing when it takes them."""
    for name in [name for name in os.environ if name.startswith(variables.PREFIX)]:
        monkeypatch.delenv(name)
    for name in names:
        monkeypatch.setenv(name, "x")
    try:
        variables.check()
    except Failure as failure:
        return failure.reason
    return ""


def test_ship_reads_each_variable_that_a_workflow_sets_for_it(
    workflows: Workflows, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file, workflow in workflows.items():
        names = {name for found in environments(workflow) for name in found}
        assert refused(names, monkeypatch) == "", file
    assert refused({"SHIP_REGISTRY"}, monkeypatch) == "SHIP_REGISTRY is set, but nothing reads it"


def test_each_output_of_a_step_is_written_by_a_stage(texts: dict[str, str]) -> None:
    """An output that nothing writes is empty on GitHub, and a condition on it is false without a word."""
    stages = "".join(path.read_text() for path in ROOT.glob("scripts/stages/*.py"))
    written = set(re.findall(r'actions\.output\("(\w+)"', stages))
    read = {name for text in texts.values() for name in re.findall(r"\bsteps\.\w+\.outputs\.(\w+)", text)}

    assert read == written


def test_each_file_handed_from_job_to_job_is_one_that_a_stage_writes(workflows: Workflows) -> None:
    known = {part for value in vars(artifacts).values() if isinstance(value, str | Path) for part in Path(value).parts}
    uploads = [
        step["with"]["path"]
        for _, job, _ in jobs(workflows)
        for step in job.get("steps", [])
        if step.get("uses", "").startswith("actions/upload-artifact@")
    ]

    assert len(uploads) == 4
    for path in " ".join(uploads).split():
        assert Path(path).name in known, path


def test_the_image_is_tested_on_each_platform_that_was_built(workflows: Workflows) -> None:
    tested = workflows["test.yml"]["jobs"]

    assert tested["build"]["outputs"]["platforms"] == "${{ steps.build.outputs.platforms }}"
    assert tested["integration"]["strategy"]["matrix"] == {"platform": "${{ fromJSON(needs.build.outputs.platforms) }}"}


def test_the_file_alone_says_what_another_repository_ships(workflows: Workflows) -> None:
    """So that `./ship` at home and a workflow ship the same."""
    said = {"SHIP_SOURCE": "${{ inputs.shipment && 'source' || '' }}", "SHIP_FILE": "${{ inputs.shipment }}"}
    for file in ("test.yml", "image.yml", "publish.yml"):
        assert set(workflows[file]["env"].items()) >= set(said.items()), file
    assert set(workflows["image.yml"]["on"]["workflow_call"]["inputs"]) == {
        "publish", "version-tags", "shipment", "registries"
    }  # fmt: skip


def test_a_development_container_starts_from_the_pinned_base() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_bytes())
    pinned = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert pinned
    assert container["image"] == pinned[1]


def asked_of_gh(step: dict[str, Any], answer: str, folder: Path) -> list[str]:
    """Run a step with a `gh` that answers as the shell commands `answer` do; return the words of each call to it."""
    (folder / "gh").write_text(f'#!/bin/sh\necho "$@" >>{folder}/asked\n{answer}\n')
    (folder / "gh").chmod(0o755)
    environment = {name: name.lower() for name in (*step.get("env", {}), "GITHUB_REF_NAME", "GH_REPO")}
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        ["bash", "-e", "-c", step["run"]], env={**environment, "PATH": path}, check=True, capture_output=True
    )
    return (folder / "asked").read_text().splitlines()


def test_a_release_page_is_made_once(workflows: Workflows, tmp_path: Path) -> None:
    """The API knows a published release by its tag, and no draft."""
    step = workflows["release.yml"]["jobs"]["page"]["steps"][-1]

    published = asked_of_gh(step, "exit 0", tmp_path)
    assert published == ["api --silent repos/gh_repo/releases/tags/github_ref_name"]
    assert asked_of_gh(step, '[ "$1" != api ]', tmp_path)[2].startswith("release create github_ref_name ")


def test_an_issue_is_opened_unless_it_is_open(workflows: Workflows, tmp_path: Path) -> None:
    step = workflows["reproduce.yml"]["jobs"]["report"]["steps"][-1]

    assert len(asked_of_gh(step, "echo 7 OPEN title", tmp_path)) == 1
    assert asked_of_gh(step, ":", tmp_path)[2] == "issue create --title title --body body"

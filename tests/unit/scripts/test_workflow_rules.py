"""The schema for workflows and actions: each breach of a rule is found."""

import io
import json
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from scripts import ROOT

RULES = jsonschema.Draft202012Validator(json.loads((ROOT / ".github/workflow-rules.json").read_bytes()))
WORKFLOW = """
on:
  pull_request: {}
  merge_group: {}
concurrency:
  group: test
  queue: max
permissions: {}
jobs:
  test:
    name: Test
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions: {}
    environment: {name: registries, deployment: false}
    steps:
      - uses: step-security/harden-runner@0123 # v2
      - uses: actions/checkout@0123 # v7
        with:
          persist-credentials: false
      - run: ./ship unit
  call:
    name: Call
    permissions: {}
    uses: ./.github/workflows/test.yml
"""
ACTION = """
runs:
  using: composite
  steps:
    - uses: actions/checkout@0123
      with: {persist-credentials: false}
    - uses: sigstore/cosign-installer@0123
      with: {cosign-release: v3.1.3}
"""


def breaches(text: str) -> list[str]:
    """Return the place and the rule of each breach in `text` (YAML)."""
    document: Any = YAML(typ="safe").load(io.StringIO(text))
    return [f"{'/'.join(map(str, found.absolute_path))}: {found.message}" for found in RULES.iter_errors(document)]


def test_the_rules_are_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(RULES.schema)


@pytest.mark.parametrize("text", [WORKFLOW, ACTION])
def test_a_correct_workflow_passes(text: str) -> None:
    assert breaches(text) == []


@pytest.mark.parametrize("concurrency", ["{group: a, cancel-in-progress: true}", "{group: a, queue: max}"])
def test_concurrency_must_say_what_happens_to_waiting_runs(concurrency: str) -> None:
    assert breaches(WORKFLOW.replace("\n  group: test\n  queue: max", f" {concurrency}")) == []


@pytest.mark.parametrize(
    ("line", "instead", "place"),
    [
        ("permissions: {}\njobs", "jobs", ": 'permissions'"),
        ("permissions: {}\njobs", "permissions: {contents: read}\njobs", "permissions"),
        ("  merge_group: {}\n", "", "on: 'merge_group'"),
        ("  queue: max\n", "", "concurrency: 'queue'"),
        ("  queue: max\n", "  cancel-in-progress: false\n", "concurrency: 'queue'"),
        ("  queue: max\n", "  queue: maximum\n", "concurrency/queue"),
        ("  queue: max\n", "  queue: max\n  cancel-in-progress: true\n", "concurrency"),
        ("    timeout-minutes: 5\n", "", "jobs/test: 'timeout-minutes'"),
        ("    timeout-minutes: 5\n", "    timeout-minutes: 360\n", "jobs/test/timeout-minutes"),
        ("    timeout-minutes: 5\n", "    timeout-minutes: 5\n    concurrency: {group: a}\n", "jobs/test/concurrency"),
        ("    permissions: {}\n    env", "    env", "jobs/test: 'permissions'"),
        (", deployment: false", "", "jobs/test/environment: 'deployment'"),
        (", deployment: false", ", deployment: true", "jobs/test/environment/deployment"),
        ("      - uses: step-security/harden-runner@0123 # v2\n", "", "jobs/test/steps/0/uses"),
        ("- uses: step-security", "- run: curl example.org\n      - uses: step-security", "jobs/test/steps/0: 'uses'"),
        ("          persist-credentials: false", "          fetch-depth: 0", "steps/1/with: 'persist-credentials'"),
        ("        with:\n          persist-credentials: false\n", "", "jobs/test/steps/1: 'with'"),
        ("./ship unit", "true\n      - uses: sigstore/cosign-installer@0123", "jobs/test/steps/3: 'with'"),
        ("./ship unit", "gh issue list --json number --jq length", "jobs/test/steps/2/run"),
        ("./ship unit", 'echo "$FOUND" | jq .digest', "jobs/test/steps/2/run"),
        ("./ship unit", "sed -i s/1/2/ ship.toml && ./ship unit", "jobs/test/steps/2/run"),
        ("./ship unit", "VERSION=$(cat version) ./ship unit", "jobs/test/steps/2/run"),
    ],
)
def test_a_breach_in_a_workflow_is_found(line: str, instead: str, place: str) -> None:
    assert WORKFLOW.count(line) == 1

    [found] = breaches(WORKFLOW.replace(line, instead))

    assert place in found


@pytest.mark.parametrize(
    ("line", "instead", "place"),
    [
        ("      with: {persist-credentials: false}\n", "", "runs/steps/0: 'with'"),
        ("persist-credentials: false", "persist-credentials: true", "runs/steps/0/with/persist-credentials"),
        ("      with: {cosign-release: v3.1.3}\n", "", "runs/steps/1: 'with'"),
        ("cosign-release: v3.1.3", "cosign-release: v3.0.6", "runs/steps/1/with/cosign-release"),
        ("cosign-release: v3.1.3", "cosign-release: v2.6.1", "runs/steps/1/with/cosign-release"),
    ],
)
def test_a_breach_in_an_action_is_found(line: str, instead: str, place: str) -> None:
    assert ACTION.count(line) == 1

    [found] = breaches(ACTION.replace(line, instead))

    assert place in found

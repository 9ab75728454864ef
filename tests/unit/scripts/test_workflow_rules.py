"""The rules that the workflows keep: a breach of one is found."""

import subprocess
from pathlib import Path

import pytest

from scripts import ROOT
from scripts.process import TOOLS

WORKFLOW = """
permissions: {}
jobs:
  test:
    name: Test
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions: {}
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


def check(workflow: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "workflow.yml"
    path.write_text(workflow)
    rules = str(ROOT / ".github/workflow-rules.json")
    command = [str(TOOLS / "check-jsonschema"), "--schemafile", rules, str(path)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_a_workflow_that_keeps_them_passes(tmp_path: Path) -> None:
    assert check(WORKFLOW, tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("line", "instead", "word"),
    [
        ("permissions: {}\njobs", "jobs", "permissions"),
        ("permissions: {}\njobs", "permissions: {contents: read}\njobs", "permissions"),
        ("    timeout-minutes: 5\n", "", "timeout-minutes"),
        ("    timeout-minutes: 5\n", "    timeout-minutes: 360\n", "timeout-minutes"),
        ("    permissions: {}\n    steps", "    steps", "permissions"),
        ("      - uses: step-security/harden-runner@0123 # v2\n", "", "harden-runner"),
        ("      - uses: step-security", "      - run: curl example.org\n      - uses: step-security", "uses"),
        ("          persist-credentials: false", "          fetch-depth: 0", "persist-credentials"),
        ("        with:\n          persist-credentials: false\n", "", "with"),
    ],
)
def test_a_breach_is_found(line: str, instead: str, word: str, tmp_path: Path) -> None:
    assert WORKFLOW.count(line) == 1

    found = check(WORKFLOW.replace(line, instead), tmp_path)

    assert found.returncode == 1
    assert word in found.stdout

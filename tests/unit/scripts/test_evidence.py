"""What must be true of the statements about an image."""

from typing import Any

import pytest

from scripts import evidence, project
from scripts.build import Built
from scripts.evidence import Claim, Predicate
from scripts.failure import Failure
from scripts.grammar import Column, Digest, Name, Platform, RelativePath, Revision, Version, WorkTree
from scripts.integration import Passed
from scripts.project import Commit
from scripts.suite import Counts

HOME = "https://github.com/me/house-price"
WORKFLOW = f"{HOME}/.github/workflows/image.yml@refs/heads/main"
REVISION = Revision("a" * 40)
IMAGE = Built(
    Digest(f"sha256:{1:064}"),
    {Platform("linux/amd64"): Digest(f"sha256:{2:064}")},
    1,
    Version("1.0.0"),
    WorkTree(REVISION),
    "onnx",
    "python@sha256:3",
    WorkTree(REVISION),
    Name("house-price"),
    RelativePath("training/data/houses.csv"),
    Column("price"),
)
CLAIM = Claim(IMAGE.digest, "1.0.0", REVISION, frozenset({"linux/amd64"}))


@pytest.fixture(autouse=True)
def checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout of HOME at REVISION, which is on main."""
    monkeypatch.setattr(project, "repository", lambda _root=None: HOME)
    monkeypatch.setattr(project, "commit", lambda _root=None: Commit(REVISION, 0))
    monkeypatch.setattr(project, "is_in", lambda revision, branch, _root: revision == REVISION and branch == "main")


def by_github(commit: str = REVISION, home: str = HOME, builder: str = WORKFLOW) -> Predicate:
    """The part of GitHub's provenance that counts (https://github.com/actions/attest)."""
    return {
        "buildDefinition": {
            "resolvedDependencies": [{"uri": f"git+{home}@refs/heads/main", "digest": {"gitCommit": commit}}]
        },
        "runDetails": {"builder": {"id": builder}},
    }


def test_provenance_of_an_image_is_true_of_it() -> None:
    fact = evidence.provenance_fact(evidence.provenance(IMAGE), CLAIM, workflow="")

    assert fact == f"commit {REVISION[:12]} on main"


def test_provenance_by_github_is_true_of_what_its_workflow_built() -> None:
    assert "on main" in evidence.provenance_fact(by_github(), CLAIM, workflow=WORKFLOW)


@pytest.mark.parametrize(
    ("predicate", "reason"),
    [
        (by_github(commit="b" * 40), "for commit bbbbbbbbbbbb"),
        (by_github(home="https://github.com/them/house-price"), "for https://github.com/them/house-price"),
        (by_github(home="http://github.com/me/house-price"), "for http://github.com/me/house-price"),
        (by_github(builder=WORKFLOW.replace("main", "feature")), "image.yml@refs/heads/feature"),
        (evidence.provenance(IMAGE), "not https://github.com/me/house-price"),
        ({}, "for commit "),
    ],
    ids=["commit", "repository", "scheme", "branch", "own machine", "nothing"],
)
def test_provenance_that_is_not_by_the_workflow_for_the_commit(predicate: Predicate, reason: str) -> None:
    with pytest.raises(Failure, match=reason):
        evidence.provenance_fact(predicate, CLAIM, workflow=WORKFLOW)


def test_a_commit_that_is_not_on_main(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "is_in", lambda _, branch, _root: branch == "HEAD")

    assert "on this branch" in evidence.provenance_fact(evidence.provenance(IMAGE), CLAIM, workflow="")
    with pytest.raises(Failure, match="not on main"):
        evidence.provenance_fact(by_github(), CLAIM, workflow=WORKFLOW)


def test_a_test_result_of_an_image_is_true_of_it() -> None:
    record = Passed(IMAGE.digest, Platform("linux/amd64"), "tests/integration", Counts(7, 0, 1))

    assert evidence.test_fact(evidence.test_result([record]), CLAIM) == "7 passed on linux/amd64 (tests/integration)"


@pytest.mark.parametrize(
    ("predicate", "reason"),
    [
        ({"result": "FAILED", "configuration": []}, "ended with FAILED"),
        ({"result": "WARNED", "configuration": []}, "ended with WARNED"),
        ({}, "ended with no result"),
        ({"result": "PASSED"}, "not tested on linux/amd64"),
        ({"result": "PASSED", "configuration": [{"annotations": {"platform": "linux/arm64"}}]}, "not tested on"),
    ],
)
def test_a_test_result_that_does_not_say_passed_on_every_platform(predicate: Predicate, reason: str) -> None:
    with pytest.raises(Failure, match=reason):
        evidence.test_fact(predicate, CLAIM)


def bill(*kinds: str, digest: str = IMAGE.digest) -> dict[str, Any]:
    return {"metadata": {"component": {"version": digest}}, "components": [{"type": kind} for kind in kinds]}


def test_a_bill_with_packages_and_the_model() -> None:
    assert evidence.bill_fact(bill("library", "machine-learning-model"), CLAIM) == "2 components"


@pytest.mark.parametrize(
    ("predicate", "reason"),
    [
        (bill("library", "machine-learning-model", digest="sha256:9"), "another image"),
        (bill("library"), "no machine-learning-model"),
        (bill(), "no library and no machine-learning-model"),
        ({}, "another image"),
    ],
)
def test_a_bill_that_is_for_another_image_or_lacks_parts(predicate: Predicate, reason: str) -> None:
    with pytest.raises(Failure, match=reason):
        evidence.bill_fact(predicate, CLAIM)

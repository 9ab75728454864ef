"""Making and checking the statements about an image."""

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts import checkout, shipment
from scripts.artifacts import Built, Counts, Passed
from scripts.checkout import Commit
from scripts.errors import Failure
from scripts.evidence import statements
from scripts.evidence.statements import Claim
from scripts.grammar import Column, Digest, Name, Platform, RelativePath, Revision, Version, WorkTree
from scripts.oci.labels import Release

# The checkout of the table, which need not be this one.
ROOT = Path(__file__).parent
HOME = "https://github.com/me/house-price"
WORKFLOW = f"{HOME}/.github/workflows/image.yml@refs/heads/main"
REVISION, OTHER = Revision("a" * 40), Revision("b" * 40)
AMD, ARM = Platform("linux/amd64"), Platform("linux/arm64")
DIGEST = Digest(f"sha256:{'1' * 64}")
IMAGE = Built(
    DIGEST,
    {AMD: Digest(f"sha256:{'2' * 64}")},
    1,
    Version("1.0.0"),
    WorkTree(REVISION),
    "onnx",
    "python@sha256:3",
    WorkTree(OTHER),
    Name("house-price"),
    RelativePath("training/data/houses.csv"),
    Column("price"),
)
RELEASE = Release(Version("1.0.0"), DIGEST, REVISION)
CLAIM, BOTH = Claim(RELEASE, frozenset({AMD})), Claim(RELEASE, frozenset({AMD, ARM}))


@pytest.fixture(autouse=True)
def clone_of_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout of HOME at ROOT, where REVISION is on main."""
    monkeypatch.setattr(shipment, "root", lambda: ROOT)
    monkeypatch.setattr(checkout, "repository", {ROOT: HOME}.get)
    monkeypatch.setattr(checkout, "commit", lambda _root=None: Commit(OTHER, 0))
    hold(monkeypatch, "main")


def hold(monkeypatch: pytest.MonkeyPatch, branch: str) -> None:
    """Let REVISION be on `branch` of the checkout only."""
    monkeypatch.setattr(checkout, "is_in", lambda *asked: asked == (REVISION, branch, ROOT))


def changed(predicate: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a copy of `predicate` with `value` at `path`, as in `a.0.b`."""
    fresh = copy.deepcopy(predicate)
    place: Any = fresh
    *folders, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in folders:
        place = place[step]
    place[last] = value
    return fresh


def without(predicate: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in predicate.items() if key != name}


def check_provenance(predicate: object, *, workflow: str = "") -> str:
    return statements.check_provenance(json.dumps(predicate).encode(), CLAIM, workflow=workflow)


def by_github(commit: str = REVISION, home: str = HOME, builder: str = WORKFLOW) -> dict[str, Any]:
    """The part of GitHub's provenance that is checked (https://github.com/actions/attest)."""
    return {
        "buildDefinition": {
            "resolvedDependencies": [{"uri": f"git+{home}@refs/heads/main", "digest": {"gitCommit": commit}}]
        },
        "runDetails": {"builder": {"id": builder}},
    }


def test_provenance_of_an_image_proves_its_commit() -> None:
    assert check_provenance(statements.make_provenance(IMAGE)) == f"commit {REVISION[:12]} on main"


def test_local_provenance_names_the_build_and_its_inputs() -> None:
    """In the terms of https://slsa.dev/spec/v1.1/provenance#schema."""
    assert statements.make_provenance(IMAGE) == {
        "buildDefinition": {
            "buildType": "urn:shipshape:build:v1",
            "externalParameters": {
                "name": "house-price",
                "version": "1.0.0",
                "data": "training/data/houses.csv",
                "target": "price",
                "model_format": "onnx",
                "platforms": ["linux/amd64"],
            },
            "resolvedDependencies": [
                {"name": "source", "uri": f"git+{HOME}", "digest": {"gitCommit": REVISION}},
                {"name": "pipeline", "digest": {"gitCommit": OTHER}},
                {"name": "base image", "uri": "python@sha256:3"},
            ],
        },
        "runDetails": {"builder": {"id": "urn:shipshape:own-machine"}},
    }


def test_provenance_by_github_proves_the_commit() -> None:
    assert "on main" in check_provenance(by_github(), workflow=WORKFLOW)


@pytest.mark.parametrize(
    ("predicate", "reason"),
    [
        (by_github(commit=OTHER), "for commit bbbbbbbbbbbb, but the image is from aaaaaaaaaaaa"),
        (by_github(home="https://github.com/them/house-price"), "for https://github.com/them/house-price"),
        (by_github(home="http://github.com/me/house-price"), "for http://github.com/me/house-price"),
        (by_github(home=f"{HOME}-evil"), f"for {HOME}-evil, not {HOME}"),
        (by_github(home=HOME[:-1]), f"for {HOME[:-1]}, not {HOME}"),
        (by_github(builder=WORKFLOW.replace("main", "feature")), "image.yml@refs/heads/feature"),
        (by_github(builder=f"{WORKFLOW}-2"), "main-2, not by"),
        (by_github(builder=""), "provenance is by , not by"),
        (changed(by_github(), "buildDefinition.resolvedDependencies", []), "for commit none"),
    ],
    ids=["commit", "repository", "scheme", "longer", "shorter", "branch", "longer branch", "nobody", "no commit"],
)
def test_provenance_that_differs_is_refused(predicate: dict[str, Any], reason: str) -> None:
    with pytest.raises(Failure, match=reason):
        check_provenance(predicate, workflow=WORKFLOW)


def test_local_provenance_does_not_replace_that_of_a_workflow() -> None:
    own = changed(statements.make_provenance(IMAGE), "buildDefinition.resolvedDependencies.0.uri", f"git+{HOME}")

    with pytest.raises(Failure, match="provenance is by urn:shipshape:own-machine"):
        check_provenance(own, workflow=WORKFLOW)


def test_provenance_by_a_key_must_be_local() -> None:
    with pytest.raises(Failure, match="provenance is by https"):
        check_provenance(by_github())


def test_provenance_by_a_key_for_another_repository_is_refused() -> None:
    own = changed(statements.make_provenance(IMAGE), "buildDefinition.resolvedDependencies.0.uri", f"git+{HOME}-evil")

    with pytest.raises(Failure, match="-evil, not"):
        check_provenance(own)


def test_the_origin_counts_for_a_workflow_and_for_a_key_when_both_origins_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = statements.make_provenance(IMAGE)
    monkeypatch.setattr(checkout, "repository", lambda _root=None: "")

    assert check_provenance(own)
    with pytest.raises(Failure, match=f"for {HOME}, not "):
        check_provenance(by_github(), workflow=WORKFLOW)
    unknown = statements.make_provenance(IMAGE)
    monkeypatch.setattr(checkout, "repository", lambda _root=None: HOME)
    assert check_provenance(unknown)


@pytest.mark.parametrize(
    "predicate",
    [
        {},
        [],
        None,
        "PASSED",
        without(by_github(), "runDetails"),
        by_github(commit="a" * 39),
        by_github(commit="--upload-pack=touch pwned;true"),
        by_github(builder="x\n\x1b[32m✓ verify"),
        by_github(home="https://github.com/me/house price"),
        changed(by_github(), "buildDefinition.resolvedDependencies", "none"),
        changed(by_github(), "buildDefinition.resolvedDependencies.0", ["git"]),
        changed(by_github(), "runDetails.builder", "me"),
    ],
)
def test_malformed_provenance_is_refused(predicate: object) -> None:
    with pytest.raises(Failure, match="the provenance is malformed"):
        check_provenance(predicate, workflow=WORKFLOW)


def test_provenance_that_is_not_json_is_refused() -> None:
    with pytest.raises(Failure, match="malformed"):
        statements.check_provenance(b"\xff{", CLAIM, workflow=WORKFLOW)


def test_the_commit_must_be_on_main(monkeypatch: pytest.MonkeyPatch) -> None:
    hold(monkeypatch, "HEAD")

    assert check_provenance(statements.make_provenance(IMAGE)) == f"commit {REVISION[:12]} on this branch"
    with pytest.raises(Failure, match="not on main"):
        check_provenance(by_github(), workflow=WORKFLOW)


def git(*arguments: str, where: Path) -> None:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    subprocess.run(["git", *who, *arguments], cwd=where, check=True, capture_output=True)


@pytest.mark.parametrize(("options", "remedy"), [([], "git fetch origin"), (["--depth=1"], "git fetch --unshallow")])
def test_a_clone_without_the_commit_should_fetch(
    options: list[str], remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "origin").mkdir()
    git("init", "--quiet", "--initial-branch=main", where=tmp_path / "origin")
    for subject in ("first", "second"):
        git("commit", "--quiet", "--allow-empty", "--message", subject, where=tmp_path / "origin")
    git("clone", "--quiet", *options, f"file://{tmp_path}/origin", "clone", where=tmp_path)
    monkeypatch.setattr(shipment, "root", lambda: tmp_path / "clone")
    monkeypatch.setattr(checkout, "repository", {tmp_path / "clone": HOME}.get)
    monkeypatch.setattr(checkout, "is_in", lambda *_: False)

    with pytest.raises(Failure, match="not on main") as behind:
        check_provenance(by_github(), workflow=WORKFLOW)

    assert behind.value.remedy.startswith(remedy)


def of_tests(predicate: object, claim: Claim = CLAIM) -> str:
    return statements.check_test_result(json.dumps(predicate).encode(), claim)


def result(*platforms: Platform) -> dict[str, Any]:
    records = [Passed(DIGEST, platform, "tests/integration", Counts(7, 0, 1)) for platform in platforms or (AMD,)]
    return statements.make_test_result(records, IMAGE)


def test_a_test_result_proves_that_the_image_passed() -> None:
    assert of_tests(result()) == "7 passed on linux/amd64 (tests/integration)"
    for suite in ("tests/integration/image", "tests/integration/image/test_predict.py"):
        assert of_tests(changed(result(), "configuration.0.name", suite)) == f"7 passed on linux/amd64 ({suite})"
    assert of_tests(changed(result(), f"{SUITE}.annotations.passed", 1)).startswith("1 passed on linux/amd64")
    assert of_tests(result(ARM, AMD), BOTH).startswith("7 passed on linux/arm64 (tests/integration), 7 passed on")


SUITE = "configuration.0"


@pytest.mark.parametrize(
    ("predicate", "reason"),
    [
        (changed(result(), "result", "FAILED"), "the test result is FAILED"),
        (changed(result(), "result", "WARNED"), "the test result is WARNED"),
        (changed(result(), "configuration", []), "not tested on linux/amd64"),
        (changed(result(), f"{SUITE}.annotations.platform", ARM), "not tested on linux/amd64"),
        (changed(result(), f"{SUITE}.annotations.passed", 0), "0 passed and 0 failed on linux/amd64"),
        (changed(result(), f"{SUITE}.annotations.passed", -1), "-1 passed"),
        (changed(result(), f"{SUITE}.annotations.failed", 1), "7 passed and 1 failed"),
        (changed(result(), f"{SUITE}.annotations.failed", -1), "7 passed and -1 failed"),
        (changed(result(), f"{SUITE}.name", "tests/easy"), "with tests/easy, which is not a suite"),
        (changed(result(), f"{SUITE}.name", ""), "which is not a suite"),
        (changed(result(), f"{SUITE}.digest.gitCommit", OTHER), "for a commit other than aaaaaaaaaaaa"),
        (changed(result(), f"{SUITE}.digest", {}), "for a commit other than aaaaaaaaaaaa"),
        (changed(result(), "failedTests", ["test_x"]), "1 tests failed"),
        (result(AMD, AMD), "tested on linux/amd64, linux/amd64"),
        (result(AMD, ARM), "tested on linux/amd64, linux/arm64, but the image is for linux/amd64"),
    ],
)
def test_a_test_result_must_pass_on_every_platform(predicate: dict[str, Any], reason: str) -> None:
    with pytest.raises(Failure, match=reason):
        of_tests(predicate)


def test_each_platform_must_pass() -> None:
    second = "configuration.1.annotations"
    with pytest.raises(Failure, match="not tested on linux/arm64"):
        of_tests(result(), BOTH)
    with pytest.raises(Failure, match="7 passed and 9 failed on linux/arm64"):
        of_tests(changed(result(AMD, ARM), f"{second}.failed", 9), BOTH)


@pytest.mark.parametrize(
    "predicate",
    [
        {},
        None,
        {"result": "PASSED"},
        {"result": "PASSED", "configuration": ["tests/integration"]},
        changed(result(), "result", "PASSED\n"),
        changed(result(), f"{SUITE}.annotations.platform", "linux/amd64\n✓"),
        changed(result(), f"{SUITE}.annotations.passed", "90"),
        changed(result(), f"{SUITE}.annotations.passed", 1.5),
        changed(result(), f"{SUITE}.annotations", {"platform": AMD, "passed": 90}),
        changed(result(), f"{SUITE}.digest.gitCommit", "main"),
    ],
)
def test_a_malformed_test_result_is_refused(predicate: object) -> None:
    with pytest.raises(Failure, match="the test result is malformed"):
        of_tests(predicate)


def bill(*kinds: str, digest: str = DIGEST) -> dict[str, Any]:
    hashes = [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}]
    component = {"type": "container", "hashes": hashes}
    return {"metadata": {"component": component}, "components": [{"type": kind} for kind in kinds]}


def check_sbom(predicate: object) -> str:
    return statements.check_sbom(json.dumps(predicate).encode(), DIGEST)


WHOLE = bill("library", "machine-learning-model")


def test_a_bill_lists_packages_and_the_model() -> None:
    assert check_sbom(WHOLE) == "2 components"


@pytest.mark.parametrize(
    ("predicate", "reason"),
    [
        (bill("library", "machine-learning-model", digest="9" * 64), "another image"),
        (changed(WHOLE, "metadata.component.hashes", []), "another image"),
        (changed(WHOLE, "metadata.component.hashes.0.alg", "SHA-512"), "another image"),
        (changed(WHOLE, "metadata.component.hashes.0.content", "1" * 63), "another image"),
        (
            changed(WHOLE, "metadata.component.hashes", [{"alg": "SHA-256", "content": one * 64} for one in "19"]),
            "another image",
        ),
        (changed(WHOLE, "metadata.component", {"type": "container", "name": DIGEST}), "another image"),
        (bill("library"), "no machine-learning-model"),
        (bill("machine-learning-model"), "no library"),
        (bill(), "no library and no machine-learning-model"),
        ({}, "^the bill of materials is malformed"),
        ({**WHOLE, "components": "many"}, "^the bill of materials is malformed"),
    ],
)
def test_a_bill_for_another_image_or_without_parts_is_refused(predicate: dict[str, Any], reason: str) -> None:
    with pytest.raises(Failure, match=reason):
        check_sbom(predicate)


def test_an_origin_that_provenance_cannot_name_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkout, "repository", lambda _root=None: "https://git.example/Müller/house")

    with pytest.raises(Failure, match=r"^the remote origin: .* is not a URI") as refused:
        statements.make_provenance(IMAGE)
    assert refused.value.remedy == "git remote set-url origin URL"

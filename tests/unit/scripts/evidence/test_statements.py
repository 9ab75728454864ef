"""What must be true of the statements about an image."""

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

# The checkout that the table is from, which is not always this one.
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
    """Let REVISION be on `branch` of the checkout, and on no other."""
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


def provenance_fact(predicate: object, *, workflow: str = "") -> str:
    return statements.provenance_fact(json.dumps(predicate).encode(), CLAIM, workflow=workflow)


def by_github(commit: str = REVISION, home: str = HOME, builder: str = WORKFLOW) -> dict[str, Any]:
    """The part of GitHub's provenance that counts (https://github.com/actions/attest)."""
    return {
        "buildDefinition": {
            "resolvedDependencies": [{"uri": f"git+{home}@refs/heads/main", "digest": {"gitCommit": commit}}]
        },
        "runDetails": {"builder": {"id": builder}},
    }


def test_provenance_of_an_image_is_true_of_it() -> None:
    assert provenance_fact(statements.provenance(IMAGE)) == f"commit {REVISION[:12]} on main"


def test_provenance_of_one_s_own_machine_names_the_build_and_what_went_into_it() -> None:
    """In the terms of https://slsa.dev/spec/v1.1/provenance#schema."""
    assert statements.provenance(IMAGE) == {
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


def test_provenance_by_github_is_true_of_what_its_workflow_built() -> None:
    assert "on main" in provenance_fact(by_github(), workflow=WORKFLOW)


@pytest.mark.parametrize(
    ("predicate", "reason"),
    [
        (by_github(commit=OTHER), "for commit bbbbbbbbbbbb, and the image says aaaaaaaaaaaa"),
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
def test_provenance_that_is_not_by_the_workflow_for_the_commit(predicate: dict[str, Any], reason: str) -> None:
    with pytest.raises(Failure, match=reason):
        provenance_fact(predicate, workflow=WORKFLOW)


def test_provenance_of_one_s_own_machine_is_none_by_a_workflow() -> None:
    own = changed(statements.provenance(IMAGE), "buildDefinition.resolvedDependencies.0.uri", f"git+{HOME}")

    with pytest.raises(Failure, match="provenance is by urn:shipshape:own-machine"):
        provenance_fact(own, workflow=WORKFLOW)


def test_provenance_by_a_key_is_of_one_s_own_machine() -> None:
    with pytest.raises(Failure, match="provenance is by https"):
        provenance_fact(by_github())


def test_provenance_by_a_key_for_another_repository() -> None:
    own = changed(statements.provenance(IMAGE), "buildDefinition.resolvedDependencies.0.uri", f"git+{HOME}-evil")

    with pytest.raises(Failure, match="-evil, not"):
        provenance_fact(own)


def test_where_this_clone_is_from_counts_for_a_workflow_and_for_a_key_where_both_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = statements.provenance(IMAGE)
    monkeypatch.setattr(checkout, "repository", lambda _root=None: "")

    assert provenance_fact(own)
    with pytest.raises(Failure, match=f"for {HOME}, not "):
        provenance_fact(by_github(), workflow=WORKFLOW)
    unknown = statements.provenance(IMAGE)
    monkeypatch.setattr(checkout, "repository", lambda _root=None: HOME)
    assert provenance_fact(unknown)


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
def test_provenance_in_another_shape(predicate: object) -> None:
    with pytest.raises(Failure, match="the provenance is not what it should be"):
        provenance_fact(predicate, workflow=WORKFLOW)


def test_what_is_no_json_is_in_another_shape() -> None:
    with pytest.raises(Failure, match="not what it should be"):
        statements.provenance_fact(b"\xff{", CLAIM, workflow=WORKFLOW)


def test_a_commit_that_is_not_on_main(monkeypatch: pytest.MonkeyPatch) -> None:
    hold(monkeypatch, "HEAD")

    assert provenance_fact(statements.provenance(IMAGE)) == f"commit {REVISION[:12]} on this branch"
    with pytest.raises(Failure, match="not on main"):
        provenance_fact(by_github(), workflow=WORKFLOW)


def git(*arguments: str, where: Path) -> None:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    subprocess.run(["git", *who, *arguments], cwd=where, check=True, capture_output=True)


@pytest.mark.parametrize(("options", "remedy"), [([], "git fetch origin"), (["--depth=1"], "git fetch --unshallow")])
def test_a_clone_that_may_be_behind_is_told_to_fetch(
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
        provenance_fact(by_github(), workflow=WORKFLOW)

    assert behind.value.remedy.startswith(remedy)


def of_tests(predicate: object, claim: Claim = CLAIM) -> str:
    return statements.test_fact(json.dumps(predicate).encode(), claim)


def result(*platforms: Platform) -> dict[str, Any]:
    records = [Passed(DIGEST, platform, "tests/integration", Counts(7, 0, 1)) for platform in platforms or (AMD,)]
    return statements.test_result(records, IMAGE)


def test_a_test_result_of_an_image_is_true_of_it() -> None:
    assert of_tests(result()) == "7 passed on linux/amd64 (tests/integration)"
    for suite in ("tests/integration/image", "tests/integration/image/test_predict.py"):
        assert of_tests(changed(result(), "configuration.0.name", suite)) == f"7 passed on linux/amd64 ({suite})"
    assert of_tests(changed(result(), f"{SUITE}.annotations.passed", 1)).startswith("1 passed on linux/amd64")
    assert of_tests(result(ARM, AMD), BOTH).startswith("7 passed on linux/arm64 (tests/integration), 7 passed on")


SUITE = "configuration.0"


@pytest.mark.parametrize(
    ("predicate", "reason"),
    [
        (changed(result(), "result", "FAILED"), "ended with FAILED"),
        (changed(result(), "result", "WARNED"), "ended with WARNED"),
        (changed(result(), "configuration", []), "not tested on linux/amd64"),
        (changed(result(), f"{SUITE}.annotations.platform", ARM), "not tested on linux/amd64"),
        (changed(result(), f"{SUITE}.annotations.passed", 0), "0 passed and 0 failed on linux/amd64"),
        (changed(result(), f"{SUITE}.annotations.passed", -1), "-1 passed"),
        (changed(result(), f"{SUITE}.annotations.failed", 1), "7 passed and 1 failed"),
        (changed(result(), f"{SUITE}.annotations.failed", -1), "7 passed and -1 failed"),
        (changed(result(), f"{SUITE}.name", "tests/easy"), "with tests/easy, which is no suite"),
        (changed(result(), f"{SUITE}.name", ""), "which is no suite"),
        (changed(result(), f"{SUITE}.digest.gitCommit", OTHER), "for another commit than aaaaaaaaaaaa"),
        (changed(result(), f"{SUITE}.digest", {}), "for another commit than aaaaaaaaaaaa"),
        (changed(result(), "failedTests", ["test_x"]), "1 tests failed"),
        (result(AMD, AMD), "tested on linux/amd64, linux/amd64"),
        (result(AMD, ARM), "tested on linux/amd64, linux/arm64, and the image is for linux/amd64"),
    ],
)
def test_a_test_result_that_does_not_say_passed_on_every_platform(predicate: dict[str, Any], reason: str) -> None:
    with pytest.raises(Failure, match=reason):
        of_tests(predicate)


def test_every_platform_counts() -> None:
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
def test_a_test_result_in_another_shape(predicate: object) -> None:
    with pytest.raises(Failure, match="the test result is not what it should be"):
        of_tests(predicate)


def bill(*kinds: str, digest: str = DIGEST) -> dict[str, Any]:
    hashes = [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}]
    component = {"type": "container", "hashes": hashes}
    return {"metadata": {"component": component}, "components": [{"type": kind} for kind in kinds]}


def sbom_fact(predicate: object) -> str:
    return statements.sbom_fact(json.dumps(predicate).encode(), CLAIM)


WHOLE = bill("library", "machine-learning-model")


def test_a_bill_with_packages_and_the_model() -> None:
    assert sbom_fact(WHOLE) == "2 components"


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
        ({}, "^the bill of materials is not what it should be"),
        ({**WHOLE, "components": "many"}, "^the bill of materials is not what it should be"),
    ],
)
def test_a_bill_that_is_for_another_image_or_lacks_parts(predicate: dict[str, Any], reason: str) -> None:
    with pytest.raises(Failure, match=reason):
        sbom_fact(predicate)


def test_an_origin_that_provenance_cannot_name_is_refused_before_anything_is_attached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkout, "repository", lambda _root=None: "https://git.example/Müller/house")

    with pytest.raises(Failure, match=r"^the remote origin: .* is not a URI") as refused:
        statements.provenance(IMAGE)
    assert refused.value.remedy == "git remote set-url origin URL"

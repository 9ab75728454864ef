"""`./ship verify`: evidence that is complete passes, and each piece that is missing or false is named."""

import copy
import shutil
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.integration.checkout import Checkout
from tests.integration.cosign import BILL, PROVENANCE, TESTS, Key, cosign, new_key
from tests.integration.program import run
from tests.integration.registry import Registry, push


@dataclass(frozen=True)
class Release:
    """A version that `./ship publish` put into two registries, and what was said of it there."""

    project: Checkout
    key: Key
    where: str
    """REGISTRIES"""
    said: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Predicates by their type."""

    @property
    def digest(self) -> str:
        return str(self.project.image["digest"])


@pytest.fixture(scope="module")
def release(
    built_checkout: Checkout,
    registry: Registry,
    second_registry: Registry,
    own_key: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Release:
    project = Checkout(tmp_path_factory.mktemp("release") / "project")
    shutil.copytree(built_checkout.path, project.path)
    project.count_as_tested()
    where = f"{registry.host}/evidence/house-price {second_registry.host}/evidence/house-price"
    done = project.ship("publish", REGISTRIES=where)
    assert done.returncode == 0, done.stdout
    release = Release(project, Key(own_key), where)
    for kind in (BILL, PROVENANCE, TESTS):
        [statement] = release.key.statements(f"{where.split(maxsplit=1)[0]}@{release.digest}", kind)
        release.said[kind] = statement["predicate"]
    return release


@pytest.fixture
def bare(release: Release, registry: Registry, repository: str) -> str:
    """The same image in a repository where nothing is said of it yet, by digest."""
    push(release.project.layout, f"{registry.host}/{repository}:1.0.0")
    return f"{registry.host}/{repository}@{release.digest}"


def verify(project: Checkout, reference: str, where: str = "") -> "subprocess.CompletedProcess[str]":
    return project.ship("verify", reference, **({"REGISTRIES": where} if where else {}))


def say(release: Release, reference: str, key: Key | None = None, **changed: dict[str, Any] | None) -> None:
    """Sign `reference` and attest all that is said of the release, but for what `changed` says otherwise."""
    key = key or release.key
    said = {"bill": release.said[BILL], "provenance": release.said[PROVENANCE], "tests": release.said[TESTS]}
    for name, predicate in {**said, **changed}.items():
        if predicate is not None:
            key.attest(reference, {"bill": BILL, "provenance": PROVENANCE, "tests": TESTS}[name], predicate)
    key.sign(reference)


def changed(predicate: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a copy of `predicate` with `value` at `path`, as in `a.0.b`."""
    fresh = copy.deepcopy(predicate)
    place: Any = fresh
    *folders, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in folders:
        place = place[step]
    place[last] = value
    return fresh


@pytest.mark.parametrize("name", ["1.0.0", "latest", "sha-REVISION", "DIGEST"])
def test_what_was_published_is_trusted_in_every_registry(release: Release, name: str) -> None:
    reference = name.replace("REVISION", release.project.revision).replace("DIGEST", release.digest)
    done = verify(release.project, reference, release.where)

    assert done.returncode == 0, done.stdout
    assert release.digest in done.stdout
    for fact in ("valid", f"commit {release.project.revision[:12]} on ", "1 passed on linux/amd64", "components"):
        assert done.stdout.count(fact) == 2, fact


def test_one_full_reference_is_looked_up_there_only(release: Release) -> None:
    assert verify(release.project, f"{release.where.split()[1]}:1.0").returncode == 0
    assert verify(release.project, f"{release.where.split()[1]}@{release.digest}").returncode == 0


def test_the_evidence_said_by_hand_is_trusted(release: Release, bare: str) -> None:
    """So that below only what is changed can be the reason."""
    say(release, bare)

    assert verify(release.project, bare).returncode == 0


def test_evidence_is_referrers_and_leaves_the_image_as_it_was(release: Release, registry: Registry) -> None:
    index = registry.manifest("evidence/house-price", release.digest.replace(":", "-"))

    assert registry.digest("evidence/house-price", "1.0.0") == release.digest
    assert len(index["manifests"]) == 4
    for entry in index["manifests"]:
        referrer = registry.manifest("evidence/house-price", entry["digest"])
        assert referrer["subject"]["digest"] == release.digest


@pytest.fixture
def moved(release: Release, registry: Registry, second_registry: Registry, other: Path) -> str:
    """The registries after somebody pushed another image under the version, in one of them."""
    where = "moved/house-price"
    push(release.project.layout, f"{registry.host}/{where}:1.0.0")
    push(other, f"{second_registry.host}/{where}:1.0.0")
    return f"{registry.host}/{where} {second_registry.host}/{where}"


def test_another_image_under_the_tag_in_one_registry(release: Release, moved: str) -> None:
    done = verify(release.project, "1.0.0", moved)

    assert done.returncode == 1
    assert "the registries disagree" in done.stdout


def test_a_signature_by_another_key(release: Release, bare: str, tmp_path: Path) -> None:
    say(release, bare, new_key(tmp_path / "theirs"))
    done = verify(release.project, bare)

    assert done.returncode == 1
    assert "no signature by the key" in done.stdout


def test_no_signature_though_all_else_is_there(release: Release, bare: str) -> None:
    for kind, predicate in release.said.items():
        release.key.attest(bare, kind, predicate)
    done = verify(release.project, bare)

    assert done.returncode == 1
    assert "no signature by the key" in done.stdout


def test_a_missing_bill_of_materials(release: Release, bare: str) -> None:
    say(release, bare, bill=None)
    done = verify(release.project, bare)

    assert done.returncode == 1
    assert "no bill of materials by" in done.stdout


def test_a_bill_of_materials_of_another_image(release: Release, bare: str) -> None:
    bill = release.said[BILL]
    say(release, bare, bill=changed(bill, "metadata.component", {"type": "container", "name": "house-price"}))
    done = verify(release.project, bare)

    assert done.returncode == 1
    assert "bill of materials is for another image" in done.stdout


def test_provenance_for_another_commit(release: Release, bare: str) -> None:
    commit = "buildDefinition.resolvedDependencies.0.digest.gitCommit"
    say(release, bare, provenance=changed(release.said[PROVENANCE], commit, "0" * 40))
    done = verify(release.project, bare)

    assert done.returncode == 1
    assert "provenance is for commit 000000000000" in done.stdout


def test_a_commit_that_is_not_on_this_branch(release: Release, tmp_path: Path) -> None:
    """The evidence is right, and its commit is not in the history of the clone that verifies."""
    stranger = Checkout(tmp_path / "stranger")
    shutil.copytree(release.project.path, stranger.path)
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    run("git", "checkout", "--quiet", "--orphan", "main-of-another", cwd=stranger.path)
    run("git", *author, "commit", "--quiet", "--message", "another history", cwd=stranger.path)
    for branch in run("git", "branch", "--all", "--format=%(refname)", cwd=stranger.path).split():
        if not branch.endswith("main-of-another"):
            run("git", "update-ref", "-d", branch, cwd=stranger.path)
    done = verify(stranger, "1.0.0", release.where)

    assert done.returncode == 1
    assert "is not on main" in done.stdout


def test_a_failed_test_result(release: Release, bare: str) -> None:
    say(release, bare, tests=changed(release.said[TESTS], "result", "FAILED"))
    done = verify(release.project, bare)

    assert done.returncode == 1
    assert "the tests ended with FAILED" in done.stdout


def test_a_failed_test_result_beside_one_that_passed(release: Release, bare: str) -> None:
    say(release, bare)
    release.key.attest(bare, TESTS, changed(release.said[TESTS], "result", "FAILED"))
    done = verify(release.project, bare)

    assert done.returncode == 1
    assert "the tests ended with FAILED" in done.stdout


def test_a_platform_without_a_test_result(release: Release, bare: str) -> None:
    annotation = "configuration.0.annotations.platform"
    say(release, bare, tests=changed(release.said[TESTS], annotation, "linux/s390x"))
    done = verify(release.project, bare)

    assert done.returncode == 1
    assert "not tested on linux/amd64" in done.stdout


def test_a_statement_in_another_shape(release: Release, bare: str) -> None:
    say(release, bare, tests={"result": "PASSED", "configuration": ["tests/integration"]})
    done = verify(release.project, bare)

    assert done.returncode == 1
    assert "does not follow its specification" in done.stdout


def test_a_version_that_points_to_another_version(release: Release, bare: str) -> None:
    say(release, bare)
    repository = bare.partition("@")[0]
    push(release.project.layout, f"{repository}:2.0.0")
    done = verify(release.project, f"{repository}:2.0.0")

    assert done.returncode == 1
    assert "says it is version 1.0.0" in done.stdout


def test_what_is_nowhere_and_a_registry_that_is_down(release: Release) -> None:
    nowhere = verify(release.project, "9.9.9", release.where)
    with socket.create_server(("localhost", 0)) as held:
        port = held.getsockname()[1]
    down = verify(release.project, "1.0.0", f"localhost:{port}/evidence/house-price")

    assert (nowhere.returncode, down.returncode) == (1, 1)
    assert "there is no" in nowhere.stdout
    assert "cannot be asked" in down.stdout
    assert "Traceback" not in nowhere.stderr + down.stderr


def test_a_key_of_one_s_own_is_named_by_the_environment(release: Release, bare: str, tmp_path: Path) -> None:
    theirs = new_key(tmp_path / "theirs")
    say(release, bare, theirs)
    done = release.project.ship("verify", bare, COSIGN_PUBLIC_KEY=str(theirs.public))

    assert done.returncode == 0, done.stdout


def test_a_stranger_verifies_with_cosign_alone(release: Release) -> None:
    """Nobody needs `./ship` to check: the public key and cosign do."""
    reference = f"{release.where.split()[0]}:1.0.0"
    trust = ("--key", str(release.key.public), "--insecure-ignore-tlog=true")

    assert release.digest in cosign("verify", *trust, reference)
    [statement] = release.key.statements(reference, BILL)
    assert statement["subject"][0]["digest"]["sha256"] == release.digest.removeprefix("sha256:")

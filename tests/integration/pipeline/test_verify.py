"""`./ship verify`: evidence that is complete passes, and each piece that is missing or false is named."""

import copy
import shutil
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.integration.checkout import Checkout
from tests.integration.cosign import BILL, PROVENANCE, TESTS, Key, cosign, new_key
from tests.integration.program import run
from tests.integration.proxy import Answer, Asked, in_front_of
from tests.integration.registry import Registry, layout_digest, push, relabelled


@dataclass(frozen=True)
class Release:
    """A version that was published to two registries, with its evidence."""

    project: Checkout
    key: Key
    where: str
    """SHIP_REGISTRIES"""
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
    done = project.ship("publish", SHIP_REGISTRIES=where)
    assert done.returncode == 0, done.stdout
    release = Release(project, Key(own_key), where)
    for kind in (BILL, PROVENANCE, TESTS):
        [statement] = release.key.statements(f"{where.split(maxsplit=1)[0]}@{release.digest}", kind)
        release.said[kind] = statement["predicate"]
    return release


@pytest.fixture
def bare(release: Release, registry: Registry, repository: str) -> str:
    """The same image by digest in a repository where it has no evidence."""
    push(release.project.layout, f"{registry.host}/{repository}:1.0.0")
    return f"{registry.host}/{repository}@{release.digest}"


def verify(project: Checkout, reference: str, where: str = "") -> "subprocess.CompletedProcess[str]":
    return project.ship("verify", reference, **({"SHIP_REGISTRIES": where} if where else {}))


def say(release: Release, reference: str, key: Key | None = None, **changed: dict[str, Any] | None) -> None:
    """Sign `reference` and attach the evidence of the release, with what is `changed`."""
    key = key or release.key
    said = {"bill": release.said[BILL], "provenance": release.said[PROVENANCE], "tests": release.said[TESTS]}
    for name, predicate in {**said, **changed}.items():
        if predicate is not None:
            key.attest(reference, {"bill": BILL, "provenance": PROVENANCE, "tests": TESTS}[name], predicate)
    key.sign(reference)


def refused(done: "subprocess.CompletedProcess[str]", *reasons: str) -> None:
    """Check that these are all faults, in one sentence."""
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    [why] = [line for line in done.stdout.splitlines() if line.startswith("  why: ")]
    assert "cannot be trusted: " in why
    found = why.partition("cannot be trusted: ")[2].split("; ")
    assert len(found) == len(reasons), why
    for reason, one in zip(reasons, found, strict=True):
        assert reason in one


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
def test_a_published_image_is_trusted_in_every_registry(release: Release, name: str) -> None:
    reference = name.replace("REVISION", release.project.revision).replace("DIGEST", release.digest)
    done = verify(release.project, reference, release.where)

    assert done.returncode == 0, done.stdout
    assert release.digest in done.stdout
    for fact in ("valid", f"commit {release.project.revision[:12]} on ", "1 passed on linux/amd64", "components"):
        assert done.stdout.count(fact) == 2, fact


def test_a_full_reference_is_looked_up_in_its_registry_only(release: Release) -> None:
    assert verify(release.project, f"{release.where.split()[1]}:1.0").returncode == 0
    assert verify(release.project, f"{release.where.split()[1]}@{release.digest}").returncode == 0


def test_evidence_attached_by_hand_is_trusted(release: Release, bare: str) -> None:
    """So that in the tests below only the change can be the reason."""
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
    """The registries after somebody pushed another image under the version in one of them."""
    where = "moved/house-price"
    push(release.project.layout, f"{registry.host}/{where}:1.0.0")
    push(other, f"{second_registry.host}/{where}:1.0.0")
    return f"{registry.host}/{where} {second_registry.host}/{where}"


def test_another_image_under_the_tag_in_one_registry_is_refused(release: Release, moved: str) -> None:
    done = verify(release.project, "1.0.0", moved)

    assert done.returncode == 1
    assert "the registries disagree" in done.stdout


def test_evidence_by_another_key_is_refused(release: Release, bare: str, tmp_path: Path) -> None:
    say(release, bare, new_key(tmp_path / "theirs"))

    kinds = ("signature", "provenance", "test result", "bill of materials")
    refused(verify(release.project, bare), *(f"no {kind} by the key" for kind in kinds))


def test_a_signature_by_another_key_is_refused(release: Release, bare: str, tmp_path: Path) -> None:
    for kind, predicate in release.said.items():
        release.key.attest(bare, kind, predicate)
    new_key(tmp_path / "theirs").sign(bare)

    refused(verify(release.project, bare), "no signature by the key")


def test_a_missing_signature_is_refused(release: Release, bare: str) -> None:
    for kind, predicate in release.said.items():
        release.key.attest(bare, kind, predicate)

    refused(verify(release.project, bare), "no signature by the key")


@pytest.mark.parametrize(
    ("name", "subject"), [("provenance", "provenance"), ("tests", "test result"), ("bill", "bill of materials")]
)
def test_a_missing_statement_is_refused(release: Release, registry: Registry, name: str, subject: str) -> None:
    repository = f"missing-{name}/house-price"
    push(release.project.layout, f"{registry.host}/{repository}:1.0.0")
    reference = f"{registry.host}/{repository}@{release.digest}"
    say(release, reference, **{name: None})

    refused(verify(release.project, reference), f"no {subject} by the key")


def test_a_bill_of_materials_of_another_image_is_refused(release: Release, bare: str) -> None:
    bill = release.said[BILL]
    say(release, bare, bill=changed(bill, "metadata.component", {"type": "container", "name": "house-price"}))

    refused(verify(release.project, bare), "the bill of materials is for another image")


def test_provenance_for_another_commit_is_refused(release: Release, bare: str) -> None:
    commit = "buildDefinition.resolvedDependencies.0.digest.gitCommit"
    say(release, bare, provenance=changed(release.said[PROVENANCE], commit, "0" * 40))

    refused(verify(release.project, bare), "provenance is for commit 000000000000")


def test_a_commit_that_is_not_on_this_branch_is_refused(release: Release, tmp_path: Path) -> None:
    """The evidence is right, but its commit is not in the history of the verifying clone."""
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
    assert "next: git fetch origin" in done.stdout


def test_a_failed_test_result_is_refused(release: Release, bare: str) -> None:
    say(release, bare, tests=changed(release.said[TESTS], "result", "FAILED"))

    refused(verify(release.project, bare), "the test result is FAILED")


def test_a_failed_test_result_beside_a_passed_one_is_refused(release: Release, bare: str) -> None:
    say(release, bare)
    release.key.attest(bare, TESTS, changed(release.said[TESTS], "result", "FAILED"))

    refused(verify(release.project, bare), "the test result is FAILED")


def test_a_platform_without_a_test_result_is_refused(release: Release, bare: str) -> None:
    annotation = "configuration.0.annotations.platform"
    say(release, bare, tests=changed(release.said[TESTS], annotation, "linux/s390x"))

    refused(verify(release.project, bare), "not tested on linux/amd64")


def test_a_malformed_statement_is_refused(release: Release, bare: str) -> None:
    say(release, bare, tests={"result": "PASSED", "configuration": ["tests/integration"]})

    refused(verify(release.project, bare), "the test result is malformed")


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("annotations.passed", 0, "0 passed and 0 failed on linux/amd64"),
        ("annotations.failed", 90, "1 passed and 90 failed on linux/amd64"),
        ("name", "tests/easy", "tests/easy, which is not a suite of this project"),
        ("digest.gitCommit", "0" * 40, "for a commit other than"),
    ],
)
def test_a_passed_test_result_without_tests_is_refused(
    release: Release, registry: Registry, path: str, value: object, reason: str
) -> None:
    repository = f"tested/{path.lower().replace('.', '-')}"
    push(release.project.layout, f"{registry.host}/{repository}:1.0.0")
    reference = f"{registry.host}/{repository}@{release.digest}"
    say(release, reference, tests=changed(release.said[TESTS], f"configuration.0.{path}", value))

    refused(verify(release.project, reference), reason)


def test_a_version_tag_on_another_version_is_refused(release: Release, bare: str) -> None:
    say(release, bare)
    repository = bare.partition("@")[0]
    push(release.project.layout, f"{repository}:2.0.0")
    done = verify(release.project, f"{repository}:2.0.0")

    assert done.returncode == 1
    assert "labels say version 1.0.0" in done.stdout


def say_of_another(release: Release, repository: str, layout: Path) -> None:
    """Sign and attest the image in `layout`, the release with other labels, like a release."""
    digest = layout_digest(layout)
    hashes = [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}]
    bill = changed(release.said[BILL], "metadata.component.hashes", hashes)
    say(release, f"{repository}@{digest}", bill=bill)


def test_an_alias_on_an_older_line_or_a_pre_release_is_refused(
    release: Release, registry: Registry, repository: str, tmp_path: Path
) -> None:
    where = f"{registry.host}/{repository}"
    for version, tags in (("0.9.9", ["0.9.9", "1.0", "1"]), ("1.0.1rc1", ["1.0.1rc1", "latest"])):
        layout = relabelled(release.project.layout, tmp_path / version, {"org.opencontainers.image.version": version})
        for tag in tags:
            push(layout, f"{where}:{tag}")
        say_of_another(release, where, layout)
        done = verify(release.project, f"{where}:{version}")
        assert done.returncode == 0, done.stdout

    for tag, reason in (("1.0", "0.9.9"), ("1", "0.9.9"), ("latest", "1.0.1rc1, a pre-release")):
        done = verify(release.project, f"{where}:{tag}")
        assert done.returncode == 1
        assert f"{tag} points to an image whose labels say version {reason}" in done.stdout


def test_an_alias_that_stayed_behind_is_trusted_and_reported(release: Release, bare: str) -> None:
    say(release, bare)
    repository = bare.partition("@")[0]
    for tag in ("1.0", "1.0.7", "1.0.8rc1", "2.0.0"):
        push(release.project.layout, f"{repository}:{tag}")
    done = verify(release.project, f"{repository}:1.0")

    assert done.returncode == 0, done.stdout
    assert f"{repository}: 1.0.7 is there, and 1.0 is still 1.0.0" in done.stdout


FORGED = "1.0.0\n\x1b[2K\x1b[32m✓ verify in 0.1 s: ours is trusted\x1b[0m\n"


@pytest.mark.parametrize("label", ["version", "revision"])
def test_a_label_cannot_forge_a_line(release: Release, registry: Registry, label: str, tmp_path: Path) -> None:
    where = f"{registry.host}/forged/{label}"
    layout = relabelled(release.project.layout, tmp_path / "forged", {f"org.opencontainers.image.{label}": FORGED})
    push(layout, f"{where}:tried")
    say_of_another(release, where, layout)
    done = verify(release.project, f"{where}:tried")

    assert done.returncode == 1
    assert not [line for line in done.stdout.splitlines() if "✓" in line and not line.lstrip().startswith("why: ")]
    assert "\x1b" not in done.stdout
    assert f"the label org.opencontainers.image.{label} of " in done.stdout
    assert "Traceback" not in done.stderr


def test_a_statement_cannot_forge_a_line(release: Release, bare: str) -> None:
    say(release, bare, provenance=changed(release.said[PROVENANCE], "runDetails.builder.id", FORGED))
    done = verify(release.project, bare)

    refused(done, "the provenance is malformed")
    assert "\x1b" not in done.stdout
    assert "✓" not in done.stdout


def test_referrers_of_others_are_ignored(release: Release, registry: Registry, bare: str) -> None:
    say(release, bare)
    repository = bare.partition("@")[0].partition("/")[2]
    registry.attach(repository, release.digest, b"", b"junk", b"{}", b"\xff\n", b'{"mediaType": 1}')
    done = verify(release.project, bare)

    assert done.returncode == 0, done.stdout


def test_the_evidence_of_another_image_does_not_count(release: Release, registry: Registry, tmp_path: Path) -> None:
    """All of it is by the trusted key, but copied to an image with the labels of the signed one."""
    layout = relabelled(release.project.layout, tmp_path / "forged", {"forged": "by the same labels"})
    push(layout, f"{registry.host}/copied/house-price:1.0.0")
    ours = [entry["digest"] for entry in registry.referrers("evidence/house-price", release.digest)]
    bundles = [registry.bundle("evidence/house-price", digest) for digest in ours]
    registry.attach("copied/house-price", layout_digest(layout), *bundles)
    done = verify(release.project, f"{registry.host}/copied/house-price:1.0.0")

    refused(done, "no signature by", "no provenance by", "no test result by", "no bill of materials by")
    assert len(bundles) == 4


def test_more_referrers_than_the_limit_are_refused(release: Release, registry: Registry, bare: str) -> None:
    say(release, bare)
    repository = bare.partition("@")[0].partition("/")[2]
    registry.attach(repository, release.digest, *(b"junk %d" % number for number in range(97)))
    done = verify(release.project, bare)

    assert done.returncode == 1
    assert "101 referrers, and the limit is 100" in done.stdout


def test_publishing_again_restores_deleted_evidence_and_keeps_that_of_others(
    release: Release, registry: Registry, second_registry: Registry, tmp_path: Path
) -> None:
    project = Checkout(tmp_path / "project")
    shutil.copytree(release.project.path, project.path)
    repository = "deleted/house-price"
    where = f"{registry.host}/{repository} {second_registry.host}/{repository}"
    assert project.ship("publish", SHIP_REGISTRIES=where).returncode == 0
    [theirs] = second_registry.attach(repository, release.digest, b"a note of somebody else")
    before = second_registry.referrers(repository, release.digest)
    gone = [
        entry["digest"] for entry in before if kind_of(second_registry, repository, entry["digest"]) in {TESTS, BILL}
    ]
    for digest in gone:
        second_registry.delete(repository, digest)

    unread = "(3 of its referrers could not be read)"  # with the note, which is none
    reasons = (f"no test result by the key {release.key.public} {unread}", "no bill of materials by the key")
    refused(verify(project, "1.0.0", where), *reasons)
    again = project.ship("publish", SHIP_REGISTRIES=where)
    assert again.returncode == 0, again.stdout
    assert "2 deleted referrers: removed" in again.stdout
    assert verify(project, "1.0.0", where).returncode == 0
    after = {entry["digest"] for entry in second_registry.referrers(repository, release.digest)}
    assert len(gone) == 2
    assert {entry["digest"] for entry in before} - set(gone) < after
    assert theirs in after
    assert len(after) == 5


def kind_of(registry: Registry, repository: str, digest: str) -> str:
    annotations = registry.manifest(repository, digest).get("annotations", {})
    return str(annotations.get("dev.sigstore.bundle.predicateType", ""))


@pytest.mark.parametrize("status", [500, 403])
def test_a_registry_that_lists_no_referrers_is_an_error(release: Release, registry: Registry, status: int) -> None:
    def refuse(asked: Asked) -> Answer:
        return Answer(status) if "/referrers/" in asked.path else asked.truth()

    with in_front_of(registry, refuse) as proxy:
        reference = f"{proxy.host}/evidence/house-price@{release.digest}"
        done = verify(release.project, reference)

    assert done.returncode == 1
    assert f"{proxy.host} does not list the referrers of {reference}: " in done.stdout
    assert str(status) in done.stdout
    assert "no signature" not in done.stdout


def test_a_registry_that_never_lists_its_referrers_is_named(release: Release, registry: Registry) -> None:
    """With a limit of one second instead of a minute."""
    program = """import sys
from scripts.evidence import referrers
from scripts.grammar import Digest, Repository
referrers.SECONDS = 1
referrers.read(Repository(sys.argv[1]), Digest(sys.argv[2]))"""
    over = threading.Event()

    def keep_silent(asked: Asked) -> Answer:
        if "/referrers/" in asked.path:
            over.wait(60)
        return asked.truth()

    began = time.monotonic()
    with in_front_of(registry, keep_silent) as proxy:
        done = subprocess.run(
            [sys.executable, "-c", program, f"{proxy.host}/evidence/house-price", release.digest],
            cwd=release.project.path, check=False, capture_output=True, text=True, timeout=50,
        )  # fmt: skip
        over.set()

    assert f"Failure: {proxy.host} gave no answer within 1 s" in done.stderr
    assert time.monotonic() - began < 30


def test_an_unknown_image_and_a_dead_registry_are_named(release: Release) -> None:
    nowhere = verify(release.project, "9.9.9", release.where)
    with socket.create_server(("localhost", 0)) as held:
        port = held.getsockname()[1]
    down = verify(release.project, "1.0.0", f"localhost:{port}/evidence/house-price")

    assert (nowhere.returncode, down.returncode) == (1, 1)
    assert "not found" in nowhere.stdout
    assert "does not send" in down.stdout
    assert "Traceback" not in nowhere.stderr + down.stderr


def test_the_environment_names_a_key(release: Release, bare: str, tmp_path: Path) -> None:
    theirs = new_key(tmp_path / "theirs")
    say(release, bare, theirs)
    done = release.project.ship("verify", bare, COSIGN_PUBLIC_KEY=str(theirs.public))

    assert done.returncode == 0, done.stdout


def test_a_user_without_the_key_must_name_it_and_gets_none(release: Release, tmp_path: Path) -> None:
    reference = f"{release.where.split()[0]}:1.0.0"
    done = release.project.ship("verify", reference, XDG_CONFIG_HOME=str(tmp_path))

    assert done.returncode == 1
    assert f"you have no key {tmp_path}/shipshape/cosign.pub" in done.stdout
    assert "next: COSIGN_PUBLIC_KEY=" in done.stdout
    assert list(tmp_path.iterdir()) == []

    public = str(release.key.public)
    again = release.project.ship("verify", reference, XDG_CONFIG_HOME=str(tmp_path), COSIGN_PUBLIC_KEY=public)
    assert again.returncode == 0, again.stdout


def test_an_unreadable_key_is_not_a_missing_signature(release: Release, tmp_path: Path) -> None:
    reference = f"{release.where.split()[0]}:1.0.0"
    done = release.project.ship("verify", reference, COSIGN_PUBLIC_KEY=str(tmp_path / "nowhere.pub"))

    assert done.returncode == 1
    assert "cosign could not check what the key" in done.stdout
    assert "nowhere.pub" in done.stdout
    assert "no signature" not in done.stdout


def test_a_stranger_verifies_with_cosign_alone(release: Release) -> None:
    """The public key and cosign are enough, without `./ship`."""
    reference = f"{release.where.split()[0]}:1.0.0"
    trust = ("--key", str(release.key.public), "--insecure-ignore-tlog=true")

    assert release.digest in cosign("verify", *trust, reference)
    [statement] = release.key.statements(reference, BILL)
    assert statement["subject"][0]["digest"]["sha256"] == release.digest.removeprefix("sha256:")

"""Verification: which evidence an image needs, and what is printed of it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from scripts import checkout, console, git
from scripts.artifacts import Built, Counts, Passed
from scripts.errors import Failure
from scripts.evidence import cosign, referrers, signer, statements, verification
from scripts.evidence.referrers import Referrers
from scripts.evidence.signer import KeyPair, Signer, Workflow
from scripts.evidence.statements import PROVENANCE, SBOM, TESTS, Claim
from scripts.evidence.verification import Kind, Verified, examine_kind
from scripts.grammar import (
    Caller,
    Column,
    Digest,
    Identity,
    Key,
    Name,
    Platform,
    Reference,
    RelativePath,
    Repository,
    Revision,
    Tag,
    Version,
    WorkTree,
)
from scripts.oci import registry
from scripts.oci.labels import Release
from scripts.stages import verify
from tests.unit.scripts.shelf import GHCR, HUB, OURS, THEIRS, Shelf

REVISION = Revision("a" * 40)
DIGEST = OURS
AMD, ARM = Platform("linux/amd64"), Platform("linux/arm64")
KEY = KeyPair(None, Key("ours.pub"))
HOME = "https://github.com/me/x"
GITHUB = Workflow(Identity(f"{HOME}/.github/workflows/publish.yml@refs/heads/main"), Caller(f"{HOME}@refs/heads/main"))
BUILDER = GITHUB.as_file("image.yml")
KINDS = {
    "signature": cosign.SIGNATURE,
    "provenance": PROVENANCE,
    "test result": TESTS,
    "bill of materials": SBOM,
}


def claim(version: str) -> Claim:
    return Claim(Release(Version(version), DIGEST, REVISION), frozenset({AMD}))


@pytest.fixture
def stated(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The statements of the trusted signer, for a test to fill."""
    statements: list[bytes] = []
    monkeypatch.setattr(cosign, "statements", lambda _attached, _who, _type: list(statements))
    monkeypatch.setattr(cosign, "explain_refusal", lambda _attached, _who, _type: "")
    return statements


def fact(predicate: bytes) -> str:
    if predicate != b"true":
        raise Failure("it is false", "./ship it again")
    return "true"


def found(unread: int = 0) -> tuple[str, str, str]:
    one = examine_kind(
        Referrers(Repository("ghcr.io/me/x"), DIGEST, (), unread), Kind("test result", KEY, "type", fact)
    )
    assert (one.subject, one.repository) == ("test result", "ghcr.io/me/x")
    return one.fact, one.fault, one.remedy


def test_a_missing_statement_is_a_fault(stated: list[bytes]) -> None:
    assert found() == ("", "no test result by the key ours.pub", "")
    assert found(unread=2) == ("", "no test result by the key ours.pub (2 of its referrers could not be read)", "")
    assert stated == []


def test_a_fault_says_why_cosign_rejects_the_statements(stated: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    assert stated == []
    monkeypatch.setattr(
        cosign, "explain_refusal", lambda found, who, kind: f"{found.repository} {who.public} {kind} is not theirs"
    )
    reason = "no test result by the key ours.pub%s: ghcr.io/me/x ours.pub type is not theirs"

    assert found() == ("", reason % "", "")
    assert found(unread=2) == ("", reason % " (2 of its referrers could not be read)", "")


def test_a_statement_is_a_fact_when_all_of_its_kind_are_true(stated: list[bytes]) -> None:
    stated += [b"true"]
    assert found(unread=2) == ("true", "", "")

    stated += [b"true", b"false"]
    assert found() == ("", "it is false", "./ship it again")


def test_four_kinds_of_evidence_are_required_with_provenance_by_the_builder() -> None:
    of_github, of_key = (verification.required_evidence(who, claim("1.0.0")) for who in (GITHUB, KEY))

    assert [(kind.subject, kind.type) for kind in of_github] == list(KINDS.items())
    assert [kind.who for kind in of_github] == [GITHUB, BUILDER, GITHUB, GITHUB]
    assert [(kind.subject, kind.type) for kind in of_key] == list(KINDS.items())
    assert {kind.who for kind in of_key} == {KEY}


IMAGE = Built(
    digest=OURS,
    platforms={AMD: OURS, ARM: OURS},
    size=1,
    version=Version("1.0.3"),
    revision=WorkTree(REVISION),
    model_format="onnx",
    base="python",
    pipeline=WorkTree(REVISION),
    name=Name("x"),
    data=RelativePath("x.csv"),
    target=Column("y"),
)
DOCUMENT = {
    "metadata": {"component": {"type": "container", "hashes": [{"alg": "SHA-256", "content": OURS.encoded}]}},
    "components": [{"type": "library"}, {"type": "machine-learning-model"}],
}


@dataclass
class Evidence:
    """The labels of the image OURS, version 1.0.3, and its evidence in HUB and GHCR."""

    shelf: Shelf
    who: Signer = KEY
    labels: dict[str, str] = field(default_factory=dict)
    platforms: list[Platform] = field(default_factory=lambda: [ARM, AMD])
    stated: dict[tuple[Repository, Signer, str], list[bytes]] = field(default_factory=dict)
    read: list[tuple[Repository, Digest]] = field(default_factory=list)
    """The images whose referrers were read."""

    def attach_all(self, who: Signer, provenance: dict[str, Any]) -> None:
        """Attach in both registries, as `who`, what `./ship publish` attaches."""
        self.who = who
        records = [Passed(OURS, platform, "tests/integration", Counts(7, 0, 0)) for platform in (AMD, ARM)]
        predicates = {
            cosign.SIGNATURE: {},
            PROVENANCE: provenance,
            TESTS: statements.make_test_result(records, IMAGE),
            SBOM: DOCUMENT,
        }
        for repository in (HUB, GHCR):
            for kind, predicate in predicates.items():
                by = signer.provenance_signer(who) if kind == PROVENANCE else who
                self.stated[repository, by, kind] = [json.dumps(predicate).encode()]

    def verifier(self, repositories: Iterable[Repository]) -> Signer:
        assert tuple(repositories) == (HUB, GHCR)
        return self.who

    def referrers(self, repository: Repository, digest: Digest) -> Referrers:
        self.read.append((repository, digest))
        return Referrers(repository, digest, ())

    def statements(self, attached: Referrers, who: Signer, kind: str) -> list[bytes]:
        return self.stated.get((attached.repository, who, kind), [])

    def of(self, reference: Reference, what: Any) -> Any:
        assert reference == HUB.at(OURS), "the tag may have moved by now"
        return what


@pytest.fixture
def evidence(monkeypatch: pytest.MonkeyPatch) -> Evidence:
    """An image with all its evidence, by a key, in both registries."""
    monkeypatch.setattr(checkout, "repository", lambda _root=None: HOME)
    monkeypatch.setattr(checkout, "is_in", lambda revision, branch, _root: (revision, branch) == (REVISION, "main"))
    evidence = Evidence(Shelf().install(monkeypatch))
    evidence.labels = {f"org.opencontainers.image.{name}": value for name, value in
                    {"version": "1.0.3", "revision": REVISION, "title": "x"}.items()}  # fmt: skip
    evidence.attach_all(KEY, statements.make_provenance(IMAGE))
    for repository in (HUB, GHCR):
        for name in ("1.0.3", "1.0", "latest", f"sha-{REVISION}"):
            evidence.shelf.put(repository, name, OURS)
    monkeypatch.setattr(registry, "labels", lambda reference: evidence.of(reference, evidence.labels))
    monkeypatch.setattr(registry, "platforms", lambda reference: evidence.of(reference, evidence.platforms))
    monkeypatch.setattr(verification, "require_cosign", lambda: None)
    monkeypatch.setattr(signer, "require_verifier", evidence.verifier)
    monkeypatch.setattr(referrers, "read", evidence.referrers)
    monkeypatch.setattr(cosign, "statements", evidence.statements)
    return evidence


def test_an_image_with_complete_and_true_evidence_is_verified(evidence: Evidence) -> None:
    assert verification.verified("1.0.3") == Verified(Release(Version("1.0.3"), OURS, REVISION), (HUB, GHCR), DOCUMENT)
    assert set(evidence.read) == {(HUB, OURS), (GHCR, OURS)}
    assert verify.verify("latest") == f"latest is {OURS}, version 1.0.3 of commit {REVISION.short}"


def test_the_evidence_is_printed_by_kind_and_registry(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console.console, "width", 400)
    del evidence.stated[GHCR, KEY, cosign.SIGNATURE]
    with pytest.raises(Failure):
        verify.verify("1.0.3")
    out = capsys.readouterr().out

    cells = [line.replace("┃", "│").split("│")[1:-1] for line in out.splitlines()]
    tested = "7 passed on linux/amd64 (tests/integration), 7 passed on linux/arm64 (tests/integration)"
    assert [[cell.strip() for cell in row] for row in cells if row] == [
        ["evidence", HUB, GHCR],
        ["digest", OURS, OURS],
        ["signature", "valid", "no signature by the key ours.pub"],
        ["provenance", *[f"commit {REVISION.short} on main"] * 2],
        ["test result", *[tested] * 2],
        ["bill of materials", *["2 components"] * 2],
    ]
    assert out.splitlines()[-2:] == [
        f"  version 1.0.3, commit {REVISION}, linux/amd64, linux/arm64",
        "  trusted: the key ours.pub",
    ]


@pytest.mark.parametrize("place", [HUB, GHCR])
@pytest.mark.parametrize(("subject", "kind"), KINDS.items())
def test_evidence_that_is_missing_in_one_registry_is_named(
    evidence: Evidence, place: Repository, subject: str, kind: str
) -> None:
    del evidence.stated[place, KEY, kind]

    with pytest.raises(Failure) as refused:
        verification.verified("1.0.3")
    assert refused.value.reason == f"1.0.3 cannot be trusted: {place}: no {subject} by the key ours.pub"
    assert refused.value.remedy == ""


def test_every_fault_is_named_with_the_first_remedy(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout, "is_in", lambda *_: False)
    monkeypatch.setattr(git, "line", lambda *_, **__: "true")
    del evidence.stated[HUB, KEY, cosign.SIGNATURE]
    del evidence.stated[GHCR, KEY, TESTS]

    with pytest.raises(Failure) as refused:
        verification.verified("1.0.3")
    elsewhere = f"commit {REVISION.short} is not on main in this clone"
    assert refused.value.reason == "1.0.3 cannot be trusted: " + "; ".join([
        f"{HUB}: no signature by the key ours.pub", f"{HUB}: {elsewhere}",
        f"{GHCR}: {elsewhere}", f"{GHCR}: no test result by the key ours.pub",
    ])  # fmt: skip
    assert refused.value.remedy.startswith("git fetch --unshallow origin")


OTHER = Revision("b" * 40)


@pytest.mark.parametrize(
    ("changed", "reasons"),
    [
        ({"platforms": [AMD]}, ["tested on linux/amd64, linux/arm64, but the image is for linux/amd64"]),
        (
            {"revision": OTHER},
            ["provenance is for commit a{12}, but the image is from b{12}", "for a commit other than b"],
        ),
        ({"digest": THEIRS}, ["the bill of materials is for another image"]),
    ],
    ids=["platforms", "revision", "digest"],
)
def test_evidence_for_another_image_does_not_count(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], reasons: list[str]
) -> None:
    evidence.platforms = changed.get("platforms", evidence.platforms)
    evidence.labels["org.opencontainers.image.revision"] = changed.get("revision", REVISION)
    digest = changed.get("digest", OURS)
    for repository in (HUB, GHCR):
        evidence.shelf.put(repository, "1.0.3", digest)
    monkeypatch.setattr(evidence, "of", lambda _reference, what: what)

    with pytest.raises(Failure) as refused:
        verification.verified("1.0.3")
    for reason in reasons:
        refused.match(reason)
    assert refused.value.reason.count("; ") == 2 * len(reasons) - 1


@pytest.mark.parametrize("name", ["version", "revision"])
@pytest.mark.parametrize("value", [None, "none at all"])
def test_an_image_without_labels_cannot_be_verified(evidence: Evidence, name: str, value: str | None) -> None:
    del evidence.labels[f"org.opencontainers.image.{name}"]
    if value is not None:
        evidence.labels[f"org.opencontainers.image.{name}"] = value

    with pytest.raises(
        Failure, match=f"the label org.opencontainers.image.{name} of {HUB}@{OURS}: {value or ''!r} is not a "
    ):
        verification.verified("1.0.3")
    assert evidence.read == []


def test_a_tag_on_the_wrong_image_is_refused_before_its_evidence_is_read(evidence: Evidence) -> None:
    for repository in (HUB, GHCR):
        evidence.shelf.put(repository, "2.0.0", OURS)

    with pytest.raises(Failure, match=r"2\.0\.0 points to an image whose labels say version 1\.0\.3"):
        verification.verified("2.0.0")
    assert evidence.read == []


def by_github(builder: str) -> dict[str, Any]:
    """The part of GitHub's provenance that is checked (https://github.com/actions/attest)."""
    source = {"uri": f"git+{HOME}@refs/heads/main", "digest": {"gitCommit": REVISION}}
    return {"buildDefinition": {"resolvedDependencies": [source]}, "runDetails": {"builder": {"id": builder}}}


def test_a_trusted_workflow_needs_provenance_by_its_builder(evidence: Evidence) -> None:
    evidence.stated.clear()
    evidence.attach_all(GITHUB, by_github(BUILDER.identity))
    assert verification.verified("1.0.3").release.digest == OURS

    evidence.attach_all(GITHUB, by_github(GITHUB.identity))
    with pytest.raises(Failure, match=r"provenance is by \S+publish\.yml@\S+, not by \S+image\.yml@refs/heads/main"):
        verification.verified("1.0.3")


@pytest.mark.parametrize("name", ["1.0", "latest"])
def test_an_alias_that_stayed_behind_is_reported_for_its_registry(
    evidence: Evidence, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    evidence.shelf.put(GHCR, "1.0.7", THEIRS)

    assert verify.verify(name).startswith(f"{name} is {OURS}")
    lines = [line for line in capsys.readouterr().out.splitlines() if " is there, " in line]
    assert lines == [f"  {GHCR}: 1.0.7 is there, and {name} is still 1.0.3"]


@pytest.mark.parametrize("name", ["1.0.3", f"sha-{REVISION}", OURS])
def test_newer_releases_are_looked_up_for_aliases_only(evidence: Evidence, name: str) -> None:
    for repository in (HUB, GHCR):
        evidence.shelf.held[repository.at(OURS)] = OURS

    assert verify.verify(name).startswith(f"{name} is {OURS}")
    assert not [event for event in evidence.shelf.events if event.startswith("list")]


@pytest.mark.usefixtures("evidence")
def test_an_unreadable_tag_list_is_reported_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def tags(repository: Repository) -> list[Tag]:
        if repository == HUB:
            raise Failure("docker.io gives no list")
        return [Tag("2.0.0")]

    monkeypatch.setattr(registry, "tags", tags)

    assert verify.verify("latest").startswith(f"latest is {OURS}")
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"  {HUB}: whether a newer release is there is not known: docker.io gives no list",
        f"  {GHCR}: 2.0.0 is there, and latest is still 1.0.3",
    ]


def test_faults_are_printed_in_red_and_facts_in_green(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    styles: dict[str, str] = {}
    row = console.Rows.row

    def noted(self: console.Rows, *cells: Any) -> None:
        styles.update({cell.plain: str(cell.style) for cell in cells if not isinstance(cell, str)})
        row(self, *cells)

    monkeypatch.setattr(console.Rows, "row", noted)
    del evidence.stated[HUB, KEY, SBOM]
    with pytest.raises(Failure):
        verify.verify("1.0.3")

    assert styles["valid"] == "green"
    assert styles["no bill of materials by the key ours.pub"] == "bold red"

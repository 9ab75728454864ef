"""What a tag may point to, and what becomes of the evidence for an image."""

import pytest

from scripts import cosign, verify
from scripts.evidence import Claim
from scripts.failure import Failure
from scripts.grammar import Caller, Digest, Identity, Key, Platform, Repository, Revision, Tag, Version
from scripts.referrers import Referrers
from scripts.signer import KeyPair, Workflow
from scripts.verify import Kind, check_tag, finding, newer

REVISION = Revision("a" * 40)
DIGEST = Digest(f"sha256:{'1' * 64}")
KEY = KeyPair(None, Key("ours.pub"))


def claim(version: str) -> Claim:
    return Claim(DIGEST, Version(version), REVISION, frozenset({Platform("linux/amd64")}))


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        ("1.0.3", "1.0.3"),
        ("1.0.3rc1", "1.0.3rc1"),
        ("1.0", "1.0.3"),
        ("1", "1.0.3"),
        ("latest", "1.0.3"),
        ("latest", "0.9.9"),
        ("0.9", "0.9.9"),
        ("10", "10.0.0"),
        (f"sha-{REVISION}", "1.0.3rc1"),
        ("", "1.0.3rc1"),
        ("tried-by-ada", "1.0.3rc1"),
    ],
)
def test_a_tag_that_points_to_what_it_says(tag: str, version: str) -> None:
    check_tag(Tag(tag) if tag else None, claim(version))


@pytest.mark.parametrize(
    ("tag", "version", "reason"),
    [
        ("1.0.0", "1.0.3", "1.0.0 points to an image that says it is version 1.0.3"),
        ("1.0.0", "1.0.0rc1", "says it is version 1.0.0rc1"),
        ("1.0", "0.9.9", "1.0 points to an image that says it is version 0.9.9"),
        ("1.0", "1.1.0", "says it is version 1.1.0"),
        ("1.0", "11.0.0", "says it is version 11.0.0"),
        ("1", "10.0.0", "says it is version 10.0.0"),
        ("1", "0.1.0", "says it is version 0.1.0"),
        ("1.0", "1.0.3rc1", "1.0.3rc1, which is no release"),
        ("1", "1.0.3b2", "1.0.3b2, which is no release"),
        ("latest", "2.0.0a1", "2.0.0a1, which is no release"),
        ("v1.0.3", "1.0.3", "v1.0.3 reads like a version"),
        ("01.0.3", "1.0.3", "reads like a version"),
        ("1.0.3-rc1", "1.0.3", "reads like a version"),
        ("1.0.3.0", "1.0.3", "reads like a version"),
        ("LATEST", "1.0.3", "reads like a version"),
        (f"SHA-{REVISION}", "1.0.3", "reads like a version or a commit"),
        (f"sha-{'b' * 40}", "1.0.3", f"says it is of commit {REVISION}"),
        (f"sha-{REVISION[:-1]}", "1.0.3", "says it is of commit"),
        ("sha-", "1.0.3", "says it is of commit"),
    ],
)
def test_a_tag_that_points_to_something_else(tag: str, version: str, reason: str) -> None:
    with pytest.raises(Failure, match=reason):
        check_tag(Tag(tag), claim(version))


@pytest.mark.parametrize(
    ("tag", "tags", "later"),
    [
        ("1.0", ["1.0.3", "1.0.10", "1.0.9"], "1.0.10"),
        ("1.0", ["1.0.3", "1.1.0", "10.0.0", "1.0.4rc1", "1.0", "latest", "sha-1.0.9", "01.0.9"], ""),
        ("1", ["1.0.3", "1.1.0", "2.0.0", "10.0.0"], "1.1.0"),
        ("latest", ["1.0.3", "2.0.0", "10.0.0"], "10.0.0"),
        ("latest", ["0.9.0"], ""),
        ("latest", [], ""),
    ],
)
def test_a_release_that_an_alias_stayed_behind(tag: str, tags: list[str], later: str) -> None:
    assert newer(tag, Version("1.0.3"), tags) == later


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the trusted signer said, to be filled."""
    statements: list[bytes] = []
    monkeypatch.setattr(cosign, "statements", lambda _said, _who, _type: list(statements))
    monkeypatch.setattr(cosign, "refusal", lambda _said, _who, _type: "")
    return statements


def fact(predicate: bytes) -> str:
    if predicate != b"true":
        raise Failure("it is false", "./ship it again")
    return "true"


def found(unread: int = 0) -> tuple[str, str, str]:
    one = finding(Referrers(Repository("ghcr.io/me/x"), DIGEST, (), unread), Kind("test result", KEY, "type", fact))
    assert (one.subject, one.repository) == ("test result", "ghcr.io/me/x")
    return one.fact, one.fault, one.remedy


def test_what_nobody_said_is_a_fault_and_no_fact(said: list[bytes]) -> None:
    assert found() == ("", "no test result by the key ours.pub", "")
    assert found(unread=2) == ("", "no test result by the key ours.pub (2 of its referrers could not be read)", "")
    assert said == []


def test_why_what_was_said_does_not_count_is_said(said: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    assert said == []
    monkeypatch.setattr(
        cosign, "refusal", lambda said, who, kind: f"{said.repository} {who.public} {kind} is not theirs"
    )
    reason = "no test result by the key ours.pub%s: ghcr.io/me/x ours.pub type is not theirs"

    assert found() == ("", reason % "", "")
    assert found(unread=2) == ("", reason % " (2 of its referrers could not be read)", "")


def test_what_was_said_is_a_fact_where_all_of_it_is_true(said: list[bytes]) -> None:
    said += [b"true"]
    assert found(unread=2) == ("true", "", "")

    said += [b"true", b"false"]
    assert found() == ("", "it is false", "./ship it again")


def test_four_kinds_of_evidence_are_wanted_and_provenance_is_the_builder_s() -> None:
    theirs = Workflow(
        Identity("https://github.com/me/x/.github/workflows/publish.yml@refs/heads/main"),
        Caller("https://github.com/me/x@refs/heads/main"),
    )

    assert [(kind.subject, kind.who) for kind in verify.kinds(theirs, claim("1.0.0"))] == [
        ("signature", theirs),
        ("provenance", theirs.as_file("image.yml")),
        ("test result", theirs),
        ("bill of materials", theirs),
    ]
    assert {kind.who for kind in verify.kinds(KEY, claim("1.0.0"))} == {KEY}

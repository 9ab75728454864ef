"""Grammars of values from outside, and what happens to a value that breaks one."""

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.errors import Failure
from scripts.grammar import (
    SHOWN,
    Caller,
    Column,
    Digest,
    FilePath,
    Identity,
    ImageReference,
    Key,
    Name,
    Platform,
    Port,
    Reference,
    RelativePath,
    Repository,
    Revision,
    Tag,
    Token,
    Uri,
    Url,
    Version,
    WorkTree,
    document,
    shown,
)

DIGEST = "sha256:" + "0123456789abcdef" * 4
WORKFLOW = "https://github.com/me/x/.github/workflows/publish.yml@"
CALLER = "https://github.com/me/x@"
RIGHT: dict[type[Token], list[str]] = {
    Digest: [DIGEST],
    Revision: ["0123456789" * 4],
    WorkTree: ["a" * 40, "a" * 40 + "-dirty"],
    Version: ["0.0.0", "1.4.0", "10.20.30rc1", "1.0.0a0", "1.0.0b12"],
    Tag: ["1.0.0", "latest", "_x", "sha-" + "a" * 40, "A" * 128],
    Name: ["house-price", "a", "a.b_c__d--e", "0"],
    Repository: ["docker.io/me/x", "localhost:5001/x", "127.0.0.1:5000/a/b/c", "ghcr.io/me/house-price"],
    Reference: ["docker.io/me/x:1.0.0", "localhost:5001/x@" + DIGEST, "ghcr.io/me/x:1.0.0@" + DIGEST],
    ImageReference: ["python", "python:3.13-slim@" + DIGEST, "localhost:5001/me/x_y", "shipshape/python:3.13-trixie"],
    Platform: ["linux/amd64", "linux/arm64"],
    Uri: ["", "git+https://github.com/me/x@refs/heads/main", "urn:shipshape:build:v1"],
    Identity: [WORKFLOW + "refs/heads/main", WORKFLOW + "refs/tags/v1.0.0", WORKFLOW + "a" * 40],
    Caller: [CALLER + "refs/heads/main", CALLER + "refs/tags/v1.0.0", CALLER + "refs/pull/7/merge"],
    FilePath: ["root.json", "/etc/our sigstore/root.json", "../root.json"],
    Key: ["cosign.pub", "/home/me/cosign.key", "awskms:///alias/ours", "a file.pub"],
    Port: ["1", "80", "5000", "9999", "59999", "65535"],
    Url: [
        "https://test.example.com",
        "http://10.0.0.1:5020",
        "http://localhost:65535/a/b-c_d.e/",
        "http://a",
        "http://[::1]:8080",
    ],
    RelativePath: ["a", "a/b.csv", "Größe und Maß.csv", "a..b/c", ".hidden/x", "a b"],
    Column: ["price", "Größe (m²)", "__class__", "价格", "a,b", "-x", "$(x)"],
}
WRONG: dict[type[Token], list[str]] = {
    Digest: ["", DIGEST.upper(), DIGEST[:-1], DIGEST + "0", "sha512:" + "0" * 64, "md5:" + "0" * 32],
    Revision: ["", "HEAD", "a" * 39, "a" * 41, "A" * 40, "--upload-pack=touch pwned;true", "a" * 40 + "-dirty"],
    WorkTree: ["", "a" * 40 + "-DIRTY", "-dirty", "a" * 39 + "-dirty"],
    Version: [
        "",
        "1",
        "1.0",
        "01.0.0",
        "1.00.0",
        "1.0.00",
        "v1.0.0",
        "1.0.0-rc1",
        "1.0.0rc01",
        "1.0.0.1",
        "1.0.0dev1",
        "\uff11.0.0",
        "1.0.0 ",
        "$(touch pwned)",
        "1.0.0;id",
        "9" * 63 + ".0.0",
    ],
    Tag: ["", "-x", ".x", "a b", "a/b", "a:b", "a" * 129, "ä", "\uff11"],
    Name: ["", "A", "a_", "-a", "a//b", "a/b", "a___b", "a" * 129],
    Repository: [
        "",
        "x",
        "-o/x",
        "docker.io/",
        "docker.io/Me/x",
        "a/b:1",
        "a/b@" + DIGEST,
        "h:123456/x",
        "a b/c",
        "--authfile=x/y",
        "docker.io//x",
        "../x/y",
        "h/" + "a" * 255,
    ],
    Reference: [
        "",
        "docker.io/me/x",
        "1.0.0",
        DIGEST,
        "docker.io/me/x:",
        "docker.io/me/x@",
        "docker.io/me/x:1.0.0@" + DIGEST[:-1],
        "docker.io/me/x@" + DIGEST + ":1.0.0",
        "-o/x:1",
        "me/x:1.0.0",
        "docker.io/me/x:a b",
    ],
    ImageReference: ["", "-x", "--pull", "a b", "a@", "a@sha256:0", "/a", "a/", "a" * 513, "a$b", "@" + DIGEST],
    Uri: ["a b", "a\nb", "ä", "x" * 2049],
    Identity: [
        "",
        "https://github.com/me/x",
        WORKFLOW,
        WORKFLOW + "main",
        WORKFLOW + "refs/heads/.*?",
        WORKFLOW + "HEAD",
        "http" + WORKFLOW[5:] + "a" * 40,
        "^" + WORKFLOW + "a" * 40,
        WORKFLOW + "refs/heads/a b",
    ],
    Caller: [
        "",
        "me/x@refs/heads/main",
        CALLER,
        CALLER + "main",
        CALLER + "a" * 40,
        CALLER + "refs/heads/.*?",
        CALLER + "refs/heads/a b",
        "http" + CALLER[5:] + "refs/heads/main",
        "https://github.com/me@refs/heads/main",
        WORKFLOW + "refs/heads/main",
        CALLER + "refs/heads/" + "x" * 512,
    ],
    FilePath: ["", "-root.json", "x" * 1025, "a\nb"],
    Key: ["", "-key", "--key", "http://keys.example", "x" * 1025, "a\nb"],
    Port: ["", "0", "05", "65536", "70000", "-1", "1 ", "\uff11", "100000"],
    Url: [
        "",
        "ftp://a",
        "https://",
        "https://me:secret@a",
        "https://a/$(x)",
        "https://a b",
        "https://a?x=1",
        "https://a:0",
        "https://a:65536",
        "https://-a",
        "https://a/'",
        "javascript:x",
        "https://" + "a" * 255,
    ],
    Platform: ["", "linux", "linux/amd64/v2", "Linux/amd64", "linux/", "/amd64", "-/x"],
    RelativePath: [
        "",
        "/etc/passwd",
        "..",
        "../x",
        "a/../b",
        "a/..",
        "./a",
        "a/./b",
        "-rf",
        "a\nb",
        "a\x00b",
        "a\\b",
        "a/",
        "a\u2028b",
        "\x1b[2J",
        "a" * 1025,
    ],
    Column: ["", "a\u200bb", "a\nb", "a\x00", "\x1b[2J", "a\u2028", "a\x9b", "a" * 257],
}
KINDS = list(RIGHT)


def test_every_type_has_examples() -> None:
    assert set(RIGHT) == set(WRONG) == set(Token.__subclasses__())


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind in KINDS for text in RIGHT[kind]])
def test_a_valid_value_equals_its_text(kind: type[Token], text: str) -> None:
    assert kind(text) == text
    assert isinstance(kind(text), kind)


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind in KINDS for text in WRONG[kind]])
def test_an_invalid_value_is_refused(kind: type[Token], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(kind.form)):
        kind(text)


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind in KINDS for text in RIGHT[kind]])
@pytest.mark.parametrize("around", ["{}\n", "\n{}", " {}", "{}\x00", "{}\u2028", "{}\r"])
def test_extra_characters_around_a_value_are_refused(kind: type[Token], text: str, around: str) -> None:
    if kind in {RelativePath, FilePath, Column, Key} and around == " {}":
        return  # the name of a file or a column may begin with a space
    assert not kind.matches(around.format(text))


@given(text=st.text() | st.from_regex(r"[-/.:@$a-z0-9]+\s?"))
def test_no_grammar_allows_active_characters(text: str) -> None:
    """Characters that a shell, a terminal, Git or a program interprets; only columns and paths may have some."""
    for kind in KINDS:
        if kind.matches(text):
            assert text.isprintable()
            assert text or kind is Uri
            if kind not in {Column, Uri}:
                assert not text.startswith("-")
            if kind not in {Column, RelativePath, FilePath, Uri, Key, Url}:
                assert re.fullmatch(r"[A-Za-z0-9._:/@-]+", text)
            if kind is RelativePath:
                assert ".." not in text.split("/")


def test_a_wrong_value_is_shown_on_one_line_and_shortened() -> None:
    with pytest.raises(Failure) as failed:
        Digest.of("\x1b[2J\n" + "x" * 200, "its digest", "./ship build")

    assert failed.value.reason.startswith(r"its digest: '\x1b[2J\nxxx")
    assert len(failed.value.reason) < 200
    assert failed.value.remedy == "./ship build"
    assert [shown("x" * length).endswith("…") for length in (SHOWN - 2, SHOWN - 1)] == [False, True]  # and two quotes


def test_a_failure_may_have_no_remedy() -> None:
    for read in (lambda: Digest.of("x", "its digest"), lambda: document(b"{", Record, "the record")):
        with pytest.raises(Failure) as failed:
            read()
        assert failed.value.remedy == ""


@dataclasses.dataclass(frozen=True)
class Record:
    digest: Digest
    platforms: dict[Platform, Digest]
    count: int


GOOD = b'{"digest": "%b", "platforms": {"linux/amd64": "%b"}, "count": 1}' % (DIGEST.encode(), DIGEST.encode())


def test_a_document_is_parsed_into_its_types() -> None:
    record = document(GOOD, Record, "the record")

    assert record == Record(Digest(DIGEST), {Platform("linux/amd64"): Digest(DIGEST)}, 1)
    assert [type(key) for key in record.platforms] == [Platform]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff", GOOD[:-1], GOOD.replace(b"sha256", b"sha1", 1), GOOD.replace(b"linux/", b""),
     GOOD.replace(b"1}", b'"1"}'), GOOD.replace(b"1}", b"1.5}"), b'{"count": 1}', b"[" * 100_000,
     GOOD.replace(b"amd64", b"\xff\xfe")],
)  # fmt: skip
def test_a_malformed_document_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(Failure, match="the record is malformed"):
        document(content, Record, "the record")


@given(
    st.binary()
    | st.builds(lambda at, byte: GOOD[:at] + byte + GOOD[at + 1 :], st.integers(0, len(GOOD)), st.binary(max_size=3))
)
def test_any_document_is_parsed_or_refused(content: bytes) -> None:
    try:
        record = document(content, Record, "the record")
    except Failure:
        return
    assert Digest.matches(record.digest)
    assert all(map(Platform.matches, record.platforms))


def test_a_caller_has_a_repository_and_a_ref() -> None:
    caller = Caller("https://git.example.org:8443/Me/my.x@refs/pull/7/merge")

    assert (caller.repository, caller.ref) == ("Me/my.x", "refs/pull/7/merge")

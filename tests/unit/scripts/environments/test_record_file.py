"""The format of a record: what it allows, what it refuses, and what writing leaves alone."""

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scripts import ROOT
from scripts.environments.record_file import FIELDS, RELEASE_FIELDS, Fields, parse, restore, with_release
from scripts.errors import Failure
from tests.unit.scripts.repository import release, text

IMAGE = release("1.0.0")
GOOD = text("1.0.0")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", Fields(None, None)),
        ("VERSION=\nDIGEST=\nREVISION=\nURL=\n", Fields(None, None)),
        ("# Größe: 'x' \"y\" $(touch pwned) `id` DIGEST=1\n\n", Fields(None, None)),
        ("#VERSION=9.9.9", Fields(None, None)),
        (GOOD, Fields(IMAGE, None)),
        (GOOD.rstrip(), Fields(IMAGE, None)),
        ("URL=https://a.example\n" + "\n".join(reversed(GOOD.splitlines())), Fields(IMAGE, "https://a.example")),  # type: ignore[arg-type]
        ("URL=http://localhost:5020/", Fields(None, "http://localhost:5020/")),  # type: ignore[arg-type]
    ],
)
def test_a_record_has_comments_empty_lines_and_four_names(content: str, expected: Fields) -> None:
    assert parse(content.encode(), "x") == expected


@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        (text("1.0.0", DIGEST="garbage"), 2, "'garbage' is not a digest"),
        (text("1.0.0", DIGEST=IMAGE.digest.upper()), 2, "is not a digest"),
        (text("1.0.0", VERSION="$(touch pwned)"), 1, "is not a version"),
        (text("1.0.0", VERSION="'1.0.0'"), 1, "is not a version"),
        (text("1.0.0", VERSION='"1.0.0"'), 1, "is not a version"),
        (text("1.0.0", VERSION="`id`"), 1, "is not a version"),
        (text("1.0.0", VERSION="01.0.0"), 1, "is not a version"),
        (text("1.0.0", VERSION=" 1.0.0"), 1, "is not a version"),
        (text("1.0.0", VERSION="1.0.0 "), 1, "is not a version"),
        (text("1.0.0", VERSION="1.0.0 # first"), 1, "is not a version"),
        (text("1.0.0", VERSION="1.0.0;id"), 1, "is not a version"),
        (text("1.0.0", REVISION="${HOME}"), 3, "is not a commit"),
        (text("1.0.0", REVISION=f"{IMAGE.revision}-dirty"), 3, "is not a commit"),
        (f"{GOOD}DIGEST={IMAGE.digest}\n", 4, "DIGEST is already in line 2"),
        (f"{GOOD}DIGEST=\n", 4, "DIGEST is already in line 2"),
        (f"URL=\n{GOOD}URL=https://a.example\n", 5, "URL is already in line 1"),
        (f"{GOOD}digest={release('1.1.0').digest}\n", 4, "is neither a comment nor VERSION="),
        (f"{GOOD}export URL=https://a.example\n", 4, "is neither"),
        (f"{GOOD}PORT=5020\n", 4, "is neither"),
        (f"{GOOD}URL: https://a.example\n", 4, "is neither"),
        (f"{GOOD} URL=https://a.example\n", 4, "is neither"),
        (f"{GOOD} # a comment\n", 4, "is neither"),
        (f"{GOOD}URL\n", 4, "is neither"),
        (f"{GOOD}=\n", 4, "is neither"),
        (f"{GOOD} \n", 4, "is neither"),
        (f"# C:\\\n{GOOD}", 1, "ends with a backslash"),
        ("VERSION=1.0.0\n", 1, "VERSION is set without DIGEST and REVISION"),
        (text("1.0.0", VERSION=""), 2, "DIGEST is set without VERSION"),
        (text("1.0.0", REVISION=""), 1, "VERSION is set without REVISION"),
        (GOOD.replace("\n", "\r\n"), 1, "is not printable"),
        (f"\ufeff{GOOD}", 1, "is not printable"),
        (f"{GOOD}# a\tb\n", 4, "is not printable"),
        (f"{GOOD}# \x1b[2J\n", 4, "is not printable"),
        (f"{GOOD}# \x00\n", 4, "is not printable"),
        (f"# \u2028VERSION=9.9.9\n{GOOD}", 1, "is not printable"),
        (f"# \x85VERSION=9.9.9\n{GOOD}", 1, "is not printable"),
        (f"# \u202e\n{GOOD}", 1, "is not printable"),
        (GOOD.encode("utf-16"), 1, "is not UTF-8"),
        (f"{GOOD}# Größe\n".encode("latin-1"), 4, "is not UTF-8"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_its_line(content: str | bytes, line: int, why: str) -> None:
    with pytest.raises(Failure) as failure:
        parse(content if isinstance(content, bytes) else content.encode(), "prod.env")

    assert failure.value.reason.startswith(f"prod.env, line {line}: ")
    assert why in failure.value.reason
    assert failure.value.remedy == "correct it and commit; see what changed it: git log --patch prod.env"


@pytest.mark.parametrize(
    "url",
    [
        "test.example",
        "ftp://test.example",
        "HTTPS://test.example",
        "https://",
        "https:///version",
        "https://ada:secret@test.example",
        "https://test.example?x=$(id)",
        "https://test.example/?a&b",
        "https://test.example/#x",
        "https://test.example/a b",
        "https://test.example/;id",
        "https://test.example/~ada",
        "https://test.example/%20",
        "https://test.example:0",
        "https://test.example:65536",
        "https://test.example:99999",
        "https://test.example:",
        "https://-test.example",
        "https://test..example",
        f"https://{'a' * 64}.example",
        f"https://test.example/{'a' * 256}",
        "https://münchen.example",
        "'https://test.example'",
    ],
)
def test_a_url_that_a_reader_would_expand_is_refused(url: str) -> None:
    with pytest.raises(Failure, match=r"line 1: .* is not an address"):
        parse(f"URL={url}".encode(), "x")


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost",
        "http://127.0.0.1:5020",
        "https://test.example.com:65535/house-price/v1.0/",
        f"https://{'a' * 63}.example:1",
    ],
)
def test_a_url_may_have_host_port_and_path(url: str) -> None:
    assert parse(f"URL={url}".encode(), "x").url == url


def test_a_shell_reads_the_same_fields(tmp_path: Path) -> None:
    file = tmp_path / "test.env"
    file.write_text(f"# it's $(touch pwned) `touch pwned`\n\n{GOOD}# \"\nURL=https://test.example:5020/a-b_c.d\n")
    print_all = f'. {file}; printf "%s\\n" "$VERSION" "$DIGEST" "$REVISION" "$URL"; ls'

    read = subprocess.run(["sh", "-euc", print_all], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    assert parse(file.read_bytes(), "x").release == IMAGE
    assert read.split() == [
        IMAGE.version,
        IMAGE.digest,
        IMAGE.revision,
        "https://test.example:5020/a-b_c.d",
        file.name,
    ]


def test_docs_source_a_record_in_a_subshell_only() -> None:
    """Otherwise `VERSION` and `DIGEST` would stay set for the commands that follow."""
    lines = [line for page in ROOT.glob("docs/*.md") for line in page.read_text("utf-8").splitlines()]
    sourcing = [line for line in lines if re.search(r"(^|\W)(\.|source) \S*deploy/environments/", line)]

    assert len(sourcing) == 3
    assert all("( . deploy/environments/" in line for line in sourcing)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", GOOD),
        ("# x", f"# x\n{GOOD}"),
        ("DIGEST=\n# x\n", f"DIGEST={IMAGE.digest}\n# x\nVERSION=1.0.0\nREVISION={IMAGE.revision}\n"),
        (
            "VERSION=\nURL=\nDIGEST=\n\nREVISION=",
            f"VERSION=1.0.0\nURL=\nDIGEST={IMAGE.digest}\n\nREVISION={IMAGE.revision}",
        ),
        (f"# DIGEST=\n{text('1.1.0')}", f"# DIGEST=\n{GOOD}"),
    ],
)  # fmt: skip
def test_writing_changes_only_the_lines_of_the_release(before: str, after: str) -> None:
    written = with_release(before.encode(), IMAGE)

    assert written == after.encode()
    assert restore(written, written, before.encode()) == before.encode()


@pytest.mark.parametrize("before", ["", "# x\n", text("1.1.0"), "VERSION=\n# x\nDIGEST=\nREVISION=\n"])
def test_restoring_keeps_concurrent_changes(before: str) -> None:
    written = with_release(before.encode(), IMAGE)
    url = b"URL=https://test.example\n"

    assert restore(written + url, written, before.encode()) == before.encode() + url
    assert restore(url + written, written, before.encode()) == url + before.encode()


def test_restoring_keeps_a_concurrent_change_of_the_release() -> None:
    before = text("1.1.0")
    written = with_release(before.encode(), IMAGE)
    other = written.replace(b"VERSION=1.0.0", b"VERSION=1.2.0")

    assert restore(other, written, before.encode()).decode() == text("1.1.0", VERSION="1.2.0")


LINES = st.one_of(
    st.sampled_from([*GOOD.splitlines(), *text("1.1.0").splitlines(), "URL=http://a.example", "# x", ""]),
    st.builds(lambda name, value: f"{name}={value}", st.sampled_from([*RELEASE_FIELDS, "URL", "digest"]), st.text()),
    st.text(),
)


@settings(max_examples=200, deadline=None, database=None)
@given(st.one_of(st.binary(), st.lists(LINES, max_size=8).map(lambda lines: "\n".join(lines).encode(errors="replace"))))
@example(b"\xff")
def test_any_content_is_a_record_or_refused(content: bytes) -> None:
    """An accepted file holds only comments and four names, and a release can be written into it."""
    try:
        fields = parse(content, "x")
    except Failure:
        return
    values = dict(line.split("=") for line in content.decode().split("\n") if line and not line.startswith("#"))
    assert {name: value for name, value in values.items() if value} == filled(fields)
    written = with_release(content, IMAGE)
    assert parse(written, "x") == Fields(IMAGE, fields.url)
    assert restore(written, written, content) == content


def filled(fields: Fields) -> dict[str, str]:
    """Return the fields by name."""
    image = fields.release
    values = (image.version, image.digest, image.revision, fields.url) if image else ("", "", "", fields.url)
    return {name: str(value) for name, value in zip(FIELDS, values, strict=True) if value}

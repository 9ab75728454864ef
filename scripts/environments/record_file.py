"""The file format of records, strict enough for every program that reads them.

Shells, Compose, kustomize and systemd read these files too, each with its own quotes, escapes and expansions. They all
agree on this format: comments, empty lines, and NAME=value with a value that none of them expands.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from scripts.console import plain
from scripts.errors import Failure
from scripts.grammar import Digest, Revision, Token, Url, Version, shown
from scripts.oci.labels import Release

FIELDS: Mapping[str, type[Token]] = {"VERSION": Version, "DIGEST": Digest, "REVISION": Revision, "URL": Url}
RELEASE_FIELDS = ("VERSION", "DIGEST", "REVISION")


@dataclass(frozen=True)
class Fields:
    """The fields of a record."""

    release: Release | None
    """None before the first promotion."""
    url: Url | None
    """The address of the environment, if somebody wrote it."""


def parse(content: bytes, path: str) -> Fields:
    """Return the fields of the record at `path`. Raises Failure, with the line, when it breaks the format."""
    values: dict[str, str] = {}
    places: dict[str, int] = {}
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            field = _parse_field(line)
        except ValueError as wrong:
            raise _broken(path, number, str(wrong)) from wrong
        if field is None:
            continue
        name, value = field
        if name in places:
            raise _broken(path, number, f"{name} is already in line {places[name]}")
        places[name] = number
        if value:
            values[name] = value
    given = [name for name in RELEASE_FIELDS if name in values]
    if given and len(given) < len(RELEASE_FIELDS):
        lacking = " and ".join(name for name in RELEASE_FIELDS if name not in values)
        raise _broken(path, places[given[0]], f"{given[0]} is set without {lacking}: set all three or none")
    return Fields(
        Release(Version(values["VERSION"]), Digest(values["DIGEST"]), Revision(values["REVISION"])) if given else None,
        Url(values["URL"]) if "URL" in values else None,
    )


def with_release(content: bytes, release: Release) -> bytes:
    """Return the record `content` with `release` in its lines, and every other line unchanged."""
    for name, value in zip(RELEASE_FIELDS, (release.version, release.digest, release.revision), strict=True):
        line = f"{name}={value}".encode()
        if _find_line(content, name) is None:
            content += (b"" if content.endswith(b"\n") or not content else b"\n") + line + b"\n"
        else:
            content = _replace_line(content, name, line)
    return content


def restore(content: bytes, written: bytes, before: bytes) -> bytes:
    """Return `content` with the lines that turned `before` into `written` undone, keeping later changes."""
    if content == written:
        return before
    for name in RELEASE_FIELDS:
        if _find_line(content, name) == _find_line(written, name):
            content = _replace_line(content, name, _find_line(before, name))
    return content


def _parse_field(line: bytes) -> tuple[str, str] | None:
    """Return the name and value in `line`, None for a comment. Raises ValueError when it breaks the format."""
    try:
        text = line.decode()
    except UnicodeDecodeError as wrong:
        raise ValueError(f"{shown(line)} is not UTF-8") from wrong
    if plain(text) != text:
        raise ValueError(f"{shown(text)} has a character that is not printable")
    if text.endswith("\\"):
        raise ValueError(f"{shown(text)} ends with a backslash, which joins it with the next line for some readers")
    if not text or text.startswith("#"):
        return None
    name, _, value = text.partition("=")
    if name not in FIELDS or name == text:
        raise ValueError(
            f"{shown(text)} is neither a comment nor {', '.join(f'{one}=' for one in FIELDS)} with a value"
        )
    return name, FIELDS[name](value) if value else ""


def _broken(path: str, line: int, why: str) -> Failure:
    return Failure(f"{path}, line {line}: {why}", f"correct it and commit; see what changed it: git log --patch {path}")


def _pattern(name: str) -> bytes:
    return rf"^{name}=.*$".encode()


def _find_line(content: bytes, name: str) -> bytes | None:
    found = re.search(_pattern(name), content, re.MULTILINE)
    return found[0] if found else None


def _replace_line(content: bytes, name: str, line: bytes | None) -> bytes:
    """Return `content` with the line of `name` replaced by `line`, or removed when `line` is None."""
    pattern = _pattern(name) if line is not None else _pattern(name) + rb"\n?"
    return re.sub(pattern, lambda _: line or b"", content, flags=re.MULTILINE)

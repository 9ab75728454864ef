"""The file of a record: one strict format, for whoever reads it and for `./ship`, which writes it.

A shell, compose, kustomize and systemd read these files too, each with quotes, escapes and expansions of its own. This
format is what they all read alike: comments, empty lines, and NAME=value with a value that none of them acts on.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from scripts.console import plain
from scripts.errors import Failure
from scripts.grammar import Digest, Revision, Token, Url, Version, shown
from scripts.oci.labels import Release

FIELDS: Mapping[str, type[Token]] = {"VERSION": Version, "DIGEST": Digest, "REVISION": Revision, "URL": Url}
OF_A_RELEASE = ("VERSION", "DIGEST", "REVISION")


@dataclass(frozen=True)
class Fields:
    """What a record says."""

    release: Release | None
    """None before the first promotion."""
    url: Url | None
    """Where the environment answers, when somebody wrote it there."""


def parse(content: bytes, path: str) -> Fields:
    """Return what the record at `path` says. Raises Failure, with the line, when it breaks the format."""
    values: dict[str, str] = {}
    places: dict[str, int] = {}
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            field = _field(line)
        except ValueError as wrong:
            raise _broken(path, number, str(wrong)) from wrong
        if field is None:
            continue
        name, value = field
        if name in places:
            raise _broken(path, number, f"{name} is in line {places[name]} already")
        places[name] = number
        if value:
            values[name] = value
    given = [name for name in OF_A_RELEASE if name in values]
    if given and len(given) < len(OF_A_RELEASE):
        lacking = " and ".join(name for name in OF_A_RELEASE if name not in values)
        raise _broken(path, places[given[0]], f"{given[0]} has a value and {lacking} none: it takes all three or none")
    return Fields(
        Release(Version(values["VERSION"]), Digest(values["DIGEST"]), Revision(values["REVISION"])) if given else None,
        Url(values["URL"]) if "URL" in values else None,
    )


def with_release(content: bytes, release: Release) -> bytes:
    """Return the record `content` with `release` in the lines that are for it, and every other line as it is."""
    for name, value in zip(OF_A_RELEASE, (release.version, release.digest, release.revision), strict=True):
        line = f"{name}={value}".encode()
        if _line(content, name) is None:
            content += (b"" if content.endswith(b"\n") or not content else b"\n") + line + b"\n"
        else:
            content = _with_line(content, name, line)
    return content


def taken_back(content: bytes, written: bytes, before: bytes) -> bytes:
    """Return `content` with the lines that made `written` of `before` as they were, and whatever else changed since."""
    if content == written:
        return before
    for name in OF_A_RELEASE:
        if _line(content, name) == _line(written, name):
            content = _with_line(content, name, _line(before, name))
    return content


def _field(line: bytes) -> tuple[str, str] | None:
    """Return name and value in `line`, None for a comment. Raises ValueError when it breaks the format."""
    try:
        text = line.decode()
    except UnicodeDecodeError as wrong:
        raise ValueError(f"{shown(line)} is not UTF-8") from wrong
    if plain(text) != text:
        raise ValueError(f"{shown(text)} has a character that is not shown as it is")
    if text.endswith("\\"):
        raise ValueError(f"{shown(text)} ends with a backslash, and some readers join it with the next line")
    if not text or text.startswith("#"):
        return None
    name, _, value = text.partition("=")
    if name not in FIELDS or name == text:
        raise ValueError(f"{shown(text)} is neither a comment nor {', '.join(f'{one}=' for one in FIELDS)} and a value")
    return name, FIELDS[name](value) if value else ""


def _broken(path: str, line: int, why: str) -> Failure:
    return Failure(f"{path}, line {line}: {why}", f"mend it and commit; what changed it: git log --patch {path}")


def _pattern(name: str) -> bytes:
    return rf"^{name}=.*$".encode()


def _line(content: bytes, name: str) -> bytes | None:
    found = re.search(_pattern(name), content, re.MULTILINE)
    return found[0] if found else None


def _with_line(content: bytes, name: str, line: bytes | None) -> bytes:
    """Return `content` with `line` for that of `name`, or without it."""
    pattern = _pattern(name) if line is not None else _pattern(name) + rb"\n?"
    return re.sub(pattern, lambda _: line or b"", content, flags=re.MULTILINE)

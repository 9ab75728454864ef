"""Compares a published image with a rebuilt one: the files of their layers, the keys of their configurations.

A stranger may have written anything that is read here, so names are made printable before they are shown.
Sources of the formats: https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md and config.md there.
"""

import hashlib
import json
import re
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

from scripts.console import plain
from scripts.errors import Failure
from scripts.oci.layout import Layer, Layout

DPKG = "var/lib/dpkg/"
# PEP 3147: where Python keeps the bytecode of DIRECTORY/NAME.py.
BYTECODE = re.compile(r"(?P<directory>(?:.*/)?)__pycache__/(?P<name>[^/]+)\.cpython-\d+(?:\.opt-\d)?\.pyc")
KINDS = {tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "link", tarfile.LNKTYPE: "hard link"}
KEYS = {"config.Labels.": "label ", "config.Env.": "environment ", "config.": ""}
# Both follow from the rest of the image. The history is shown only when no other key differs.
DERIVED = ("rootfs", "history")
# Changes shown for each layer: a base built on another day has thousands.
SHOWN = 20


@dataclass(frozen=True)
class Change:
    """One difference between the images, with the published side first."""

    what: str
    """The path of a file, the name of a package, or the key of a configuration."""
    how: str
    package: bool = False
    content: bool = False
    """Whether the bytes differ, or one image lacks the file: its bytecode then differs too."""

    def __str__(self) -> str:
        return f"{plain(self.what)}: {plain(self.how)}"


@dataclass(frozen=True)
class Part:
    """A layer, a configuration or a manifest that differs, with the changes in it."""

    title: str
    changes: list[Change]
    layer: bool = False


@dataclass(frozen=True)
class Entry:
    """What a layer records of one path."""

    kind: str
    mode: int
    owner: str
    modified: float
    """Seconds since 1970 UTC."""
    target: str
    attributes: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Content:
    """A layer: its entries by path, and the content of dpkg's own files."""

    entries: dict[str, Entry] = field(default_factory=dict)
    record: dict[str, bytes] = field(default_factory=dict)


def compare(published: Layout, rebuilt: Layout) -> list[Part]:
    """Return what differs, platform by platform: the configuration, then the layers, lowest first.

    Empty only when the digests are equal.
    """
    if published.digest == rebuilt.digest:
        return []
    parts = []
    for platform in {**published.platforms, **rebuilt.platforms}:
        if platform not in published.platforms or platform not in rebuilt.platforms:
            side = "published" if platform in published.platforms else "rebuilt"
            parts.append(Part("the platforms", [Change(platform, f"only {side}")]))
        elif published.platforms[platform] != rebuilt.platforms[platform]:
            parts += _compare_platform(published, rebuilt, platform)
    return parts or [Part("the index", [Change("index", "lists the same images, but is written differently")])]


def summarize(parts: list[Part]) -> str:
    """Return, in one line, what to look at first: a file of the highest layer, where the project's own files are.

    The first Debian package that differs comes before it, as the likely cause. Without either: a configuration key.
    """
    changes = [change for part in reversed(parts) if part.layer for change in part.changes]
    package = next((change for change in changes if change.package), None)
    file = next((change for change in changes if not change.package), None)
    return "; ".join(map(str, filter(None, (package, file)))) or str(parts[0].changes[0])


def render(parts: list[Part]) -> Iterator[str]:
    """Yield `parts` as lines to print."""
    for part in parts:
        yield part.title
        yield from (f"  {change}" for change in part.changes[:SHOWN])
        if len(part.changes) > SHOWN:
            yield f"  and {len(part.changes) - SHOWN} more"


def only_base_differs(parts: list[Part]) -> bool:
    """Return whether the base image explains every difference: each part is a layer with other Debian packages."""
    return all(part.layer and any(change.package for change in part.changes) for part in parts)


def _compare_platform(published: Layout, rebuilt: Layout, platform: str) -> Iterator[Part]:
    keys = _compare_configurations(published.config(platform), rebuilt.config(platform))
    pairs = list(zip_longest(published.layers(platform), rebuilt.layers(platform)))
    differing = [(number, *pair) for number, pair in enumerate(pairs, 1) if _digest(pair[0]) != _digest(pair[1])]
    if keys:
        yield Part(f"{platform}, configuration", keys)
    for number, before, after in differing:
        made_by = " ".join((before or after).created_by.split())
        title = plain(f"{platform}, layer {number} of {len(pairs)}: {made_by or 'by an unknown instruction'}")
        yield Part(title, _compare_layers(published, before, rebuilt, after), layer=True)
    if not keys and not differing:
        yield Part(platform, [Change("manifest", "lists the same content, but is written differently")])


def _compare_layers(published: Layout, before: Layer | None, rebuilt: Layout, after: Layer | None) -> list[Change]:
    try:
        old = _read_layer(published, before) if before else Content()
        new = _read_layer(rebuilt, after) if after else Content()
    except Failure as unreadable:
        return [Change("the layer", f"is not a readable archive ({unreadable.reason})")]
    changes = {}
    for path in sorted({*old.entries, *new.entries}):
        change = _compare_entries(path, old.entries.get(path), new.entries.get(path))
        if change:
            changes[path] = change
    packages, explained = _compare_packages(old.record, new.record)
    rest = [change for path, change in _fold_bytecode(changes).items() if path not in explained]
    if not changes:
        return [Change("all files", "equal, but in another order or packed by another program")]
    return [*packages, *rest]


def _read_layer(layout: Layout, layer: Layer) -> Content:
    content = Content()
    for entry, data in layout.files(layer):
        path = entry.name.removeprefix("./").strip("/")
        content.entries[path] = Entry(
            kind=KINDS.get(entry.type, "file" if entry.isreg() else "device"),
            mode=entry.mode,
            owner=" ".join(filter(None, (f"{entry.uid}:{entry.gid}", entry.uname, entry.gname))),
            modified=entry.mtime,
            target=entry.linkname,
            attributes=json.dumps({k: v for k, v in sorted(entry.pax_headers.items()) if "xattr" in k}),
            size=entry.size,
            sha256=hashlib.sha256(data).hexdigest(),
        )
        if path.startswith(DPKG):
            content.record[path] = data
    return content


def _compare_entries(path: str, old: Entry | None, new: Entry | None) -> Change | None:
    if old is None or new is None:
        return Change(path, "only rebuilt" if old is None else "only published", content=True)
    if old.kind != new.kind:
        return Change(path, f"a {old.kind} → a {new.kind}", content=True)
    words = {
        f"content ({old.size} → {new.size} bytes)": old.sha256 != new.sha256,
        f"mode {stat.filemode(old.mode)[1:]} → {stat.filemode(new.mode)[1:]}": old.mode != new.mode,
        f"owner {old.owner} → {new.owner}": old.owner != new.owner,
        f"modified {_format_time(old.modified)} → {_format_time(new.modified)}": old.modified != new.modified,
        f"points to {old.target} → {new.target}": old.target != new.target,
        f"attributes {old.attributes} → {new.attributes}": old.attributes != new.attributes,
    }
    how = ", ".join(word for word, differs in words.items() if differs)
    return Change(path, how, content=old.sha256 != new.sha256) if how else None


def _compare_packages(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> tuple[list[Change], set[str]]:
    """Return the Debian packages whose versions differ, and the paths that they own."""
    before, after = _read_versions(old), _read_versions(new)
    names = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    paths = {f"{DPKG}status"} if names else set()
    for name in names:
        of_package = re.compile(rf"{DPKG}info/{re.escape(name)}(:\w+)?\.(?P<what>\w+)")
        for record in (old, new):
            for path, data in record.items():
                if found := of_package.fullmatch(path):
                    paths.add(path)
                    paths |= _read_paths(data) if found["what"] == "list" else set()
    return [
        Change(f"Debian package {name}", f"{before.get(name, 'none')} → {after.get(name, 'none')}", package=True)
        for name in names
    ], paths


def _read_versions(record: Mapping[str, bytes]) -> dict[str, str]:
    """Return the version of each package in dpkg's status file (deb822: paragraphs of `Field: value`)."""
    status = record.get(f"{DPKG}status", b"").decode(errors="replace")
    paragraphs = [dict(re.findall(r"^(Package|Version): (.+)$", text, re.MULTILINE)) for text in status.split("\n\n")]
    return {paragraph["Package"]: paragraph.get("Version", "") for paragraph in paragraphs if "Package" in paragraph}


def _read_paths(paths: bytes) -> set[str]:
    """Return the paths in one of dpkg's lists, also below /usr, to which /bin, /lib and /sbin are links."""
    listed = {line.strip("/") for line in paths.decode(errors="replace").splitlines()}
    return listed | {f"usr/{path}" for path in listed if re.match(r"s?bin/|lib", path)}


def _fold_bytecode(changes: Mapping[str, Change]) -> dict[str, Change]:
    """Return `changes` with bytecode merged into its source where that differs too.

    Bytecode whose source is unchanged stays: Python runs it without reading the source.
    """
    folded = dict(changes)
    for path, change in changes.items():
        found = BYTECODE.fullmatch(path)
        source = f"{found['directory']}{found['name']}.py" if found else ""
        if not change.content or source not in changes or not changes[source].content:
            continue
        del folded[path]
        folded[source] = Change(source, f"{changes[source].how}, and its .pyc", content=True)
    return folded


def _compare_configurations(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    before, after = dict(_flatten(old)), dict(_flatten(new))
    changes = [
        Change(_readable(key), f"{before.get(key, 'none')} → {after.get(key, 'none')}")
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]
    independent = [change for change in changes if not change.what.startswith(DERIVED)]
    return independent or [change for change in changes if change.what.startswith("history")]


def _flatten(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield each leaf of a JSON document with its key: `config.Env.PATH`, `history.3.created_by`."""
    if key == "config.Env" and isinstance(value, list):
        value = dict(str(setting).partition("=")[::2] for setting in value)
    elif key == "history" and isinstance(value, list):
        value = dict(enumerate(value, 1))
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flatten(inner, f"{key}.{name}" if key else str(name))
    else:
        yield key, json.dumps(value, ensure_ascii=False)


def _readable(key: str) -> str:
    """Return a key as people write it: `label org.opencontainers.image.revision`."""
    prefix = next((prefix for prefix in KEYS if key.startswith(prefix)), "")
    return KEYS.get(prefix, "") + key.removeprefix(prefix)


def _digest(layer: Layer | None) -> str:
    return layer.digest if layer else ""


def _format_time(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s"

"""What is shipped: `ship.toml` of this checkout or another repository, with the variables that override it.

`scripts.variables` lists the variables. An empty one counts as not set.
"""

import csv
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import msgspec

from scripts import ROOT, checkout, git
from scripts.checkout import Commit
from scripts.errors import Failure
from scripts.grammar import Column, Name, Platform, RelativePath, Repository, Token, Version, toml
from scripts.oci import platforms as oci_platforms

EXAMPLE_TABLE = "training/data/houses.csv"
# The local registries: port and container name, by the registry that each stands in for.
LOCAL: Mapping[str, tuple[int, str]] = MappingProxyType(
    {"Docker Hub": (5001, "shipshape-docker-hub"), "GHCR": (5002, "shipshape-ghcr")}
)
Stated = TypeVar("Stated", bound=Token)
_EXAMPLES = {"name": "wine-quality", "version": "1.4.0", "table": "data/wines.csv", "target": "quality"}
_PAGE = "docs/your-own-model.md has a complete example"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The content of `ship.toml`."""

    name: Name | None = None
    version: Version | None = None
    table: str | None = None
    target: Column | None = None
    registries: list[Repository] = []
    platforms: list[Platform] = []


@dataclass(frozen=True)
class Shipment:
    """A table, and the name, version and target of its model."""

    root: Path
    """The checkout that holds the table."""
    table: RelativePath
    """Its path in `root`, with slashes."""
    target: Column
    name: Name
    version: Version

    @property
    def is_example(self) -> bool:
        """Whether it is the table of this checkout, which the tests are written for."""
        return self.root == ROOT and self.table == EXAMPLE_TABLE

    @property
    def path(self) -> Path:
        """The full path of the table."""
        return self.root / self.table

    def copy_to(self, folder: Path) -> None:
        """Replace `folder` by the table and its description, if there is one, under their paths in `root`.

        They come from the commit, or from a work tree that differs. Raises Failure when the commit lacks the table.
        """
        if not (at := checkout.commit(self.root)).dirty:
            paths = [file.relative_to(self.root).as_posix() for file in _files(self.path)]
            git.export(at.revision, folder, paths, root=self.root)
            if not (folder / self.table).is_file():
                raise Failure(f"the commit does not have {self.table}", f"git add --force {self.table}; git commit")
            return
        shutil.rmtree(folder, ignore_errors=True)
        for file in _files(self.path):
            place = folder / file.relative_to(self.root)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)


def shipment() -> Shipment:
    """Return what is shipped. Raises Failure when part of it is missing or wrong."""
    top = root()
    found = Shipment(top, _stated("table", RelativePath), _stated("target", Column), name(), version())
    _check(found)
    return found


def name() -> Name:
    """Return the name of the model. Raises Failure when it is missing or not a valid name."""
    return _stated("name", Name)


def version() -> Version:
    """Return the version of the image. Raises Failure when it is missing or not a valid version."""
    return _stated("version", Version)


def repositories() -> list[Repository]:
    """Return the repositories to publish to: SHIP_REGISTRIES, those in the file, or else the two local ones.

    SHIP_REGISTRIES is converted to lower case, because registries require it and names on GitHub may differ. Raises
    Failure when it has only separators or is malformed.
    """
    if not (text := os.environ.get("SHIP_REGISTRIES")):
        return list(dict.fromkeys(_file().registries)) or local_repositories()
    remedy = "unset SHIP_REGISTRIES, or SHIP_REGISTRIES='docker.io/me/house-price …'"
    named = [one for one in re.split(r"[\s,]+", text.lower()) if one]
    if not named:
        raise Failure("SHIP_REGISTRIES is set but names no repository", remedy)
    return list(dict.fromkeys(Repository.of(one, "SHIP_REGISTRIES", remedy) for one in named))


def local_repositories() -> list[Repository]:
    """Return the repositories in the two local registries."""
    return [Repository(f"localhost:{port}/{name()}") for port, _ in LOCAL.values()]


def platforms() -> tuple[Platform, ...]:
    """Return the platforms to build for, in the order of an index: SHIP_PLATFORMS or those of the file.

    None is this machine's. Raises Failure when one is not supported.
    """
    stated = os.environ.get("SHIP_PLATFORMS")
    if not (named := stated or ",".join(_file().platforms)):
        return ()
    try:
        return oci_platforms.parse(named)
    except ValueError as wrong:
        raise Failure(f"{'SHIP_PLATFORMS' if stated else 'platforms, in ship.toml'}: {wrong}") from wrong


def commit() -> Commit:
    """Return the commit of the source, after which the image is named.

    It is also dirty when this checkout, whose code builds the image, differs from its own commit.
    """
    found, pipeline = root(), checkout.commit()
    if found == ROOT:
        return pipeline
    own = checkout.commit(found)
    return replace(own, dirty=own.dirty or pipeline.dirty)


def root() -> Path:
    """Return the checkout whose model is shipped. Raises Failure when SHIP_SOURCE is not one."""
    named = os.environ.get("SHIP_SOURCE")
    if not named:
        return ROOT
    found = Path(named).resolve()
    remedy = "SHIP_SOURCE is the path of a clone: git clone … wines && SHIP_SOURCE=wines ./ship build"
    if not found.is_dir():
        raise Failure(f"SHIP_SOURCE={named}: no such directory", remedy)
    top = git.ask("rev-parse", "--show-toplevel", root=found)
    if top.returncode:
        raise Failure(f"SHIP_SOURCE={named} is not a Git repository: {top.words}", remedy)
    if Path(top.text) != found:
        raise Failure(f"SHIP_SOURCE={named} is a folder in the Git repository {top.text}, not its root", remedy)
    return found


def _file() -> _File:
    """Return the content of the file, empty when there is none, from the commit unless the work tree differs.

    Raises Failure when it is malformed.
    """
    path, top = _path(), root()
    if (top / path).is_symlink():
        raise Failure(
            f"{path} is a link, and the commit has no more than its name", "SHIP_FILE=… names the file itself"
        )
    content = (top / path).read_bytes() if (top / path).is_file() else None
    committed = git.contents([f"HEAD:./{path}"], root=top)[0]
    if committed != content and not checkout.commit(top).dirty:
        if committed is None:
            raise Failure(f"Git ignores {path}, so the commit does not have it", f"git add --force {path}; git commit")
        content = committed  # Git skips the change, or converts line ends
    if content is None and os.environ.get("SHIP_FILE"):
        raise Failure(f"there is no file {path} in {top}", "unset SHIP_FILE, or set it to a path inside the checkout")
    return toml(content or b"", _File, str(path), _PAGE)


def _path() -> RelativePath:
    """Return the path of the file in the checkout."""
    return RelativePath.of(os.environ.get("SHIP_FILE") or "ship.toml", "SHIP_FILE", "its path inside the checkout")


def _stated(field: str, kind: type[Stated]) -> Stated:
    """Return the value of `field` from its variable or the file. Raises Failure when both lack it."""
    variable = f"SHIP_{field.upper()}"
    value = os.environ.get(variable)
    stated = value or getattr(_file(), field)
    if stated is None:
        raise Failure(f"{_path()} in {root()} has no {field}", f'{field} = "{_EXAMPLES[field]}"; {_PAGE}')
    if field == "table":
        stated = os.path.normpath(stated)  # as a shell completes it: ./data/wines.csv
    return kind.of(stated, variable if value else f"{field} in {_path()}", f"such as {_EXAMPLES[field]}")


def _check(found: Shipment) -> None:
    """Raise Failure when the table is missing, lacks the target, or cannot be in the commit."""
    if not found.path.is_file():
        raise Failure(f"there is no table {found.table} in {found.root}", "set table in ship.toml to its path there")
    for file in _files(found.path):
        if not file.resolve().is_relative_to(found.root):
            raise Failure(f"{file} is outside {found.root}, so its commit does not have it", "move it there")
        if git.ask("check-ignore", "--quiet", "--", str(file), root=found.root).returncode == 0:
            raise Failure(f"Git ignores {file}, so the commit does not have it", f"git add --force {file}; git commit")
    columns = _columns(found.path)
    if found.target not in columns:
        raise Failure(
            f"{found.table} has no column {found.target!r}, the target", f"the target is one of {', '.join(columns)}"
        )


def _files(table: Path) -> list[Path]:
    """Return the table, and the description beside it when there is one."""
    description = table.with_suffix(".toml")
    return [table, description] if description.exists() else [table]


def _columns(table: Path) -> list[str]:
    """Return the column names; whether the rest is a valid table is for the trainer to check."""
    with table.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        try:
            return next(filter(None, csv.reader(file)), [])
        except csv.Error as wrong:
            raise Failure(
                f"{table} has no header that can be read: {wrong}", "a table is CSV, with names on top"
            ) from wrong

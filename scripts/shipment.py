"""What is shipped: `ship.toml`, of this checkout or of another repository's, with the variables that override it.

Said once there, for a workflow and a person alike; `scripts.variables` lists the variables. Empty means not set.
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
# Port on this machine and name of the container, by the registry that it stands for.
LOCAL: Mapping[str, tuple[int, str]] = MappingProxyType(
    {"Docker Hub": (5001, "shipshape-docker-hub"), "GHCR": (5002, "shipshape-ghcr")}
)
Stated = TypeVar("Stated", bound=Token)
_EXAMPLES = {"name": "wine-quality", "version": "1.4.0", "table": "data/wines.csv", "target": "quality"}
_PAGE = "docs/your-own-model.md has a complete example"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """`ship.toml`, as it is written."""

    name: Name | None = None
    version: Version | None = None
    table: RelativePath | None = None
    target: Column | None = None
    registries: list[Repository] = []
    platforms: list[Platform] = []


@dataclass(frozen=True)
class Shipment:
    """A table and what is to be made of it."""

    root: Path
    """The checkout that holds the table."""
    table: RelativePath
    """Path of the table in `root`, with slashes."""
    target: Column
    name: Name
    version: Version

    @property
    def is_example(self) -> bool:
        """Whether it is this checkout's own table, which this project's tests are written for."""
        return self.root == ROOT and self.table == EXAMPLE_TABLE

    @property
    def path(self) -> Path:
        """Where the table is."""
        return self.root / self.table

    def copy_to(self, folder: Path) -> None:
        """Make `folder` anew with the table and its description, if there is one, under their paths in `root`.

        They are the commit's own, or those of a work tree that differs from it. Raises Failure when the commit has no
        such table.
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
    """Return what is shipped. Raises Failure when something of it is missing or wrong."""
    top = root()
    found = Shipment(top, _stated("table", RelativePath), _stated("target", Column), name(), version())
    _check(found)
    return found


def name() -> Name:
    """Return the name of the model. Raises Failure when no image can have it."""
    return _stated("name", Name)


def version() -> Version:
    """Return the version of the image. Raises Failure when none is stated, or when it is no version."""
    return _stated("version", Version)


def repositories() -> list[Repository]:
    """Return the repositories to publish to: SHIP_REGISTRIES, those of the file, or else the two local ones.

    In lower case, as registries want them, whatever the owner on GitHub is called. Raises Failure when SHIP_REGISTRIES
    has nothing but separators, or what is no repository.
    """
    if not (text := os.environ.get("SHIP_REGISTRIES")):
        return list(dict.fromkeys(_file().registries)) or local_repositories()
    remedy = "unset SHIP_REGISTRIES, or SHIP_REGISTRIES='docker.io/me/house-price …'"
    named = [one for one in re.split(r"[\s,]+", text.lower()) if one]
    if not named:
        raise Failure("SHIP_REGISTRIES is set and names no repository", remedy)
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
    """Return the commit that the image is made of and named after: that of SOURCE.

    It is dirty as well when this checkout, whose code makes the image, differs from its own commit.
    """
    found, pipeline = root(), checkout.commit()
    if found == ROOT:
        return pipeline
    own = checkout.commit(found)

    return replace(own, dirty=own.dirty or pipeline.dirty)


def root() -> Path:
    """Return the checkout whose model is shipped. Raises Failure when SHIP_SOURCE names none."""
    named = os.environ.get("SHIP_SOURCE")
    if not named:
        return ROOT
    found = Path(named).resolve()
    remedy = "SHIP_SOURCE is the path of a clone: git clone … wines && SHIP_SOURCE=wines ./ship build"
    if not found.is_dir():
        raise Failure(f"SHIP_SOURCE={named}: there is no such directory", remedy)
    top = git.ask("rev-parse", "--show-toplevel", root=found)
    if top.returncode:
        raise Failure(f"SHIP_SOURCE={named} is not a Git repository: {top.words}", remedy)
    if Path(top.text) != found:
        raise Failure(f"SHIP_SOURCE={named} is a folder of the Git repository {top.text}, not the whole", remedy)
    return found


def _file() -> _File:
    """Return the file that says what is shipped, empty when there is none: the commit's own, unless something changed.

    Raises Failure when it is malformed.
    """
    path = RelativePath.of(os.environ.get("SHIP_FILE") or "ship.toml", "SHIP_FILE", "its path inside the checkout")
    top = root()
    try:
        content = (top / path).read_bytes()
    except OSError:
        content = b""
    committed = git.contents([f"HEAD:./{path}"], root=top)[0]
    if committed is not None and committed != content and not checkout.commit(top).dirty:
        content = committed  # Git was told not to look, or writes other line ends
    return toml(content, _File, str(path), _PAGE)


def _stated(field: str, kind: type[Stated]) -> Stated:
    """Return the value of `field` by its variable or in the file. Raises Failure when neither states it."""
    variable = f"SHIP_{field.upper()}"
    if value := os.environ.get(variable):
        return kind.of(value, variable, f"such as {_EXAMPLES[field]}")
    stated: Stated | None = getattr(_file(), field)
    if stated is None:
        raise Failure(f"ship.toml in {root()} does not state the {field}", f'{field} = "{_EXAMPLES[field]}"; {_PAGE}')
    return stated


def _check(found: Shipment) -> None:
    """Raise Failure when the table is not there, has no such column, or could not be had from the commit."""
    if not found.path.is_file():
        raise Failure(f"there is no table {found.table} in {found.root}", "table, in ship.toml, is its path there")
    for file in _files(found.path):
        if not file.resolve().is_relative_to(found.root):
            raise Failure(f"{file} lies outside of {found.root}, so its commit does not have it", "move it there")
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
    """Return the names in the header; the trainer is the one that judges whether the rest is a table."""
    with table.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return next(filter(None, csv.reader(file)), [])

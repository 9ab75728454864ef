"""Whose model is built: this checkout's example, or a table in the checkout of another repository.

The environment says it, and is read here alone, so that a workflow and a person say it alike. Empty means not set.

| variable | what it is | without it |
| --- | --- | --- |
| SOURCE | path of the checkout that the table is from; its commit is the image's | this checkout |
| DATA | path of the table inside SOURCE; its description may lie beside it (docs/training.md) | the example's |
| TARGET | column to predict | the example's |
| NAME | name of the model, and of the image in the local registries | house-price |
| VERSION | version of the model and of the image; read with SOURCE only | that in pyproject.toml |

With a SOURCE that is another repository, DATA, TARGET and VERSION are required. Without one VERSION is not read: the
records of the environments set a variable of that name, too.
"""

import csv
import os
import platform
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from scripts import ROOT, checkout, git
from scripts.checkout import Commit
from scripts.errors import Failure
from scripts.grammar import Column, Name, RelativePath, Version

EXAMPLE_DATA, EXAMPLE_TARGET, EXAMPLE_NAME = "training/data/houses.csv", "price", "house-price"


@dataclass(frozen=True)
class Source:
    """A table and what is to be made of it."""

    root: Path
    """The checkout that holds the table."""
    data: RelativePath
    """Path of the table in `root`, with slashes."""
    target: Column
    name: Name
    version: Version

    @property
    def is_example(self) -> bool:
        """Whether it is this checkout's own table, which this project's tests are written for."""
        return self.root == ROOT and self.data == EXAMPLE_DATA

    @property
    def table(self) -> Path:
        return self.root / self.data

    def copy_to(self, folder: Path) -> None:
        """Make `folder` anew with the table and its description, if there is one, under their paths in `root`.

        They are the commit's own, or those of a work tree that differs from it. Raises Failure when the commit has no
        such table.
        """
        if not (at := checkout.commit(self.root)).dirty:
            paths = [file.relative_to(self.root).as_posix() for file in _files(self.table)]
            git.export(at.revision, folder, paths, root=self.root)
            if not (folder / self.data).is_file():
                raise Failure(f"the commit does not have {self.data}", f"git add --force {self.data}; git commit")
            return
        shutil.rmtree(folder, ignore_errors=True)
        for file in _files(self.table):
            place = folder / file.relative_to(self.root)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)


def source() -> Source:
    """Return what the environment names. Raises Failure when something of it is missing or wrong."""
    top = root()
    here = top == ROOT
    named = os.path.normpath(_wanted("DATA", "path of the table in SOURCE", EXAMPLE_DATA if here else ""))
    data = RelativePath.of(named, "DATA", "DATA is a path inside SOURCE")
    example = here and data == EXAMPLE_DATA
    target = Column.of(
        _wanted("TARGET", "column to predict", EXAMPLE_TARGET if example else ""), "TARGET", "a column's name"
    )
    found = Source(top, data, target, name(), version())
    _check(found)
    return found


def name() -> Name:
    """Return the name of the model. Raises Failure when no image can have it."""
    named = os.environ.get("NAME") or EXAMPLE_NAME
    if named == platform.node():  # Windows Subsystem for Linux tells every program the machine's name as NAME
        named = EXAMPLE_NAME
    return Name.of(named, "NAME", "such as NAME=wine-quality")


def version() -> Version:
    """Return the version of the model. Raises Failure when another repository's is not given."""
    if root() == ROOT:
        return checkout.version()
    return Version.of(_wanted("VERSION", "version of the image", ""), "VERSION", "such as VERSION=1.4.0")


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
    """Return the checkout that the table is from. Raises Failure when SOURCE names none."""
    named = os.environ.get("SOURCE")
    if not named:
        return ROOT
    found = Path(named).resolve()
    remedy = "SOURCE is the path of a clone: git clone … wines && SOURCE=wines ./ship build"
    if not found.is_dir():
        raise Failure(f"SOURCE={named}: there is no such directory", remedy)
    top = git.ask("rev-parse", "--show-toplevel", root=found)
    if top.returncode:
        raise Failure(f"SOURCE={named} is not a Git repository: {top.words}", remedy)
    if Path(top.text) != found:
        raise Failure(f"SOURCE={named} is a folder of the Git repository {top.text}, not the whole", remedy)
    return found


def _wanted(variable: str, meaning: str, default: str) -> str:
    """Return the value of `variable`, or its default. Raises Failure when it has neither."""
    value = os.environ.get(variable) or default
    if not value:
        raise Failure(f"{variable} is not set: the {meaning}", "docs/your-own-model.md has a complete example")
    return value


def _check(found: Source) -> None:
    """Raise Failure when the table is not there, has no such column, or could not be had from the commit."""
    if not found.table.is_file():
        raise Failure(f"there is no table {found.data} in {found.root}", "DATA is its path inside SOURCE")
    for file in _files(found.table):
        if not file.resolve().is_relative_to(found.root):
            raise Failure(f"{file} lies outside of {found.root}, so its commit does not have it", "move it there")
        if git.ask("check-ignore", "--quiet", "--", str(file), root=found.root).returncode == 0:
            raise Failure(f"Git ignores {file}, so the commit does not have it", f"git add --force {file}; git commit")
    columns = _columns(found.table)
    if found.target not in columns:
        raise Failure(
            f"{found.data} has no column {found.target!r}, the target", f"TARGET is one of {', '.join(columns)}"
        )


def _files(table: Path) -> list[Path]:
    """Return the table, and the description beside it when there is one."""
    description = table.with_suffix(".toml")
    return [table, description] if description.exists() else [table]


def _columns(table: Path) -> list[str]:
    """Return the names in the header; the trainer is the one that judges whether the rest is a table."""
    with table.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return next(filter(None, csv.reader(file)), [])

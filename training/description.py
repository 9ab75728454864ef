"""The description of a table: a TOML file beside it, written by its owner."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal, Self

import msgspec

from app.model import Feature, Gate, Target


class InputError(Exception):
    """The user's input is wrong; the message says what, where and what to do."""


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column of the table; `app.model.Feature` says what each field means."""

    type: Literal["number", "integer", "category"]
    unit: str | None = None
    range: tuple[float, float] | None = None
    categories: tuple[str, ...] = ()
    missing: bool = False
    description: str = ""

    def __post_init__(self) -> None:
        if (self.type == "category") != bool(self.categories):
            raise ValueError("a category column, and no other, lists its categories")
        if len(set(self.categories)) < len(self.categories):
            raise ValueError("a category is listed twice")
        if self.range and not self.range[0] <= self.range[1]:
            raise ValueError("range is [smallest, largest]")


class Description(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The target, all other columns, and the gate's thresholds that differ from the defaults."""

    target: Target
    columns: dict[str, Column]
    gate: Gate = Gate()

    @classmethod
    def read_beside(cls, table: Path) -> Self | None:
        """Read the TOML file of the table's name, None if there is none; raises InputError if it is invalid."""
        path = table.with_suffix(".toml")
        try:
            return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), cls)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.") from error
        except (ValueError, msgspec.ValidationError) as error:
            raise InputError(f"{path.name} does not describe a table: {error}.") from error

    def make_features(self, names: list[str], target: str) -> list[Feature]:
        """Make features of the columns `names` but the target, in order; raises InputError if they do not match."""
        if target != self.target.name:
            raise InputError(
                f"The description names the target {self.target.name!r}, not {target!r}: change one of them."
            )
        for name in [name for name in names if name not in {target, *self.columns}]:
            raise InputError(f"Column {name!r} is not in the description: describe it, or remove it from the table.")
        for name in [name for name in self.columns if name not in names or name == target]:
            raise InputError(f"The description has a column {name!r} that is not a feature of the table: remove it.")
        return [Feature(name=name, **msgspec.structs.asdict(self.columns[name])) for name in names if name != target]

"""A table of data: read from CSV, typed and checked, so that the rest can rely on it."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.model import Data, Feature, Finding, Gate, Matrix, RowsError, Schema, Target, Vector
from training.description import Description, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.model import Value

FEWEST_ROWS = 50
MOST_CATEGORIES = 100
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Record:
    """A record of the file: the line on which it starts, and its cells as text."""

    line: int
    cells: list[str]


@dataclass(frozen=True)
class Table:
    """A checked table: `matrix` (rows, features) as `app.model.Schema` encodes it, `y` (rows,) the target's values."""

    data: Data
    target: Target
    features: tuple[Feature, ...]
    rows: list[list[Value]]
    matrix: Matrix
    y: Vector
    gate: Gate
    duplicates: int


def read(path: Path, target: str, *, drop_duplicates: bool = False) -> Table:
    """Read a CSV file, and the TOML file beside it if there is one; raises InputError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    return parse(path.name, content, target, Description.read_beside(path), drop_duplicates=drop_duplicates)


def parse(
    source: str, content: bytes, target: str, description: Description | None, *, drop_duplicates: bool = False
) -> Table:
    """Check the bytes of a CSV file and return its table; raises InputError, which names the line and the column."""
    header, *records = _read_records(source, content)
    names = header.cells
    _check_header(source, names, target)
    records, duplicates = _drop_duplicates(source, records, drop=drop_duplicates)
    if len(records) < FEWEST_ROWS:
        raise InputError(f"{source} has {len(records)} rows: use at least {FEWEST_ROWS}, to train and test on.")
    lines = [record.line for record in records]

    columns = dict(zip(names, zip(*(record.cells for record in records), strict=True), strict=True))
    y = _encode(
        source, lines, [Feature(name=target, type="number")], [[_parse_cell(cell)] for cell in columns.pop(target)]
    )
    if y.min() == y.max():
        raise InputError(f"{source}: the target {target!r} is {y[0, 0]:g} in every row: choose another target.")

    if description:
        features = description.make_features(names, target)
    else:
        features = [_infer_feature(source, name, cells) for name, cells in columns.items()]
    cells = zip(*(_parse_column(feature, columns[feature.name]) for feature in features), strict=True)
    rows = [list(row) for row in cells]
    return Table(
        data=Data(source, hashlib.sha256(content).hexdigest(), len(rows)),
        target=description.target if description else Target(target, None),
        features=tuple(features),
        rows=rows,
        matrix=_encode(source, lines, features, rows),
        y=y[:, 0],
        gate=description.gate if description else Gate(),
        duplicates=duplicates,
    )


def _read_records(source: str, content: bytes) -> Iterator[Record]:
    """Yield the header and the records; blank lines are skipped."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{source}, line {line}: not UTF-8. Save the table as UTF-8.") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line, width = 1, 0
    try:
        for cells in reader:
            if cells:
                width = width or len(cells)
                if len(cells) != width:
                    raise InputError(
                        f"{source}, line {line}: {len(cells)} cells, but the header has {width}. "
                        "Quote cells that contain a comma."
                    )
                yield Record(line, cells)
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{source}, line {line}: not CSV ({error}).") from error
    if not width:
        raise InputError(f"{source} is empty: write a header line and at least {FEWEST_ROWS} rows.")


def _check_header(source: str, names: list[str], target: str) -> None:
    for position, name in enumerate(names):
        if not name.strip():
            raise InputError(f"{source}: column {position + 1} has no name: name it in the header line.")
        if name in names[:position]:
            raise InputError(f"{source} has two columns {name!r}: rename or remove one.")
    if target not in names:
        raise InputError(f"{source} has no column {target!r}: --target is one of {', '.join(names)}.")
    if len(names) == 1:
        raise InputError(f"{source} has no column besides the target {target!r}: add one to predict it from.")


def _drop_duplicates(source: str, records: list[Record], *, drop: bool) -> tuple[list[Record], int]:
    first: dict[tuple[str, ...], Record] = {}
    for record in records:
        same = first.setdefault(tuple(record.cells), record)
        if same is not record and not drop:
            raise InputError(
                f"{source}: line {record.line} repeats line {same.line}, so one row could be in both training "
                "and hold-out. Remove it, or give --drop-duplicates."
            )
    return list(first.values()), len(records) - len(first)


def _parse_cell(cell: str) -> Value:
    """Return a number if the cell is one, None if it is empty, else its text, which the schema checks."""
    if _NUMBER.fullmatch(cell):
        return float(cell)
    return cell or None


def _parse_column(feature: Feature, cells: tuple[str, ...]) -> list[Value]:
    return [cell or None for cell in cells] if feature.type == "category" else [_parse_cell(cell) for cell in cells]


def _infer_feature(source: str, name: str, cells: tuple[str, ...]) -> Feature:
    """Infer the type of a column: a number if at least half of its filled cells are numbers."""
    filled = [cell for cell in cells if cell]
    if not filled:
        raise InputError(f"{source}: column {name!r} has no values: remove it.")
    missing = len(filled) < len(cells)
    if 2 * sum(1 for cell in filled if _NUMBER.fullmatch(cell)) >= len(filled):
        return Feature(name=name, type="number", missing=missing)
    categories = sorted(set(filled))
    if len(categories) > MOST_CATEGORIES:
        raise InputError(
            f"{source}: column {name!r} has {len(categories)} different texts, more than {MOST_CATEGORIES} "
            "categories: remove it, or group them."
        )
    return Feature(name=name, type="category", categories=tuple(categories), missing=missing)


def _encode(source: str, lines: list[int], features: list[Feature], rows: list[list[Value]]) -> Matrix:
    try:
        return Schema(features).encode(rows)
    except RowsError as error:
        raise InputError(_describe(source, lines, error.findings[0], len(error.findings) + error.more)) from error


def _describe(source: str, lines: list[int], finding: Finding, count: int) -> str:
    line = lines[finding.row or 0]
    found = "an empty cell" if finding.found == "null" else finding.found
    others = f" There are {count - 1} more such cells." if count > 1 else ""
    return f"{source}, line {line}, column {finding.field!r}: found {found}, wanted {finding.wanted}.{others}"

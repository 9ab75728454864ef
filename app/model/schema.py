"""Turns rows, as people write them, into the one float matrix that a model reads. Training uses it as well."""

from __future__ import annotations

import json
import math
import sys
from itertools import chain
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from app.model.card import Feature

Matrix = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float64]

LIMIT = 20  # findings reported of one request, and names listed in one sentence
_FEW = 32  # rows that are sooner dealt with one by one than column by column
_LARGEST = sys.float_info.max
_NAN = math.nan


class Finding(msgspec.Struct, frozen=True):
    """What was found in a row (counted from 0) and what is wanted there; no field when the whole row is meant."""

    row: int | None
    field: str | None
    found: str
    wanted: str


class RowsError(ValueError):
    """Rows that cannot be predicted: the first findings, and how many more there are."""

    def __init__(self, findings: Sequence[Finding], more: int = 0) -> None:
        super().__init__(f"{len(findings) + more} invalid values, the first: {findings[0]}")
        self.findings = tuple(findings)
        self.more = more


class PredictionError(RowsError):
    """Rows of valid values for which the model still gives no finite number."""


class _UnfitError(Exception):
    """A cell or a row that does not fit; what is wrong with it is worked out only then."""


class Schema:
    """Checks and encodes rows for one ordered set of features."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self.names = tuple(feature.name for feature in features)
        self._known = frozenset(self.names)
        self._checks = tuple(_check(feature) for feature in features)
        self._columns = tuple(_column(feature) for feature in features)
        self._wanted = tuple(_wanted(feature) for feature in features)
        self._listing = _listing(self.names)
        seen = [feature.seen or (-math.inf, math.inf) for feature in features]
        self._seen = tuple(seen)
        self._lowest, self._highest = np.array(seen, dtype=np.float64).reshape(-1, 2).T

    def encode(self, rows: Sequence[object]) -> Matrix:
        """Encode rows, each a list in feature order or an object by name, as a matrix (rows, features).

        Numbers stay as they are, a category becomes its index, a missing value NaN.
        Raises RowsError with every fault of every row.
        """
        if len(rows) > _FEW:
            try:
                return self._by_column(rows)
            except (_UnfitError, KeyError, TypeError, OverflowError):
                pass  # something is wrong with them: row by row it is found out what
        return self._one_by_one(rows)

    def _by_column(self, rows: Sequence[object]) -> Matrix:
        width = len(self.names)
        plain = set(map(type, rows)) == {list} and set(map(len, rows)) == {width}  # type: ignore[arg-type]
        cells = list(chain.from_iterable(rows if plain else map(self._values, rows)))  # type: ignore[arg-type]
        matrix = np.empty((len(rows), width))
        for place, encode in enumerate(self._columns):
            matrix[:, place] = encode(cells[place::width])
        return matrix

    def _one_by_one(self, rows: Sequence[object]) -> Matrix:
        encoded: list[list[float]] = []
        findings: list[Finding] = []
        more = 0
        for index, row in enumerate(rows):
            try:
                encoded.append([check(value) for check, value in zip(self._checks, self._values(row), strict=True)])
            except _UnfitError:
                for finding in self._faults(index, row):
                    if len(findings) < LIMIT:
                        findings.append(finding)
                    else:
                        more += 1
        if not rows:
            findings.append(Finding(None, None, "no rows", "at least one row"))
        if findings:
            raise RowsError(findings, more)
        return np.array(encoded, dtype=np.float64)

    def extrapolations(self, matrix: Matrix) -> list[Finding]:
        """Values of a matrix (rows, features) that are valid but outside of what training saw; at most LIMIT."""
        if len(matrix) <= _FEW and not any(map(self._leaves_seen, matrix.tolist())):
            return []
        outside = (matrix < self._lowest) | (matrix > self._highest)
        if not outside.any():
            return []
        return [
            Finding(
                int(row),
                self.names[column],
                _plain(matrix[row, column]),
                f"{_plain(self._lowest[column])} to {_plain(self._highest[column])}, as in training",
            )
            for row, column in np.argwhere(outside)[:LIMIT]
        ]

    def _leaves_seen(self, row: list[float]) -> bool:
        for value, (lowest, highest) in zip(row, self._seen, strict=True):  # noqa: SIM110 - half the time of any()
            if value < lowest or value > highest:
                return True
        return False

    def _values(self, row: object) -> Iterable[object]:
        if type(row) is list and len(row) == len(self.names):
            return row
        if type(row) is dict and row.keys() <= self._known:
            return map(row.get, self.names)
        raise _UnfitError

    def _faults(self, index: int, row: object) -> Iterator[Finding]:
        count = len(self.names)
        if isinstance(row, dict):
            for name in row:
                if name not in self._known:
                    yield Finding(index, _shortened(name), "an unknown name", f"one of {self._listing}")
            values = [row.get(name) for name in self.names]
        elif isinstance(row, list) and len(row) == count:
            values = row
        else:
            yield Finding(index, None, describe(row), f"a list of {count} values or an object of {self._listing}")
            return
        for name, value, check, wanted in zip(self.names, values, self._checks, self._wanted, strict=True):
            try:
                check(value)
            except _UnfitError:
                absent = isinstance(row, dict) and name not in row
                yield Finding(index, name, "nothing" if absent else describe(value), wanted)


def describe(value: object) -> str:
    """Say what a JSON value is, in a few words that are safe to send back."""
    match value:
        case bool() | None:
            return json.dumps(value)
        case str():
            return json.dumps(_shortened(value), ensure_ascii=False)
        case int() if abs(value) >= 10**20:
            return "a very large integer"
        case int() | float():
            return json.dumps(value)
        case list():
            return f"a list of {len(value)}"
        case _:
            return "an object"


def _check(feature: Feature) -> Callable[[object], float]:
    if feature.type == "category":
        return _category_check(feature)
    return _number_check(feature)


def _column(feature: Feature) -> Callable[[Sequence[object]], Vector]:
    """Give what encodes a column (rows,) of values at once, to what `_check` gives; raises where `_check` does."""
    return _category_column(feature) if feature.type == "category" else _number_column(feature)


def _number_column(feature: Feature) -> Callable[[Sequence[object]], Vector]:
    lowest, highest = feature.range or (-_LARGEST, _LARGEST)
    whole = feature.type == "integer"
    kinds = {float, int, type(None)} if feature.missing else {float, int}

    def encode(column: Sequence[object]) -> Vector:
        if not kinds.issuperset(map(type, column)):
            raise _UnfitError
        values = np.array(column, dtype=np.float64)
        fit = (values >= lowest) & (values <= highest)
        if whole:
            fit &= values == np.floor(values)
        # A gap is NaN by now, and NaN is in no range; a NaN that was sent is not a gap.
        if np.count_nonzero(fit) + (column.count(None) if feature.missing else 0) != len(column):
            raise _UnfitError
        return values

    return encode


def _category_column(feature: Feature) -> Callable[[Sequence[object]], Vector]:
    codes = _codes(feature)
    return lambda column: np.fromiter(map(codes.__getitem__, column), np.float64, len(column))  # type: ignore[arg-type]


def _number_check(feature: Feature) -> Callable[[object], float]:
    # The largest float as a bound refuses NaN, Infinity and integers that no float holds, all in one comparison.
    lowest, highest = feature.range or (-_LARGEST, _LARGEST)
    optional, whole = feature.missing, feature.type == "integer"

    def check(value: object) -> float:
        if type(value) is float:
            if lowest <= value <= highest and (not whole or value.is_integer()):
                return value
        elif type(value) is int:
            if lowest <= value <= highest:
                return value
        elif value is None and optional:
            return _NAN
        raise _UnfitError

    return check


def _category_check(feature: Feature) -> Callable[[object], float]:
    codes = _codes(feature)

    def check(value: object) -> float:
        if (value is None or type(value) is str) and value in codes:
            return codes[value]
        raise _UnfitError

    return check


def _codes(feature: Feature) -> dict[str | None, float]:
    codes: dict[str | None, float] = {name: float(code) for code, name in enumerate(feature.categories)}
    if feature.missing:
        codes[None] = _NAN
    return codes


def _wanted(feature: Feature) -> str:
    if feature.type == "category":
        text = f"one of {_listing(feature.categories)}"
    else:
        text = "an integer" if feature.type == "integer" else "a finite number"
        if feature.range:
            text += f" from {_plain(feature.range[0])} to {_plain(feature.range[1])}"
        if feature.unit:
            text += f" ({feature.unit})"
    return text + (" or null" if feature.missing else "")


def _listing(names: Sequence[str]) -> str:
    listed = ", ".join(describe(name) for name in names[:LIMIT])
    return listed + (f" and {len(names) - LIMIT} more" if len(names) > LIMIT else "")


def _shortened(text: str) -> str:
    """Cut a text short, without the half characters (surrogates) that JSON can spell but no answer can carry."""
    kept = text if len(text) <= 40 else text[:39] + "…"
    return kept.encode(errors="replace").decode()


def _plain(number: float) -> str:
    return str(int(number)) if float(number).is_integer() and abs(number) < 1e15 else repr(float(number))

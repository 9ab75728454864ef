"""Turns rows, as people write them, into the float matrix that a model reads; training uses it as well."""

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

LIMIT = 20  # findings reported for one request, and names listed in one sentence
_FEW = 32  # up to so many rows, encoding one by one is faster than column by column
_LARGEST = sys.float_info.max
_NAN = math.nan


class Finding(msgspec.Struct, frozen=True):
    """What was found in a row (counted from 0) and what is wanted there; no field if it is about the whole row."""

    row: int | None
    field: str | None
    found: str
    wanted: str


class RowsError(ValueError):
    """Rows that cannot be predicted: the first findings, and the number of the others."""

    def __init__(self, findings: Sequence[Finding], more: int = 0) -> None:
        super().__init__(f"{len(findings) + more} invalid values, the first: {findings[0]}")
        self.findings = tuple(findings)
        self.more = more


class PredictionError(RowsError):
    """Rows of valid values for which the model gives no finite number."""


class _InvalidError(Exception):
    """An invalid value or row; what is wrong with it is found out later."""


class Schema:
    """Checks and encodes rows for one ordered set of features."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self.names = tuple(feature.name for feature in features)
        self._known = frozenset(self.names)
        self._checks = tuple(_make_check(feature) for feature in features)
        self._columns = tuple(_make_column_encoder(feature) for feature in features)
        self._wanted = tuple(_describe_wanted(feature) for feature in features)
        self._listing = _list_names(self.names)
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
                return self._encode_by_column(rows)
            except (_InvalidError, KeyError, TypeError, OverflowError):
                pass  # encoding them one by one finds out what is wrong
        return self._encode_one_by_one(rows)

    def _encode_by_column(self, rows: Sequence[object]) -> Matrix:
        width = len(self.names)
        plain = set(map(type, rows)) == {list} and set(map(len, rows)) == {width}  # type: ignore[arg-type]
        cells = list(chain.from_iterable(rows if plain else map(self._order, rows)))  # type: ignore[arg-type]
        matrix = np.empty((len(rows), width))
        for place, encode in enumerate(self._columns):
            matrix[:, place] = encode(cells[place::width])
        return matrix

    def _encode_one_by_one(self, rows: Sequence[object]) -> Matrix:
        encoded: list[list[float]] = []
        findings: list[Finding] = []
        more = 0
        for index, row in enumerate(rows):
            try:
                encoded.append([check(value) for check, value in zip(self._checks, self._order(row), strict=True)])
            except _InvalidError:
                for finding in self._find_faults(index, row):
                    if len(findings) < LIMIT:
                        findings.append(finding)
                    else:
                        more += 1
        if not rows:
            findings.append(Finding(None, None, "no rows", "at least one row"))
        if findings:
            raise RowsError(findings, more)
        return np.array(encoded, dtype=np.float64)

    def find_extrapolations(self, matrix: Matrix) -> list[Finding]:
        """Return the values of a matrix (rows, features) outside the range seen in training; at most LIMIT."""
        if len(matrix) <= _FEW and not any(map(self._extrapolates, matrix.tolist())):
            return []
        outside = (matrix < self._lowest) | (matrix > self._highest)
        if not outside.any():
            return []
        return [
            Finding(
                int(row),
                self.names[column],
                _format_number(matrix[row, column]),
                f"{_format_number(self._lowest[column])} to {_format_number(self._highest[column])}, as in training",
            )
            for row, column in np.argwhere(outside)[:LIMIT]
        ]

    def _extrapolates(self, row: list[float]) -> bool:
        for value, (lowest, highest) in zip(row, self._seen, strict=True):  # noqa: SIM110 - half the time of any()
            if value < lowest or value > highest:
                return True
        return False

    def _order(self, row: object) -> Iterable[object]:
        if type(row) is list and len(row) == len(self.names):
            return row
        if type(row) is dict and row.keys() <= self._known:
            return map(row.get, self.names)
        raise _InvalidError

    def _find_faults(self, index: int, row: object) -> Iterator[Finding]:
        count = len(self.names)
        if isinstance(row, dict):
            for name in row:
                if name not in self._known:
                    yield Finding(index, _shorten(name), "an unknown name", f"one of {self._listing}")
            values = [row.get(name) for name in self.names]
        elif isinstance(row, list) and len(row) == count:
            values = row
        else:
            yield Finding(index, None, describe(row), f"a list of {count} values or an object of {self._listing}")
            return
        for name, value, check, wanted in zip(self.names, values, self._checks, self._wanted, strict=True):
            try:
                check(value)
            except _InvalidError:
                absent = isinstance(row, dict) and name not in row
                yield Finding(index, name, "nothing" if absent else describe(value), wanted)


def describe(value: object) -> str:
    """Describe a JSON value in a few words that are safe to send back."""
    match value:
        case bool() | None:
            return json.dumps(value)
        case str():
            return json.dumps(_shorten(value), ensure_ascii=False)
        case int() if abs(value) >= 10**20:
            return "a very large integer"
        case int() | float():
            return json.dumps(value)
        case list():
            return f"a list of {len(value)}"
        case _:
            return "an object"


def _make_check(feature: Feature) -> Callable[[object], float]:
    if feature.type == "category":
        return _make_category_check(feature)
    return _make_number_check(feature)


def _make_column_encoder(feature: Feature) -> Callable[[Sequence[object]], Vector]:
    """Make the function that encodes a column (rows,) of values at once, to what `_make_check` gives for each."""
    return _make_category_encoder(feature) if feature.type == "category" else _make_number_encoder(feature)


def _make_number_encoder(feature: Feature) -> Callable[[Sequence[object]], Vector]:
    lowest, highest = feature.range or (-_LARGEST, _LARGEST)
    whole = feature.type == "integer"
    kinds = {float, int, type(None)} if feature.missing else {float, int}

    def encode(column: Sequence[object]) -> Vector:
        if not kinds.issuperset(map(type, column)):
            raise _InvalidError
        values = np.array(column, dtype=np.float64)
        fit = (values >= lowest) & (values <= highest)
        if whole:
            fit &= values == np.floor(values)
        # A missing value is NaN by now, which is in no range; a NaN that was sent is not a missing value.
        if np.count_nonzero(fit) + (column.count(None) if feature.missing else 0) != len(column):
            raise _InvalidError
        return values

    return encode


def _make_category_encoder(feature: Feature) -> Callable[[Sequence[object]], Vector]:
    codes = _assign_codes(feature)
    return lambda column: np.fromiter(map(codes.__getitem__, column), np.float64, len(column))  # type: ignore[arg-type]


def _make_number_check(feature: Feature) -> Callable[[object], float]:
    # With the largest float as a bound, one comparison rejects NaN, Infinity and integers too large for a float.
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
        raise _InvalidError

    return check


def _make_category_check(feature: Feature) -> Callable[[object], float]:
    codes = _assign_codes(feature)

    def check(value: object) -> float:
        if (value is None or type(value) is str) and value in codes:
            return codes[value]
        raise _InvalidError

    return check


def _assign_codes(feature: Feature) -> dict[str | None, float]:
    codes: dict[str | None, float] = {name: float(code) for code, name in enumerate(feature.categories)}
    if feature.missing:
        codes[None] = _NAN
    return codes


def _describe_wanted(feature: Feature) -> str:
    if feature.type == "category":
        text = f"one of {_list_names(feature.categories)}"
    else:
        text = "an integer" if feature.type == "integer" else "a finite number"
        if feature.range:
            text += f" from {_format_number(feature.range[0])} to {_format_number(feature.range[1])}"
        if feature.unit:
            text += f" ({feature.unit})"
    return text + (" or null" if feature.missing else "")


def _list_names(names: Sequence[str]) -> str:
    listed = ", ".join(describe(name) for name in names[:LIMIT])
    return listed + (f" and {len(names) - LIMIT} more" if len(names) > LIMIT else "")


def _shorten(text: str) -> str:
    """Shorten a text, and replace lone surrogates, which JSON can contain but UTF-8 cannot encode."""
    kept = text if len(text) <= 40 else text[:39] + "…"
    return kept.encode(errors="replace").decode()


def _format_number(number: float) -> str:
    return str(int(number)) if float(number).is_integer() and abs(number) < 1e15 else repr(float(number))

"""Many rows are encoded column by column: to the same matrix, or the same faults, as one by one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from app.model import Card, RowsError, Schema

MANY = 100
WRONG: dict[str, list[object]] = {
    "area": ["80", True, None, [80], {}, math.nan, math.inf, 10**400, 9.99, 1e308],
    "rooms": [3.5, 0, math.nan, None, True, "3"],
    "energy": [math.nan, -math.inf, "12", False, -1],
    "city": [3, 0.0, None, "Atlantis", ["Berlin"], {}, True],
    "condition": ["bad", 0, math.nan],
}


@pytest.fixture
def schema(card: Card) -> Schema:
    return Schema(card.features)


@pytest.fixture
def rows(card: Card) -> list[Any]:
    """Valid rows, more than a few, lists and objects mixed, with every category and gap of the golden rows."""
    golden = [golden.features for golden in card.golden]
    return [{**golden[row % len(golden)]} if row % 3 else [*golden[row % len(golden)].values()] for row in range(MANY)]


def test_the_same_matrix(schema: Schema, rows: list[Any]) -> None:
    one_by_one = np.concatenate([schema.encode([row]) for row in rows])

    assert np.array_equal(schema.encode(rows), one_by_one, equal_nan=True)


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_the_same_faults(field: str, value: object, schema: Schema, rows: list[Any]) -> None:
    wrong = {**rows[1], field: value}

    with pytest.raises(RowsError) as alone:
        schema.encode([wrong])
    with pytest.raises(RowsError) as among_many:
        schema.encode([*rows, wrong])

    [one], [other] = alone.value.findings, among_many.value.findings
    assert (other.row, other.field, other.found, other.wanted) == (MANY, one.field, one.found, one.wanted)


@pytest.mark.parametrize("row", [None, 3, "row", [], [1], {"garage": 1}, [[]] * 10])
def test_rows_of_another_shape(row: object, schema: Schema, rows: list[Any]) -> None:
    with pytest.raises(RowsError) as caught:
        schema.encode([row, *rows])

    assert {finding.row for finding in caught.value.findings} == {0}


@pytest.mark.parametrize("others", [0, MANY])
def test_values_unlike_training_are_found_among_few_rows_and_many(others: int, schema: Schema, rows: list[Any]) -> None:
    matrix = schema.encode([*rows[:others], {**rows[1], "area": 900, "energy": None}])

    [found] = [finding for finding in schema.extrapolations(matrix) if finding.row == others]

    assert (found.field, found.found) == ("area", "900")
    assert schema.extrapolations(schema.encode(rows[: max(others, 1)])) == []


def test_whole_numbers_of_any_size_are_taken_alike(card: Card) -> None:
    features = [type(feature)(feature.name, "integer") for feature in card.features[:1]]
    rows = [[value] for value in (2**53 + 1, 1e300, -(10**300), 3.0)]

    wide = Schema(features).encode(rows * MANY)

    assert np.array_equal(wide[:4], Schema(features).encode(rows))

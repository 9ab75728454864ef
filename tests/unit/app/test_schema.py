"""Many rows are encoded column by column, with the same matrix or the same findings as one by one."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest

from app.model import Card, Feature, RowsError, Schema
from app.model.schema import describe

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
    """Many valid rows, lists and objects mixed, with every category and missing value of the golden rows."""
    golden = [golden.features for golden in card.golden]
    return [{**golden[row % len(golden)]} if row % 3 else [*golden[row % len(golden)].values()] for row in range(MANY)]


def test_few_rows_and_many_give_the_same_matrix(schema: Schema, rows: list[Any]) -> None:
    one_by_one = np.concatenate([schema.encode([row]) for row in rows])

    assert np.array_equal(schema.encode(rows), one_by_one, equal_nan=True)


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_few_rows_and_many_give_the_same_findings(field: str, value: object, schema: Schema, rows: list[Any]) -> None:
    wrong = {**rows[1], field: value}

    with pytest.raises(RowsError) as alone:
        schema.encode([wrong])
    with pytest.raises(RowsError) as among_many:
        schema.encode([*rows, wrong])

    [one], [other] = alone.value.findings, among_many.value.findings
    assert (other.row, other.field, other.found, other.wanted) == (MANY, one.field, one.found, one.wanted)


@pytest.mark.parametrize("row", [None, 3, "row", [], [1], {"garage": 1}, [[]] * 10])
def test_rows_of_another_form_are_found(row: object, schema: Schema, rows: list[Any]) -> None:
    with pytest.raises(RowsError) as caught:
        schema.encode([row, *rows])

    assert {finding.row for finding in caught.value.findings} == {0}


@pytest.mark.parametrize("others", [0, MANY])
def test_extrapolations_are_found_in_few_rows_and_in_many(others: int, schema: Schema, rows: list[Any]) -> None:
    matrix = schema.encode([*rows[:others], {**rows[1], "area": 900, "energy": None}])

    [found] = [finding for finding in schema.find_extrapolations(matrix) if finding.row == others]

    assert (found.field, found.found) == ("area", "900")
    assert schema.find_extrapolations(schema.encode(rows[: max(others, 1)])) == []


def test_few_rows_and_many_accept_the_same_integers(card: Card) -> None:
    features = [type(feature)(feature.name, "integer") for feature in card.features[:1]]
    rows = [[value] for value in (2**53 + 1, 1e300, -(10**300), 3.0)]

    wide = Schema(features).encode(rows * MANY)

    assert np.array_equal(wide[:4], Schema(features).encode(rows))


# The expected values that follow are worked out by hand.
MISSING = math.nan
SIZE = Feature("size", "number", unit="m2", range=(10.0, 500.0), seen=(20.0, 200.0))
ROOMS = Feature("rooms", "integer", seen=(1.0, 5.5), missing=True)
KIND = Feature("kind", "category", categories=("flat", "house"), missing=True)
FEATURES = (SIZE, ROOMS, KIND)
FEW, MORE = 32, 33  # the most rows that are encoded one by one, the fewest that are by column


def find(schema: Schema, rows: list[Any]) -> list[tuple[int | None, str | None, str, str]]:
    with pytest.raises(RowsError) as caught:
        schema.encode(rows)
    return [(one.row, one.field, one.found, one.wanted) for one in caught.value.findings]


@pytest.mark.parametrize("count", [5, FEW, MORE])
def test_a_number_stays_a_category_is_its_index_and_a_missing_value_is_nan(count: int) -> None:
    rows = [
        [20, 3.0, "house"],
        {"kind": "flat", "size": 10.5},
        [500.0, None, None],
        {"kind": "house", "rooms": 0, "size": 10},
        [10.0, -1, "flat"],
        [500, 2, "flat"],
    ]
    wanted = [
        [20.0, 3.0, 1.0],
        [10.5, MISSING, 0.0],
        [500.0, MISSING, MISSING],
        [10.0, 0.0, 1.0],
        [10.0, -1.0, 0.0],
        [500, 2, 0],
    ]

    matrix = Schema(FEATURES).encode((rows * count)[:count])

    assert np.array_equal(matrix, np.array(wanted * count)[:count], equal_nan=True)


@pytest.mark.parametrize("count", [1, MORE])
def test_integers_give_a_matrix_of_floats(count: int) -> None:
    assert Schema([ROOMS]).encode([[1]] * count).dtype == np.float64


def test_many_valid_rows_are_not_encoded_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # That would give the same, three times as slowly.
    monkeypatch.delattr(Schema, "_encode_one_by_one")
    lists: list[Any] = [[20, 3.0, "house"], [500.0, None, None]] * FEW
    schema = Schema([*FEATURES, Feature("far", "number"), Feature("code", "category", categories=("a",))])

    assert Schema(FEATURES).encode(lists).shape == (2 * FEW, 3)
    assert Schema(FEATURES).encode([*lists, {"kind": "flat", "size": 10.5}]).shape == (2 * FEW + 1, 3)
    assert schema.encode([[20, 3, None, value, "a"] for value in range(-FEW, FEW)]).shape == (2 * FEW, 5)


@pytest.mark.parametrize("wrong", [[20, 3], [20, 3, "flat", 20], []])
def test_a_row_of_another_length_is_found_among_many(wrong: list[Any]) -> None:
    rows = [*[[20, 3, "flat"]] * FEW, wrong]

    assert [(row, field) for row, field, *_ in find(Schema(FEATURES), rows)] == [(FEW, None)]


def test_wrong_lengths_with_the_right_total_are_found() -> None:
    rows = [[20, 3], ["flat", 20, 3, "flat"]] * FEW

    assert len(find(Schema(FEATURES), rows)) == 20


@pytest.mark.parametrize("count", [1, FEW, MORE])
@pytest.mark.parametrize(
    ("field", "value", "found", "wanted"),
    [
        ("size", 9.5, "9.5", "a finite number from 10 to 500 (m2)"),
        ("size", 501, "501", "a finite number from 10 to 500 (m2)"),
        ("size", None, "null", "a finite number from 10 to 500 (m2)"),
        ("size", "20", '"20"', "a finite number from 10 to 500 (m2)"),
        ("size", True, "true", "a finite number from 10 to 500 (m2)"),
        ("size", MISSING, "NaN", "a finite number from 10 to 500 (m2)"),
        ("rooms", 2.5, "2.5", "an integer or null"),
        ("rooms", math.inf, "Infinity", "an integer or null"),
        ("rooms", MISSING, "NaN", "an integer or null"),
        ("rooms", 10**400, "a very large integer", "an integer or null"),
        ("kind", "tent", '"tent"', 'one of "flat", "house" or null'),
        ("kind", 1, "1", 'one of "flat", "house" or null'),
        ("kind", [1, 2], "a list of 2", 'one of "flat", "house" or null'),
        ("kind", {"a": 1}, "an object", 'one of "flat", "house" or null'),
    ],
)
def test_an_invalid_value_is_found_in_its_row_and_field(
    field: str, value: object, found: str, wanted: str, count: int
) -> None:
    rows: list[Any] = [[20, 3, "flat"]] * (count - 1) + [{"size": 20, "rooms": 3, "kind": "flat", field: value}]

    assert find(Schema(FEATURES), rows) == [(count - 1, field, found, wanted)]


TWENTY = tuple("abcdefghijklmnopqrst")
LISTED = ", ".join(f'"{letter}"' for letter in TWENTY)


@pytest.mark.parametrize(
    ("feature", "wanted"),
    [
        (Feature("x", "number"), "a finite number"),
        (Feature("x", "integer"), "an integer"),
        (Feature("x", "integer", range=(0.0, 1.5)), "an integer from 0 to 1.5"),
        (Feature("x", "number", range=(-1e15, 1e14)), "a finite number from -1000000000000000.0 to 100000000000000"),
        (Feature("x", "number", unit="EUR"), "a finite number (EUR)"),
        (Feature("x", "category", categories=("a",)), 'one of "a"'),
        (Feature("x", "category", categories=TWENTY), f"one of {LISTED}"),
        (Feature("x", "category", categories=(*TWENTY, "u")), f"one of {LISTED} and 1 more"),
    ],
)
def test_the_wanted_values_are_described_completely(feature: Feature, wanted: str) -> None:
    assert find(Schema([feature]), [[[]]]) == [(0, "x", "a list of 0", wanted)]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (10**20 - 1, "99999999999999999999"),
        (-(10**20) + 1, "-99999999999999999999"),
        (10**20, "a very large integer"),
        (-(10**20), "a very large integer"),
        (1.5, "1.5"),
        (False, "false"),
        (None, "null"),
        ("é", '"é"'),
        ("x" * 40, f'"{"x" * 40}"'),
        ("x" * 41, f'"{"x" * 39}…"'),
        ("\ud800", '"?"'),
        ((), "an object"),
    ],
)
def test_a_value_is_described_in_few_words(value: object, words: str) -> None:
    assert describe(value) == words


def test_a_row_of_another_form_is_described() -> None:
    listed = 'a list of 3 values or an object of "size", "rooms", "kind"'

    assert find(Schema(FEATURES), [[20, 3], 7, (20, 3, "flat"), [20, 3, "flat", 1]]) == [
        (0, None, "a list of 2", listed),
        (1, None, "7", listed),
        (2, None, "an object", listed),
        (3, None, "a list of 4", listed),
    ]


def test_an_unknown_name_does_not_hide_other_findings() -> None:
    row = {"sise": 20, "rooms": 2.5, "kind": "flat"}

    assert find(Schema(FEATURES), [row]) == [
        (0, "sise", "an unknown name", 'one of "size", "rooms", "kind"'),
        (0, "size", "nothing", "a finite number from 10 to 500 (m2)"),
        (0, "rooms", "2.5", "an integer or null"),
    ]


def test_a_long_name_is_shortened() -> None:
    [(_, field, *_), *_] = find(Schema(FEATURES), [{"x" * 50: 1, "size": 20, "rooms": 1, "kind": "flat"}])

    assert field == "x" * 39 + "…"


def test_no_rows_are_a_finding() -> None:
    assert find(Schema(FEATURES), []) == [(None, None, "no rows", "at least one row")]


@pytest.mark.parametrize(("count", "more"), [(20, 0), (21, 1), (50, 30)])
def test_twenty_findings_are_listed_and_the_others_counted(count: int, more: int) -> None:
    with pytest.raises(
        RowsError, match=rf"^{count} invalid values, the first: Finding\(row=0, field='size', "
    ) as caught:
        Schema(FEATURES).encode([[0, 1, "flat"]] * count)

    assert [one.row for one in caught.value.findings] == [*range(20)]
    assert caught.value.more == more


@pytest.mark.parametrize("count", [1, FEW, MORE])
def test_the_bounds_of_the_training_range_are_inside_it(count: int) -> None:
    inside = Schema(FEATURES).encode([[20, 1, "flat"], [200, 5, "house"], [20, None, None]] * count)[:count]

    assert Schema(FEATURES).find_extrapolations(inside) == []


@pytest.mark.parametrize("count", [1, FEW, MORE])
@pytest.mark.parametrize(
    ("row", "field", "found", "wanted"),
    [
        ([19.5, 1, "flat"], "size", "19.5", "20 to 200, as in training"),
        ([200.5, 1, "flat"], "size", "200.5", "20 to 200, as in training"),
        ([20, 0, "flat"], "rooms", "0", "1 to 5.5, as in training"),
        ([20, 6, "flat"], "rooms", "6", "1 to 5.5, as in training"),
    ],
)
def test_a_value_outside_the_training_range_is_found(
    row: list[Any], field: str, found: str, wanted: str, count: int
) -> None:
    matrix = Schema(FEATURES).encode([*[[20, 1, "flat"]] * (count - 1), row])

    assert [(one.row, one.field, one.found, one.wanted) for one in Schema(FEATURES).find_extrapolations(matrix)] == [
        (count - 1, field, found, wanted)
    ]


def test_twenty_extrapolations_are_listed() -> None:
    assert len(Schema(FEATURES).find_extrapolations(Schema(FEATURES).encode([[300, 1, "flat"]] * 21))) == 20


@pytest.mark.parametrize("count", [1, MORE])
def test_the_largest_and_the_smallest_float_are_valid(count: int) -> None:
    limit = sys.float_info.max
    schema = Schema([Feature("x", "number")])

    assert schema.encode([[limit], [-limit]] * count).ravel().tolist() == [limit, -limit] * count
    for beyond in (int(limit) * 10, -int(limit) * 10, math.inf, -math.inf):
        assert len(find(schema, [*[[1.0]] * (count - 1), [beyond]])) == 1


def test_a_subclass_of_list_is_checked_value_by_value() -> None:
    class Rows(list[Any]):
        pass

    # JSON never gives one; it must not pass unchecked.
    assert find(Schema(FEATURES), [Rows([20, 3, "tent"])]) == [(0, "kind", '"tent"', 'one of "flat", "house" or null')]

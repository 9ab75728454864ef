"""The estimator on tables so small that its coefficients are worked out by hand."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from app.model import Feature, Linear, Term
from training import pipeline

MISSING = math.nan
NUMBER = Feature("x", "number")


def matrix(*rows: list[float]) -> np.ndarray:
    return np.array(rows)


@pytest.mark.parametrize(
    ("digits", "wanted"),
    [((), [1234567890000.0, -0.0001234567890, 0.0]), ((3,), [1.23e12, -0.000123, 0.0])],
    ids=["ten", "three"],
)
def test_values_are_rounded_to_significant_digits(digits: tuple[int, ...], wanted: list[float]) -> None:
    assert pipeline.round_digits(np.array([1234567890123.0, -0.00012345678901, 0.0]), *digits).tolist() == wanted


def test_the_penalty_shrinks_a_slope() -> None:
    # x is centred and scaled already: its coefficient is 3 / (2 + 1), and not 3 / 2 as without the penalty.
    fitted = pipeline.fit([NUMBER], matrix([-1.0], [1.0]), np.array([0.0, 3.0]))

    assert fitted[-1].coef_.tolist() == [1.0]
    assert fitted[-1].intercept_ == 1.5
    assert pipeline.make_linear([NUMBER], fitted) == Linear(1.5, (Term(slope=1.0),))


@pytest.mark.parametrize(
    ("y", "coefficient"), [([0.0, 1.0], 0.3333333333), ([0.0, 2e6], 666666.6667), ([0.0, 2e-6], 6.666666667e-7)]
)
def test_coefficients_are_rounded_to_ten_digits_of_the_largest(y: list[float], coefficient: float) -> None:
    fitted = pipeline.fit([NUMBER], matrix([-1.0], [1.0]), np.array(y))

    assert fitted[-1].coef_.tolist() == [coefficient]
    assert fitted[-1].intercept_ == y[1] / 2


def test_an_intercept_is_rounded_to_ten_digits() -> None:
    fitted = pipeline.fit([NUMBER], matrix([0.0], [0.0], [0.0]), np.array([0.0, 0.0, 1.0]))

    assert fitted[-1].intercept_ == 0.3333333333
    assert fitted[-1].coef_.tolist() == [0.0]


def test_a_scaler_is_rounded_to_ten_digits() -> None:
    fitted = pipeline.fit([NUMBER], matrix([0.0], [0.0], [1.0]), np.array([0.0, 0.0, 1.0]))

    scaler = fitted[0].named_transformers_["numbers"][-1]
    assert (scaler.mean_.tolist(), scaler.var_.tolist(), scaler.scale_.tolist()) == (
        [0.3333333333],
        [0.2222222222],
        [0.4714045208],
    )


def test_a_target_of_zeros_is_predicted() -> None:
    fitted = pipeline.fit([NUMBER], matrix([-1.0], [1.0]), np.array([0.0, 0.0]))

    assert fitted.predict(matrix([5.0])).tolist() == [0.0]


def test_a_zero_coefficient_has_no_sign() -> None:
    fitted = pipeline.fit([NUMBER], matrix([-1.0], [1.0]), np.array([1.0, 1.0 - 1e-12]))

    assert math.copysign(1, fitted[-1].coef_[0]) == 1  # a minus zero is another byte in the file


def test_many_categories_are_learned_as_well_as_few() -> None:
    features = [Feature("kind", "category", categories=tuple("abcdefghij"))]

    fitted = pipeline.fit(features, np.arange(10.0).reshape(-1, 1), np.arange(10.0))

    # A category of one row in ten is at 0.9 where it is, at -0.1 elsewhere: half of its distance from the mean stands.
    [term] = pipeline.make_linear(features, fitted).terms
    assert term.effects == pytest.approx([(code - 4.5) / 2 for code in range(10)])


def test_a_missing_number_counts_as_the_median() -> None:
    features = [Feature("x", "number", missing=True)]

    fitted = pipeline.fit(features, matrix([1.0], [2.0], [9.0], [MISSING]), np.array([1.0, 2.0, 9.0, 4.0]))

    missing, median, mean = fitted.predict(matrix([MISSING], [2.0], [4.0]))
    assert missing == median != mean
    [term] = pipeline.make_linear(features, fitted).terms
    assert term.missing == pytest.approx(2 * term.slope, rel=1e-9)
    assert term.slope > 0


def test_each_category_has_its_own_effect() -> None:
    # Of two groups of two, two above and two below the mean, the penalty lets 4/3 stand.
    features = [Feature("kind", "category", categories=("a", "b"))]

    fitted = pipeline.fit(features, matrix([0.0], [0.0], [1.0], [1.0]), np.array([0.0, 0.0, 4.0, 4.0]))

    assert pipeline.make_linear(features, fitted) == Linear(2.0, (Term(effects=(-1.333333333, 1.333333333)),))


def test_a_missing_category_has_its_own_effect() -> None:
    features = [Feature("kind", "category", categories=("a", "b"), missing=True)]

    fitted = pipeline.fit(features, matrix([1.0], [1.0], [MISSING], [MISSING]), np.array([0.0, 0.0, 4.0, 4.0]))

    assert pipeline.make_linear(features, fitted) == Linear(
        2.0, (Term(effects=(0.0, -1.333333333), missing=1.333333333),)
    )


def test_an_empty_column_has_no_effect() -> None:
    features = [
        NUMBER,
        Feature("empty", "number", missing=True),
        Feature("lost", "category", categories=("a",), missing=True),
    ]

    fitted = pipeline.fit(features, matrix([-1.0, MISSING, MISSING], [1.0, MISSING, MISSING]), np.array([0.0, 3.0]))

    assert pipeline.make_linear(features, fitted) == Linear(1.5, (Term(slope=1.0), Term(), Term(effects=(0.0,))))


@pytest.mark.parametrize("kinds", ["number", "category", "mixed"])
def test_the_sum_equals_the_pipeline(kinds: str) -> None:
    every = [
        Feature("kind", "category", categories=("a", "b", "c"), missing=True),
        Feature("x", "number", missing=True),
        Feature("floor", "category", categories=("low", "high")),
        Feature("rooms", "integer"),
    ]
    features = [
        feature for feature in every if kinds == "mixed" or (feature.type == "category") == (kinds == "category")
    ]
    values = {
        "kind": [0.0, 1.0, 2.0, MISSING],
        "x": [-3.0, 0.5, 8.0, MISSING],
        "floor": [0.0, 1.0],
        "rooms": [1.0, 2.0, 7.0],
    }
    rows = np.array([*product(*(values[feature.name] for feature in features))])
    y = np.array([7.0 * row[0] ** 2 + row[-1] if not math.isnan(row[0]) else 100.0 for row in rows.tolist()])

    fitted = pipeline.fit(features, rows, y)
    linear = pipeline.make_linear(features, fitted)

    assert len(linear.terms) == len(features)
    for row, prediction in zip(rows.tolist(), fitted.predict(rows).tolist(), strict=True):
        total = linear.intercept
        for value, term in zip(row, linear.terms, strict=True):
            if math.isnan(value):
                total += term.missing
            else:
                total += term.effects[int(value)] if term.effects else term.slope * value
        assert total == pytest.approx(prediction, rel=1e-9)
    for feature, term in zip(features, linear.terms, strict=True):
        assert len(term.effects) == len(feature.categories)
        assert feature.missing or feature.type != "category" or term.missing == 0

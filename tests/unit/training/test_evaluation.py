"""Splits, folds, intervals, scores and the gate, compared with figures worked out by hand."""

from __future__ import annotations

import statistics

import msgspec
import numpy as np
import pytest

from app.model import Card, Data, Feature, Gate, Interval, Metrics, Scores, Split, Target
from app.model import CrossValidation as Summary
from training import evaluation

# From a constant feature, a model can only predict the mean of the rows that it was fitted on.
CONSTANT = [Feature("x", "number")]


def scores(r2: float = 0.5, mae: float = 1.0) -> Scores:
    return Scores(mae=mae, rmse=2.0, r2=r2, median_absolute_error=1.0)


def make_card(*, r2: float = 0.5, mae: float = 1.0, baseline_mae: float = 4.0, coverage: float = 0.9) -> Card:
    return Card(
        name="x",
        version="1.0.0",
        format="onnx",
        sha256="",
        target=Target("y", None),
        features=(),
        data=Data("x.csv", "", 100),
        split=Split(0.2, 0, 80, 20),
        cross_validation=Summary(5, 0.5, 0.1, 1.0, 0.1),
        metrics=Metrics(scores(r2, mae), scores(0.0, baseline_mae)),
        gate=Gate(min_r2=0.5, max_mae_ratio=0.5, coverage=(0.8, 0.98)),
        interval=Interval(0.9, -1.0, 1.0, coverage),
        agreement=0.0,
        runtime={},
        training={},
        golden=(),
    )


def test_a_fifth_is_held_out_and_both_parts_keep_their_order() -> None:
    training, hold_out = evaluation.split(100, seed=3)

    assert (len(training), len(hold_out)) == (80, 20)
    assert sorted([*training, *hold_out]) == [*range(100)]
    assert [*training] == sorted(training)
    assert [*hold_out] == sorted(hold_out)


def test_the_seed_alone_determines_the_hold_out() -> None:
    first, again, other = (evaluation.split(100, seed)[1].tolist() for seed in (3, 3, 4))

    assert first == again
    assert first != other


def folds(y: list[float], residuals: list[float]) -> list[frozenset[int]]:
    """Infer from the residuals which two of ten rows share a fold: their prediction is the mean of the others."""
    pairs = []
    for row, (value, residual) in enumerate(zip(y, residuals, strict=True)):
        other = sum(y) - value - 8 * (value - residual)
        pairs.append(frozenset({row, min(range(10), key=lambda place: abs(y[place] - other))}))
    return pairs


def test_each_fold_is_predicted_by_a_model_of_the_others() -> None:
    y = [float(2**row) for row in range(10)]  # of which no two sums are the same

    summary, found = evaluation.cross_validate(CONSTANT, np.full((10, 1), 7.0), np.array(y), seed=0)

    residuals = found.tolist()
    pairs = folds(y, residuals)
    assert len({*pairs}) == 5
    for pair in {*pairs}:
        rows = sorted(pair)
        assert len(rows) == 2
        mean = sum(value for row, value in enumerate(y) if row not in pair) / 8
        assert [residuals[row] for row in rows] == pytest.approx([y[row] - mean for row in rows])
    errors = [[abs(residuals[row]) for row in pair] for pair in {*pairs}]
    maes = [statistics.mean(error) for error in errors]
    spreads = [sum((y[row] - statistics.mean(y[one] for one in pair)) ** 2 for row in pair) for pair in {*pairs}]
    r2s = [1 - sum(error**2 for error in both) / spread for both, spread in zip(errors, spreads, strict=True)]
    assert summary == Summary(
        5,
        *(
            float(f"{figure:.6g}")
            for figure in (statistics.mean(r2s), statistics.pstdev(r2s), statistics.mean(maes), statistics.pstdev(maes))
        ),
    )


def test_folds_are_shuffled_by_the_seed() -> None:
    y = [float(2**row) for row in range(10)]
    matrix = np.full((10, 1), 7.0)

    first, again, other = (
        folds(y, evaluation.cross_validate(CONSTANT, matrix, np.array(y), seed)[1].tolist()) for seed in (0, 0, 1)
    )

    assert first == again
    assert first != other
    assert {*first} != {frozenset({row, row + 1}) for row in range(0, 10, 2)}


def test_the_interval_is_between_two_quantiles_of_the_residuals_inclusive() -> None:
    residuals = np.arange(-50.0, 51.0)
    # By Hyndman and Fan, no. 8, of n values the quantile p is at n p + (p + 1) / 3: here at 5.4, counted from 1.
    hold_out = np.array([-45.7, -45.6, 0.0, 45.6, 45.7])

    assert evaluation.measure_interval(residuals, hold_out) == Interval(0.9, -45.6, 45.6, 0.6)


def test_the_interval_keeps_the_sign_of_the_residuals() -> None:
    residuals = np.arange(101.0)

    assert evaluation.measure_interval(residuals, np.array([50.0, -50.0])) == Interval(0.9, 4.4, 95.6, 0.5)


def test_the_baseline_predicts_the_training_mean() -> None:
    y, prediction = np.array([1.0, 2.0, 3.0, 6.0]), np.array([1.0, 2.0, 3.0, 2.0])

    found = evaluation.score_model(y, prediction, training_y=np.array([0.0, 4.0]))

    assert found.model == Scores(mae=1.0, rmse=2.0, r2=-0.142857, median_absolute_error=0.0)
    assert found.baseline == Scores(mae=1.5, rmse=2.12132, r2=-0.285714, median_absolute_error=1.0)


@pytest.mark.parametrize(
    "card",
    [make_card(), make_card(mae=2.0), make_card(coverage=0.8), make_card(coverage=0.98)],
    ids=["r2", "mae", "least coverage", "most coverage"],
)
def test_a_model_at_a_threshold_passes_the_gate(card: Card) -> None:
    assert evaluation.find_shortcomings(card) == []


@pytest.mark.parametrize(
    ("card", "sentence"),
    [
        (make_card(r2=0.4999), "R2 on the hold-out is 0.4999, below 0.5"),
        (make_card(mae=2.001), "MAE is 2.001, above 0.5 of the baseline's 4"),
        (make_card(coverage=0.799), "the interval covers 79.9% of the hold-out, not 80% to 98%"),
        (make_card(coverage=0.981), "the interval covers 98.1% of the hold-out, not 80% to 98%"),
    ],
)
def test_a_model_beyond_a_threshold_fails_the_gate(card: Card, sentence: str) -> None:
    assert evaluation.find_shortcomings(card) == [sentence]


def test_every_missed_threshold_is_listed() -> None:
    assert len(evaluation.find_shortcomings(make_card(r2=0.0, mae=3.0, coverage=0.0))) == 3


def test_the_gate_is_that_of_the_card() -> None:
    strict = msgspec.structs.replace(make_card(), gate=Gate(0.6, 0.2, (0.95, 1.0)))

    assert len(evaluation.find_shortcomings(strict)) == 3

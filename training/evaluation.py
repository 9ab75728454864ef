"""How good a model is, measured on rows that it has not seen, and whether that is good enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import mean_absolute_error, median_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import KFold, train_test_split

from app.model import CrossValidation, Interval, Metrics, Scores
from training import pipeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from app.model import Card, Feature, Matrix, Vector

HOLD_OUT = 0.2
FOLDS = 5
LEVEL = 0.9
_DIGITS = 6


def split(rows: int, seed: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Part row numbers into training and hold-out, each in the table's order."""
    training, hold_out = train_test_split(np.arange(rows), test_size=HOLD_OUT, random_state=seed)
    return np.sort(training), np.sort(hold_out)


def cross_validate(
    features: Sequence[Feature], matrix: Matrix, goal: Vector, seed: int
) -> tuple[CrossValidation, Vector]:
    """Fit and test on each fold of the training part; gives the summary and the out-of-fold residuals (rows,)."""
    residuals = np.empty_like(goal)
    scores = []
    for training, test in KFold(FOLDS, shuffle=True, random_state=seed).split(matrix):
        prediction = pipeline.fit(features, matrix[training], goal[training]).predict(matrix[test])
        residuals[test] = goal[test] - prediction
        scores.append((r2_score(goal[test], prediction), mean_absolute_error(goal[test], prediction)))
    r2, mae = np.array(scores).T
    summary = CrossValidation(FOLDS, *_rounded([r2.mean(), r2.std(), mae.mean(), mae.std()]))
    return summary, residuals


def interval(residuals: Vector, hold_out_residuals: Vector) -> Interval:
    """Bound the middle 90 % of the out-of-fold residuals, and see how many hold-out rows that covers.

    Out-of-fold residuals stand for errors on unseen rows (the CV+ idea of Barber et al., "Predictive inference with
    the jackknife+", 2021, with one pair of quantiles for all rows); quantiles after Hyndman and Fan, 1996, no. 8.
    """
    tail = (1 - LEVEL) / 2
    lower, upper = _rounded(np.quantile(residuals, [tail, 1 - tail], method="median_unbiased"))
    covered = (hold_out_residuals >= lower) & (hold_out_residuals <= upper)
    return Interval(LEVEL, lower, upper, *_rounded([covered.mean()]))


def metrics(goal: Vector, prediction: Vector, training_goal: Vector) -> Metrics:
    """Score hold-out predictions (rows,) beside those of a baseline that always answers the training mean."""
    baseline = np.full(goal.shape, training_goal.mean())
    return Metrics(_scores(goal, prediction), _scores(goal, baseline))


def shortcomings(card: Card) -> list[str]:
    """Say in which points a model misses its gate; nothing when it passes."""
    gate, model, baseline = card.gate, card.metrics.model, card.metrics.baseline
    low, high = gate.coverage
    checks = [
        (model.r2 >= gate.min_r2, f"R2 on the hold-out is {model.r2:.4f}, at least {gate.min_r2} is wanted"),
        (
            model.mae <= gate.max_mae_ratio * baseline.mae,
            f"MAE is {model.mae:.6g}, at most {gate.max_mae_ratio} of the baseline's {baseline.mae:.6g} is wanted",
        ),
        (
            low <= card.interval.coverage <= high,
            f"the interval covers {card.interval.coverage:.1%} of the hold-out, {low:.0%} to {high:.0%} is wanted",
        ),
    ]
    return [text for passed, text in checks if not passed]


def _scores(goal: Vector, prediction: Vector) -> Scores:
    measures = (mean_absolute_error, root_mean_squared_error, r2_score, median_absolute_error)
    return Scores(*_rounded([measure(goal, prediction) for measure in measures]))


def _rounded(values: Sequence[float] | Vector) -> list[float]:
    """Keep the digits that mean something, and that every machine agrees on."""
    digits: list[float] = pipeline.rounded(np.asarray(values), _DIGITS).tolist()
    return digits

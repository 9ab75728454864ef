"""Measures a model on rows that it was not trained on, and checks the gate."""

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
    """Split row numbers into training and hold-out, both in the table's order."""
    training, hold_out = train_test_split(np.arange(rows), test_size=HOLD_OUT, random_state=seed)
    return np.sort(training), np.sort(hold_out)


def cross_validate(features: Sequence[Feature], matrix: Matrix, y: Vector, seed: int) -> tuple[CrossValidation, Vector]:
    """Fit and test on each fold of the training rows; return the summary and the out-of-fold residuals (rows,)."""
    residuals = np.empty_like(y)
    scores = []
    for training, test in KFold(FOLDS, shuffle=True, random_state=seed).split(matrix):
        prediction = pipeline.fit(features, matrix[training], y[training]).predict(matrix[test])
        residuals[test] = y[test] - prediction
        scores.append((r2_score(y[test], prediction), mean_absolute_error(y[test], prediction)))
    r2, mae = np.array(scores).T
    summary = CrossValidation(FOLDS, *_round([r2.mean(), r2.std(), mae.mean(), mae.std()]))
    return summary, residuals


def measure_interval(residuals: Vector, hold_out_residuals: Vector) -> Interval:
    """Return the bounds of the middle 90 % of the out-of-fold residuals (rows,), and the hold-out rows they cover.

    Out-of-fold residuals stand for errors on new rows (the CV+ idea of Barber et al., "Predictive inference with the
    jackknife+", 2021, with one pair of quantiles for all rows); quantiles by Hyndman and Fan, 1996, no. 8.
    """
    tail = (1 - LEVEL) / 2
    lower, upper = _round(np.quantile(residuals, [tail, 1 - tail], method="median_unbiased"))
    covered = (hold_out_residuals >= lower) & (hold_out_residuals <= upper)
    return Interval(LEVEL, lower, upper, *_round([covered.mean()]))


def score_model(y: Vector, prediction: Vector, training_y: Vector) -> Metrics:
    """Score hold-out predictions (rows,), and a baseline that always predicts the mean of `training_y` (rows,)."""
    baseline = np.full(y.shape, training_y.mean())
    return Metrics(_score(y, prediction), _score(y, baseline))


def find_shortcomings(card: Card) -> list[str]:
    """Return a sentence for each threshold of its gate that a model misses; none if it passes."""
    gate, model, baseline = card.gate, card.metrics.model, card.metrics.baseline
    low, high = gate.coverage
    checks = [
        (model.r2 >= gate.min_r2, f"R2 on the hold-out is {model.r2:.4f}, below {gate.min_r2}"),
        (
            model.mae <= gate.max_mae_ratio * baseline.mae,
            f"MAE is {model.mae:.6g}, above {gate.max_mae_ratio} of the baseline's {baseline.mae:.6g}",
        ),
        (
            low <= card.interval.coverage <= high,
            f"the interval covers {card.interval.coverage:.1%} of the hold-out, not {low:.0%} to {high:.0%}",
        ),
    ]
    return [text for passed, text in checks if not passed]


def _score(y: Vector, prediction: Vector) -> Scores:
    measures = (mean_absolute_error, root_mean_squared_error, r2_score, median_absolute_error)
    return Scores(*_round([measure(y, prediction) for measure in measures]))


def _round(values: Sequence[float] | Vector) -> list[float]:
    """Keep the digits that are significant, and the same on every machine."""
    digits: list[float] = pipeline.round_digits(np.asarray(values), _DIGITS).tolist()
    return digits

"""A linear model as a sum, for a few rows: calling a library would cost more than the arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from app.model.card import Linear
    from app.model.schema import Matrix, Vector


class Sum:
    """Evaluates the card's linear model in plain Python: a microsecond a row, without any set-up."""

    ROWS = 16  # up to so many it is faster than ONNX Runtime, which takes 12 us for one row and little more for others

    def __init__(self, linear: Linear) -> None:
        self._intercept = linear.intercept
        self._terms = tuple((term.slope, term.effects, term.missing) for term in linear.terms)

    def __call__(self, matrix: Matrix) -> Vector:
        """Predict from a matrix (rows, features) of the schema; return a vector (rows,) in the target's unit."""
        return np.array([self._add_up(row) for row in matrix.tolist()])

    def _add_up(self, row: list[float]) -> float:
        total = self._intercept
        for value, (slope, effects, missing) in zip(row, self._terms, strict=True):
            if value != value:  # noqa: PLR0124 - only NaN, a missing value, is not equal to itself
                total += missing
            elif effects:
                total += effects[int(value)]
            else:
                total += slope * value
        return total

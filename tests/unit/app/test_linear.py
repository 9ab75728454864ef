"""A linear model as a sum, compared with sums done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from app.model import Linear, Term
from app.model.linear import Sum

LINEAR = Linear(100.0, (Term(slope=2.0, missing=7.0), Term(effects=(-10.0, 30.0), missing=5.0)))


@pytest.mark.parametrize(
    ("row", "prediction"),
    [
        ([3.0, 0.0], 100 + 6 - 10),
        ([-3.0, 1.0], 100 - 6 + 30),
        ([math.nan, 1.0], 100 + 7 + 30),
        ([3.0, math.nan], 100 + 6 + 5),
        ([math.nan, math.nan], 112),
    ],
)
def test_the_sum_adds_one_term_for_each_feature(row: list[float], prediction: float) -> None:
    assert Sum(LINEAR)(np.array([row])).tolist() == [prediction]


def test_each_row_has_its_own_sum() -> None:
    assert Sum(LINEAR)(np.array([[3.0, 0.0], [0.0, 0.0]])).tolist() == [96.0, 90.0]


@pytest.mark.parametrize("row", [[3.0], [3.0, 0.0, 0.0]])
def test_a_row_of_another_width_is_an_error(row: list[float]) -> None:
    with pytest.raises(ValueError, match="zip"):
        Sum(LINEAR)(np.array([row]))

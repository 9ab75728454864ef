"""The estimator: a linear model after imputation, scaling and one-hot encoding, on the schema's float matrix."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from app.model import Linear, Term

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.model import Feature, Matrix, Vector

_DIGITS = 10
_MISSING = -1.0  # the code of a missing category, which gets its own coefficient


def make(features: Sequence[Feature]) -> Pipeline:
    """Make the unfitted pipeline for a matrix (rows, features)."""
    numbers = [column for column, feature in enumerate(features) if feature.type != "category"]
    categories = [column for column, feature in enumerate(features) if feature.type == "category"]
    codes = [list(range(-features[column].missing, len(features[column].categories))) for column in categories]
    parts = [
        (
            "numbers",
            make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()),
            numbers,
        ),
        (
            "categories",
            make_pipeline(
                SimpleImputer(strategy="constant", fill_value=_MISSING, keep_empty_features=True),
                OneHotEncoder(categories=codes, sparse_output=False),
            ),
            categories,
        ),
    ]
    # One-hot columns are collinear: of the solvers, SVD loses the fewest digits to that.
    ridge = Ridge(alpha=1.0, solver="svd")
    return make_pipeline(ColumnTransformer([part for part in parts if part[2]]), ridge)


def fit(features: Sequence[Feature], matrix: Matrix, y: Vector) -> Pipeline:
    """Fit on a matrix (rows, features) and `y` (rows,), to the same coefficients on every machine.

    Processors and BLAS builds add in different orders, and so differ in the last digits. Ten digits are more than the
    data supports; rounding to them makes the fitted model, and every file made from it, the same everywhere.
    """
    pipeline = make(features).fit(matrix, y)
    transformer, ridge = pipeline[0], pipeline[-1]
    if "numbers" in transformer.named_transformers_:
        scaler = transformer.named_transformers_["numbers"][-1]
        scaler.mean_, scaler.scale_, scaler.var_ = map(round_digits, (scaler.mean_, scaler.scale_, scaler.var_))
    # Coefficients have the target's unit: what is negligible beside the largest one is negligible.
    largest = max(np.abs(ridge.coef_).max(), abs(ridge.intercept_)) or 1
    decimals = _DIGITS - math.ceil(math.log10(largest))
    ridge.coef_, ridge.intercept_ = ridge.coef_.round(decimals) + 0.0, ridge.intercept_.round(decimals)
    return pipeline


def make_linear(features: Sequence[Feature], pipeline: Pipeline) -> Linear:
    """Turn a fitted pipeline of this module into a sum over the features: scaling and coefficient become one slope."""
    transformer, ridge = pipeline[0], pipeline[-1]
    terms: dict[int, Term] = {}
    intercept, coefficients = float(ridge.intercept_), iter(ridge.coef_.tolist())
    for _, (imputer, encoder), columns in transformer.transformers_:
        for place, column in enumerate(columns):
            if isinstance(encoder, StandardScaler):
                slope = next(coefficients) / float(encoder.scale_[place])
                intercept -= slope * float(encoder.mean_[place])
                terms[column] = Term(slope=slope, missing=slope * float(imputer.statistics_[place]))
            else:
                effects = dict(zip(encoder.categories_[place].tolist(), coefficients, strict=False))
                terms[column] = Term(missing=effects.pop(_MISSING, 0.0), effects=tuple(effects.values()))
    return Linear(intercept, tuple(terms[column] for column in range(len(features))))


def round_digits(values: Vector, digits: int = _DIGITS) -> Vector:
    """Round each value of a vector to `digits` significant digits."""
    return np.array([float(f"{value:.{digits}g}") for value in values])

"""The model card: one JSON file, also for people, with everything about a model but its coefficients."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

CARD_FILE = "card.json"

Format = Literal["onnx", "joblib"]
Value = float | str | None


class ModelError(Exception):
    """A model directory that must not be served; the message is one sentence for the operator."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A section of the card: immutable, and without unknown fields."""


class Target(_Part, frozen=True):
    """What is predicted."""

    name: str
    unit: str | None


class Feature(_Part, frozen=True):
    """One input of the model.

    `range` bounds the valid values, `seen` those that occurred in training; both inclusive, in `unit`.
    `typical` is the training median, or the most frequent category.
    """

    name: str
    type: Literal["number", "integer", "category"]
    unit: str | None = None
    range: tuple[float, float] | None = None
    seen: tuple[float, float] | None = None
    categories: tuple[str, ...] = ()
    missing: bool = False
    typical: Value = None
    description: str = ""


class Data(_Part, frozen=True):
    """The table that the model was trained on."""

    source: str
    sha256: str
    rows: int


class Split(_Part, frozen=True):
    """How the table was split: `hold_out` is the share, in (0, 1), that the model was not trained on."""

    hold_out: float
    seed: int
    training_rows: int
    hold_out_rows: int


class CrossValidation(_Part, frozen=True):
    """Mean and standard deviation over the folds of the training rows."""

    folds: int
    r2_mean: float
    r2_deviation: float
    mae_mean: float
    mae_deviation: float


class Scores(_Part, frozen=True):
    """Measured on the hold-out; all but R2 in the target's unit."""

    mae: float
    rmse: float
    r2: float
    median_absolute_error: float


class Metrics(_Part, frozen=True):
    """The model and a baseline that always predicts the training mean."""

    model: Scores
    baseline: Scores


class Gate(_Part, frozen=True):
    """What a model must reach on the hold-out to become an image.

    `max_mae_ratio` is the model's MAE divided by the baseline's; `coverage` bounds the share of hold-out rows
    inside their prediction interval.
    """

    min_r2: float = 0.3
    max_mae_ratio: float = 0.9
    coverage: tuple[float, float] = (0.8, 0.98)


class Interval(_Part, frozen=True):
    """Prediction interval: prediction + `lower` to prediction + `upper`, in the target's unit.

    `coverage` is the share of hold-out rows inside their interval; it should be near `level`.
    """

    level: float
    lower: float
    upper: float
    coverage: float


class Term(_Part, frozen=True):
    """What a feature adds to the sum: `slope` times a number, a category's effect, or `missing` without a value."""

    slope: float = 0.0
    effects: tuple[float, ...] = ()
    missing: float = 0.0


class Linear(_Part, frozen=True):
    """A linear model as a sum: the prediction is `intercept` plus one term for each feature."""

    intercept: float
    terms: tuple[Term, ...]


class Golden(_Part, frozen=True):
    """Inputs by name, and the prediction of the fitted scikit-learn pipeline for them."""

    features: dict[str, Value]
    prediction: float


class Card(_Part, frozen=True):
    """The whole card.

    `agreement` is a power of ten, in the target's unit: on every hold-out row, the predictions of the file and of
    `linear` are that close to the fitted pipeline's. `linear` is the same model as a sum, for a few rows; None if the
    model is not linear. `runtime` are the library versions needed to serve, `training` those that made the file.
    """

    name: str
    version: str
    format: Format
    sha256: str
    target: Target
    features: tuple[Feature, ...]
    data: Data
    split: Split
    cross_validation: CrossValidation
    metrics: Metrics
    gate: Gate
    interval: Interval
    agreement: float
    runtime: dict[str, str]
    training: dict[str, str]
    golden: tuple[Golden, ...]
    linear: Linear | None = None

    @property
    def model_file(self) -> str:
        """The name of the model file, in the directory of the card."""
        return f"model.{self.format}"

    @classmethod
    def read(cls, path: Path) -> Card:
        """Read a card; raises ModelError if there is none, or if it is invalid."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except OSError as error:
            raise ModelError(f"{path} cannot be read: {error.strerror}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ModelError(f"{path} is not a model card: {error}") from error

    def write(self, path: Path) -> None:
        """Write the card as indented JSON; the same card gives the same bytes."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")

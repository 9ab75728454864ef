"""The contract between training and the service: what a model directory holds and how rows become its input."""

from app.model.card import (
    CARD_FILE,
    Card,
    CrossValidation,
    Data,
    Feature,
    Format,
    Gate,
    Golden,
    Interval,
    Metrics,
    ModelError,
    Scores,
    Split,
    Target,
    Value,
)
from app.model.predictor import TOLERANCE, Predictor, disagreement, runtime_versions
from app.model.schema import Finding, Matrix, PredictionError, RowsError, Schema, Vector

__all__ = [
    "CARD_FILE",
    "TOLERANCE",
    "Card",
    "CrossValidation",
    "Data",
    "Feature",
    "Finding",
    "Format",
    "Gate",
    "Golden",
    "Interval",
    "Matrix",
    "Metrics",
    "ModelError",
    "PredictionError",
    "Predictor",
    "RowsError",
    "Schema",
    "Scores",
    "Split",
    "Target",
    "Value",
    "Vector",
    "disagreement",
    "runtime_versions",
]

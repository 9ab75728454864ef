"""Trains a model on a checked table, and writes the model directory if the service would accept it."""

from __future__ import annotations

import hashlib
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import onnx
import skl2onnx
import sklearn

from app.model import (
    CARD_FILE,
    TOLERANCE,
    Card,
    Feature,
    Golden,
    ModelError,
    Predictor,
    Schema,
    Split,
    find_runtime_versions,
    measure_disagreement,
)
from training import evaluation, pipeline
from training.description import InputError
from training.export import to_joblib, to_onnx

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from app.model import Format, Matrix, Value, Vector
    from training.table import Table

_FILES = {CARD_FILE, "model.onnx", "model.joblib"}
_FEWEST_GOLDEN_ROWS = 8
_GOLDEN_DIGITS = 12


class BuildError(Exception):
    """The table is valid, but there is no acceptable model for it."""


@dataclass(frozen=True)
class Options:
    """What the user can choose."""

    name: str
    version: str
    format: Format
    seed: int


@dataclass(frozen=True)
class Model:
    """A fitted pipeline, the bytes of its file, its card, and the hold-out matrix (rows, features)."""

    pipeline: Pipeline
    content: bytes
    card: Card
    hold_out: Matrix


def train(table: Table, options: Options) -> Model:
    """Fit, evaluate and describe a model; raises InputError if a column has no values in the training rows."""
    training, hold_out = evaluation.split(len(table.rows), options.seed)
    features = [
        _learn(feature, column) for feature, column in zip(table.features, table.matrix[training].T, strict=True)
    ]
    matrix, y = table.matrix[training], table.y[training]
    summary, residuals = evaluation.cross_validate(features, matrix, y, options.seed)
    fitted = pipeline.fit(features, matrix, y)
    prediction = fitted.predict(table.matrix[hold_out])
    content = to_onnx(fitted, len(features)) if options.format == "onnx" else to_joblib(fitted)
    card = Card(
        name=options.name,
        version=options.version,
        format=options.format,
        sha256=hashlib.sha256(content).hexdigest(),
        target=table.target,
        features=tuple(features),
        data=table.data,
        split=Split(evaluation.HOLD_OUT, options.seed, len(training), len(hold_out)),
        cross_validation=summary,
        metrics=evaluation.score_model(table.y[hold_out], prediction, y),
        gate=table.gate,
        interval=evaluation.measure_interval(residuals, table.y[hold_out] - prediction),
        agreement=0.0,
        runtime=find_runtime_versions(options.format),
        training={"onnx": onnx.__version__, "scikit-learn": sklearn.__version__, "skl2onnx": skl2onnx.__version__},
        golden=_choose_golden_rows(features, [table.rows[row] for row in hold_out], fitted),
        linear=pipeline.make_linear(features, fitted),
    )
    return Model(fitted, content, card, table.matrix[hold_out])


def write(model: Model, out: Path) -> Card:
    """Write the model directory, completely or not at all, after the service's own code agreed with the pipeline.

    Raises BuildError if the written files disagree, InputError if `out` cannot be written.
    """
    _check_replaceable(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
            made = Path(scratch, "model")
            made.mkdir()
            card = _write_files(model, made)
            if out.exists():
                out.rename(Path(scratch, "replaced"))
            made.rename(out)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}.") from error
    return card


def _write_files(model: Model, directory: Path) -> Card:
    (directory / model.card.model_file).write_bytes(model.content)
    path = directory / CARD_FILE
    model.card.write(path)
    try:
        predictions = Predictor.load(directory).predict_every_way(model.hold_out)
    except ModelError as error:
        raise BuildError(f"The service would refuse the written files: {error}.") from error
    wanted = model.pipeline.predict(model.hold_out)
    found = max(predictions, key=lambda prediction: measure_disagreement(prediction, wanted))
    if not measure_disagreement(found, wanted) <= TOLERANCE:
        raise BuildError(
            f"The written file disagrees with the fitted pipeline by up to {np.abs(found - wanted).max():g}."
        )
    card = msgspec.structs.replace(model.card, agreement=_round_up_to_power_of_ten(found, wanted))
    card.write(path)
    return card


def _check_replaceable(out: Path) -> None:
    if out.is_dir():
        foreign = sorted(path.name for path in out.iterdir() if path.name not in _FILES)
    else:
        foreign = [out.name] if out.exists() else []
    if foreign:
        raise InputError(f"{out} contains other files ({foreign[0]}): give --out a new directory or a model directory.")


def _round_up_to_power_of_ten(found: Vector, wanted: Vector) -> float:
    """Round the largest absolute difference up; its digits are noise that differs between processors."""
    largest = float(np.abs(found - wanted).max())
    return float(f"1e{math.ceil(math.log10(largest))}") if largest else 0.0


def _learn(feature: Feature, column: Vector) -> Feature:
    """Add to a feature the range and the typical value of the training rows."""
    values = column[~np.isnan(column)]
    if not values.size:
        raise InputError(f"Column {feature.name!r} has no values in the training rows: remove it.")
    if feature.type == "category":
        typical: Value = feature.categories[np.bincount(values.astype(int)).argmax()]
        return msgspec.structs.replace(feature, typical=typical)
    seen = (float(values.min()), float(values.max()))
    return msgspec.structs.replace(feature, seen=seen, typical=float(np.median(values)))


def _choose_golden_rows(features: list[Feature], rows: list[list[Value]], fitted: Pipeline) -> tuple[Golden, ...]:
    """Choose hold-out rows, changed so that every category occurs, and a missing value of every feature with one."""
    count = max(_FEWEST_GOLDEN_ROWS, *(len(feature.categories) + feature.missing for feature in features))
    chosen = [
        dict(zip((feature.name for feature in features), rows[place * len(rows) // count], strict=True))
        for place in range(count)
    ]
    for feature in features:
        values: list[Value] = [*feature.categories, None] if feature.missing else [*feature.categories]
        for row, value in zip(chosen, values, strict=False):
            row[feature.name] = value
    predictions = fitted.predict(Schema(features).encode(chosen))
    return tuple(map(Golden, chosen, pipeline.round_digits(predictions, _GOLDEN_DIGITS).tolist()))

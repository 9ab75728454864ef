"""Loads a model directory, refuses one that is not what its card says, and predicts."""

from __future__ import annotations

import hashlib
import io
import math
import os
from typing import TYPE_CHECKING

import numpy as np

from app.model.card import CARD_FILE, Card, Format, ModelError
from app.model.linear import Sum
from app.model.schema import Finding, Matrix, PredictionError, Schema, Vector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    Run = Callable[[Matrix], Vector]

# Two sound ways to evaluate the same float64 model differ by rounding only, 1e-15 or so of the largest prediction.
TOLERANCE = 1e-9


class Predictor:
    """A model that is ready to answer."""

    def __init__(self, card: Card, schema: Schema, run: Run) -> None:
        self.card = card
        self.schema = schema
        self._run = run
        self._sum = Sum(card.linear) if card.linear else None

    @classmethod
    def load(cls, directory: Path) -> Predictor:
        """Load a model directory.

        Raises ModelError when a file is missing or altered, when a library has another version than the one that the
        model was checked with, or when a golden row gives another prediction.
        """
        card = Card.read(directory / CARD_FILE)
        path = directory / card.model_file
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path} cannot be read: {error.strerror}") from error
        found = hashlib.sha256(content).hexdigest()
        if found != card.sha256:
            raise ModelError(f"{path} has sha256 {found}, but its card says {card.sha256}: one of them was altered")
        _check_versions(card)
        try:
            run = _onnx(content) if card.format == "onnx" else _joblib(content)
        except Exception as error:  # whatever a damaged file makes of its library
            raise ModelError(f"{path} cannot be loaded: {error}") from error
        predictor = cls(card, Schema(card.features), run)
        predictor._check_golden_rows()
        return predictor

    def predict(self, matrix: Matrix) -> Vector:
        """Predict from a matrix (rows, features) of `schema`; gives a vector (rows,) in the target's unit.

        Raises PredictionError for a row so far out that its prediction is no finite number.
        """
        run = self._sum if self._sum and len(matrix) <= Sum.ROWS else self._run
        prediction = run(matrix)
        if not all(map(math.isfinite, prediction.tolist())):  # for one row a third of what numpy takes
            row = int(np.argmin(np.isfinite(prediction)))
            finding = Finding(row, None, "values that give no finite prediction", "values as in training")
            raise PredictionError([finding])
        return prediction

    def every_way(self, matrix: Matrix) -> list[Vector]:
        """Predict as `predict` does for many rows and, where the model is linear, for a few: vectors (rows,)."""
        return [run(matrix) for run in (self._run, self._sum) if run]

    def _check_golden_rows(self) -> None:
        golden = self.card.golden
        try:
            predictions = self.every_way(self.schema.encode([row.features for row in golden]))
        except Exception as error:  # a card and a file of different models can fail in any way
            raise ModelError(f"the golden rows of the card cannot be predicted: {error}") from error
        wanted = np.array([row.prediction for row in golden])
        for found in predictions:
            if not disagreement(found, wanted) <= TOLERANCE:
                row = int(np.argmax(np.abs(found - wanted)))
                raise ModelError(f"golden row {row} gives {found[row]}, but the card says {wanted[row]}")


def disagreement(found: Vector, wanted: Vector) -> float:
    """Largest absolute difference between two vectors (rows,), relative to the largest wanted value."""
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def runtime_versions(form: Format) -> dict[str, str]:
    """Versions of the libraries that serving this format needs."""
    if form == "onnx":
        return {"numpy": np.__version__, "onnxruntime": _onnxruntime().__version__}
    import joblib  # noqa: PLC0415 - each format's libraries are imported only where it is used
    import sklearn  # noqa: PLC0415

    return {"joblib": joblib.__version__, "numpy": np.__version__, "scikit-learn": sklearn.__version__}


def _check_versions(card: Card) -> None:
    try:
        found = runtime_versions(card.format)
    except ImportError as error:
        raise ModelError(f"a {card.format} model needs {error.name}, which is not installed") from error
    for library, wanted in card.runtime.items():
        if found.get(library) != wanted:
            raise ModelError(f"the model was checked with {library} {wanted}, but {found.get(library)} is installed")


def _onnxruntime() -> ModuleType:
    """Import ONNX Runtime, silenced: by itself it reports to Microsoft, from a thread that no fork survives."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # noqa: PLC0415

    module: ModuleType = onnxruntime
    return module


def _onnx(content: bytes) -> Run:
    onnxruntime = _onnxruntime()
    options = onnxruntime.SessionOptions()
    # One row is too little to share out, and a thread pool would not survive the fork of the workers.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        content,
        options,
        providers=["CPUExecutionProvider"],
        # It would make a model of one number a product with a factor of 32 bits, and lose half of the digits.
        disabled_optimizers=["MatMulScaleFusion"],
    )
    source, sink = session.get_inputs()[0].name, [session.get_outputs()[0].name]

    def run(matrix: Matrix) -> Vector:
        prediction: Vector = session.run(sink, {source: matrix})[0]
        return prediction.reshape(-1)

    return run


def _joblib(content: bytes) -> Run:
    import joblib  # noqa: PLC0415

    # Unpickling runs code: the hash in the card has been compared, and card and file come in one image.
    run: Run = joblib.load(io.BytesIO(content)).predict
    return run

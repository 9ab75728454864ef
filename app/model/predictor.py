"""Loads a model directory, rejects one that does not match its card, and predicts."""

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

# Two correct evaluations of one float64 model differ only by rounding, about 1e-15 of the largest prediction.
TOLERANCE = 1e-9


class Predictor:
    """A model that is ready to predict."""

    def __init__(self, card: Card, schema: Schema, run: Run) -> None:
        self.card = card
        self.schema = schema
        self._run = run
        self._sum = Sum(card.linear) if card.linear else None

    @classmethod
    def load(cls, directory: Path) -> Predictor:
        """Load a model directory.

        Raises ModelError if a file is missing or altered, if a library is not of the version that the model was checked
        with, or if a golden row gets another prediction.
        """
        card = Card.read(directory / CARD_FILE)
        path = directory / card.model_file
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path} cannot be read: {error.strerror}") from error
        found = hashlib.sha256(content).hexdigest()
        if found != card.sha256:
            raise ModelError(f"{path} has sha256 {found}, not {card.sha256} as on its card: one of them was altered")
        _check_versions(card)
        try:
            run = _load_onnx(content) if card.format == "onnx" else _load_joblib(content)
        except Exception as error:  # whatever a library raises for a damaged file
            raise ModelError(f"{path} cannot be loaded: {error}") from error
        predictor = cls(card, Schema(card.features), run)
        predictor._check_golden_rows()
        return predictor

    def predict(self, matrix: Matrix) -> Vector:
        """Predict from a matrix (rows, features) of `schema`; return a vector (rows,) in the target's unit.

        Raises PredictionError for a row with a prediction that is not a finite number.
        """
        run = self._sum if self._sum and len(matrix) <= Sum.ROWS else self._run
        prediction = run(matrix)
        if not all(map(math.isfinite, prediction.tolist())):  # for one row three times as fast as numpy
            row = int(np.argmin(np.isfinite(prediction)))
            finding = Finding(row, None, "values that give no finite prediction", "values as in training")
            raise PredictionError([finding])
        return prediction

    def predict_every_way(self, matrix: Matrix) -> list[Vector]:
        """Predict with the model file and, if the model is linear, with its sum; return a vector (rows,) of each."""
        return [run(matrix) for run in (self._run, self._sum) if run]

    def _check_golden_rows(self) -> None:
        golden = self.card.golden
        try:
            predictions = self.predict_every_way(self.schema.encode([row.features for row in golden]))
        except Exception as error:  # if card and file belong to different models, it can fail in any way
            raise ModelError(f"the golden rows of the card cannot be predicted: {error}") from error
        wanted = np.array([row.prediction for row in golden])
        for found in predictions:
            if not measure_disagreement(found, wanted) <= TOLERANCE:
                row = int(np.argmax(np.abs(found - wanted)))
                raise ModelError(
                    f"the prediction of golden row {row} is {found[row]}, not {wanted[row]} as on the card"
                )


def measure_disagreement(found: Vector, wanted: Vector) -> float:
    """Return the largest absolute difference of two vectors (rows,), relative to the largest wanted value."""
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def find_runtime_versions(form: Format) -> dict[str, str]:
    """Return the versions of the libraries that serving this format needs."""
    if form == "onnx":
        return {"numpy": np.__version__, "onnxruntime": _import_onnxruntime().__version__}
    import joblib  # noqa: PLC0415 - a format's libraries are imported only if it is used
    import sklearn  # noqa: PLC0415

    return {"joblib": joblib.__version__, "numpy": np.__version__, "scikit-learn": sklearn.__version__}


def _check_versions(card: Card) -> None:
    try:
        found = find_runtime_versions(card.format)
    except ImportError as error:
        raise ModelError(f"a {card.format} model needs {error.name}, which is not installed") from error
    for library, wanted in card.runtime.items():
        if found.get(library) != wanted:
            raise ModelError(f"the model was checked with {library} {wanted}, but {found.get(library)} is installed")


def _import_onnxruntime() -> ModuleType:
    """Import ONNX Runtime without its telemetry, which runs in a thread that a fork would lose."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # noqa: PLC0415

    module: ModuleType = onnxruntime
    return module


def _load_onnx(content: bytes) -> Run:
    onnxruntime = _import_onnxruntime()
    options = onnxruntime.SessionOptions()
    # A row is too little work to share, and a thread pool would not survive the fork of the workers.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        content,
        options,
        providers=["CPUExecutionProvider"],
        # For a model of one number it makes a 32-bit factor, and loses half of the digits.
        disabled_optimizers=["MatMulScaleFusion"],
    )
    source, sink = session.get_inputs()[0].name, [session.get_outputs()[0].name]

    def run(matrix: Matrix) -> Vector:
        prediction: Vector = session.run(sink, {source: matrix})[0]
        return prediction.reshape(-1)

    return run


def _load_joblib(content: bytes) -> Run:
    import joblib  # noqa: PLC0415

    # Unpickling runs code: the file has the hash on the card, and both come in the same image.
    run: Run = joblib.load(io.BytesIO(content)).predict
    return run

"""Turns a fitted pipeline into the bytes of a model file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import joblib
import onnx
from onnx import TensorProto
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType
from sklearn.impute import SimpleImputer

if TYPE_CHECKING:
    from skl2onnx.common._container import ModelComponentContainer
    from skl2onnx.common._topology import Operator, Scope
    from sklearn.pipeline import Pipeline

_OPSET = {"": 18, "ai.onnx.ml": 3}


def to_onnx(pipeline: Pipeline, width: int) -> bytes:
    """Export as an ONNX graph in float64, from `features` (rows, width) to one column of predictions."""
    model = convert_sklearn(
        pipeline,
        name="pipeline",
        initial_types=[("features", DoubleTensorType([None, width]))],
        target_opset=_OPSET,
        custom_conversion_functions={SimpleImputer: _convert_imputer},
    )
    # skl2onnx lists the operator sets in the order of a Python set, which differs between runs.
    opsets = sorted(model.opset_import, key=lambda opset: opset.domain)
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def to_joblib(pipeline: Pipeline) -> bytes:
    """Pickle the pipeline."""
    content = io.BytesIO()
    joblib.dump(pipeline, content)
    return content.getvalue()


def _convert_imputer(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Write an imputer as Where(IsNaN(x), statistics, x): ONNX Runtime has no Imputer for float64."""
    statistics = operator.raw_operator.statistics_
    source, sink = operator.inputs[0].full_name, operator.outputs[0].full_name
    fill, missing = scope.get_unique_variable_name("statistics"), scope.get_unique_variable_name("gaps")
    container.add_initializer(fill, TensorProto.DOUBLE, [1, len(statistics)], statistics.tolist())
    container.add_node("IsNaN", [source], [missing], name=scope.get_unique_operator_name("IsNaN"))
    container.add_node("Where", [missing, fill, source], [sink], name=scope.get_unique_operator_name("Where"))

"""The model file: a standard graph, the same bytes each time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from skl2onnx import convert_sklearn
from sklearn.pipeline import Pipeline

from app.model import Feature
from training import pipeline
from training.export import to_onnx

FEATURES = [
    Feature("x", "number", missing=True),
    Feature("kind", "category", categories=("a", "b"), missing=True),
    Feature("z", "number", missing=True),
]
ROWS = np.array([[1.0, 0.0, 5.0], [2.0, 1.0, math.nan], [9.0, math.nan, 7.0], [math.nan, 1.0, 1e9]])


@pytest.fixture(scope="module")
def fitted() -> Pipeline:
    return pipeline.fit(FEATURES, ROWS, np.array([1.0, 20.0, 3.0, 1e6]))


@pytest.fixture(scope="module")
def graph(fitted: Pipeline) -> onnx.ModelProto:
    return onnx.load_model_from_string(to_onnx(fitted, len(FEATURES)))


def test_the_graph_has_one_input_and_one_output_of_doubles(graph: onnx.ModelProto) -> None:
    [features] = graph.graph.input
    shape = features.type.tensor_type.shape.dim

    assert (graph.graph.name, features.name) == ("pipeline", "features")
    assert features.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE
    assert [dimension.dim_value for dimension in shape] == [0, 3]  # 0: as many rows as there are
    assert len(graph.graph.output) == 1
    assert graph.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.DOUBLE


def test_the_operator_sets_are_sorted_and_not_too_new(graph: onnx.ModelProto) -> None:
    assert [opset.domain for opset in graph.opset_import] == ["", "ai.onnx.ml"]
    assert [opset.version <= newest for opset, newest in zip(graph.opset_import, (18, 3), strict=True)] == [True, True]


def test_missing_values_are_replaced_by_those_of_the_imputer(graph: onnx.ModelProto) -> None:
    nodes = graph.graph.node
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    sources = {node.output[0]: node.input[0] for node in nodes if node.op_type == "IsNaN"}

    fills = []
    for node in nodes:
        if node.op_type == "Where":
            missing, fill, source = node.input
            assert sources.pop(missing) == source
            fills.append(constants[fill])
    assert not sources
    assert {fill.dtype for fill in fills} == {np.dtype(np.float64)}
    assert [fill.tolist() for fill in fills] == [[[2.0, 7.0]], [[-1.0]]]
    assert len({node.name for node in nodes}) == len(nodes)


def test_the_graph_predicts_as_the_pipeline_does(fitted: Pipeline) -> None:
    session = onnxruntime.InferenceSession(
        to_onnx(fitted, 3), providers=["CPUExecutionProvider"], disabled_optimizers=["MatMulScaleFusion"]
    )

    [found] = session.run(None, {"features": ROWS})

    assert found.ravel() == pytest.approx(fitted.predict(ROWS), rel=1e-12)


def test_the_same_pipeline_gives_the_same_bytes(fitted: Pipeline) -> None:
    assert to_onnx(fitted, 3) == to_onnx(fitted, 3)


def test_an_invalid_graph_is_not_exported(fitted: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **options: Any) -> Any:
        model = convert_sklearn(*arguments, **options)
        model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.STRING
        return model

    monkeypatch.setattr("training.export.convert_sklearn", broken)

    with pytest.raises(onnx.shape_inference.InferenceError):
        to_onnx(fitted, 3)

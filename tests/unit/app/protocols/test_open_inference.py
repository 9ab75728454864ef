from __future__ import annotations

import json
import math
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.drain import Drain
from app.factory import create_app
from app.model import Card, Predictor, Schema
from app.settings import Settings

MODEL = "/v2/models/house-price"
INFER = f"{MODEL}/infer"
LENGTH = "Inference-Header-Content-Length"

Tensors = list[dict[str, Any]]


@pytest.fixture
def client(settings: Settings, predictor: Predictor, drain: Drain) -> FlaskClient:
    return create_app(replace(settings, max_body_bytes=100_000), predictor, drain).test_client()


@pytest.fixture
def prices(card: Card) -> Any:
    return pytest.approx([golden.prediction for golden in card.golden], rel=1e-9)


@pytest.fixture
def columns(card: Card) -> Tensors:
    """The golden rows in JSON, one tensor for each feature."""
    count = len(card.golden)
    return [
        {
            "name": feature.name,
            "shape": [count],
            "datatype": "BYTES" if feature.type == "category" else "FP64",
            "data": [golden.features[feature.name] for golden in card.golden],
        }
        for feature in card.features
    ]


@pytest.fixture
def matrix(card: Card) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The golden rows, encoded."""
    return Schema(card.features).encode([golden.features for golden in card.golden])


def make_binary(tensors: Tensors, **request: object) -> dict[str, Any]:
    """Make the arguments of a request with binary tensors after the JSON, as Triton's client sends it."""
    inputs, raw = [], b""
    for tensor in tensors:
        piece = pack(tensor["data"]) if tensor["datatype"] == "BYTES" else pack_numbers(tensor)
        raw += piece
        rest = {key: value for key, value in tensor.items() if key != "data"}
        inputs.append({**rest, "parameters": {"binary_data_size": len(piece)}})
    header = json.dumps({"inputs": inputs, **request}).encode()
    return {"data": header + raw, "headers": {LENGTH: str(len(header))}}


def pack(texts: list[str | None]) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in ((item or "").encode() for item in texts))


def pack_numbers(tensor: dict[str, Any]) -> bytes:
    dtype = {"FP": "<f", "IN": "<i", "UI": "<u"}[tensor["datatype"][:2]] + str(
        int(tensor["datatype"].lstrip("FPUINT")) // 8
    )
    return np.array([np.nan if value is None else value for value in tensor["data"]]).astype(dtype).tobytes()


def change(tensors: Tensors, tensor_name: str, **members: object) -> Tensors:
    return [{**tensor, **members} if tensor["name"] == tensor_name else tensor for tensor in tensors]


def read_error(reply: TestResponse, status: int = 400) -> str:
    assert (reply.status_code, reply.content_type) == (status, "application/json")
    assert reply.json
    assert list(reply.json) == ["error"]
    assert len(reply.data) < 3_500
    return str(reply.json["error"])


def test_columns_can_be_json(client: FlaskClient, columns: Tensors, prices: Any) -> None:
    reply = client.post(INFER, json={"id": "42", "inputs": columns, "parameters": {"any": 1}})

    count = len(columns[0]["data"])
    assert reply.json == {
        "model_name": "house-price",
        "model_version": "1.0.0",
        "id": "42",
        "outputs": [{"name": "price", "datatype": "FP64", "shape": [count], "data": prices}],
    }


def test_columns_of_shape_n_1_can_be_nested_or_flat(client: FlaskClient, columns: Tensors, prices: Any) -> None:
    count = len(columns[0]["data"])
    columns = [{**tensor, "shape": [count, 1]} for tensor in columns]
    nested = [{**tensor, "data": [[value] for value in tensor["data"]]} for tensor in columns]

    for tensors in (columns, nested):
        reply = client.post(f"{MODEL}/versions/1.0.0/infer", json={"inputs": tensors})
        assert reply.json
        assert reply.json["outputs"][0]["data"] == prices
        assert reply.json["id"]


def test_columns_and_the_output_can_be_binary(client: FlaskClient, columns: Tensors, prices: Any) -> None:
    reply = client.post(INFER, **make_binary(columns, parameters={"binary_data_output": True}))

    length = int(reply.headers[LENGTH])
    header = json.loads(reply.data[:length])
    assert reply.content_type == "application/octet-stream"
    assert header["outputs"] == [
        {
            "name": "price",
            "datatype": "FP64",
            "shape": [len(columns[0]["data"])],
            "parameters": {"binary_data_size": len(reply.data) - length},
        }
    ]
    assert np.frombuffer(reply.data[length:], "<f8").tolist() == prices


@pytest.mark.parametrize(
    ("default", "output", "wanted"),
    [(None, None, False), (True, None, True), (True, False, False), (None, True, True), (False, None, False)],
)
def test_an_output_is_binary_on_request(
    client: FlaskClient,
    columns: Tensors,
    *,
    default: bool | None,
    output: bool | None,
    wanted: bool,
) -> None:
    asked: dict[str, Any] = (
        {"name": "price"} if output is None else {"name": "price", "parameters": {"binary_data": output}}
    )
    request = {"inputs": columns, "outputs": [asked], "parameters": {"binary_data_output": default}}

    assert (LENGTH in client.post(INFER, json=request).headers) is wanted


@pytest.mark.parametrize("datatype", ["FP64", "FP32"])
def test_an_encoded_matrix_is_predicted(
    datatype: str, client: FlaskClient, matrix: np.ndarray[Any, np.dtype[np.float64]], prices: Any
) -> None:
    data = [None if math.isnan(value) else value for value in matrix.ravel().tolist()]
    tensor = {"name": "features", "shape": list(matrix.shape), "datatype": datatype, "data": data}

    for request in ({"json": {"inputs": [tensor]}}, make_binary([tensor])):
        reply = client.post(INFER, **request)
        assert reply.json, reply.text
        wanted = prices if datatype == "FP64" else pytest.approx(prices.expected, rel=1e-5)
        assert reply.json["outputs"][0]["data"] == wanted


def test_a_json_matrix_can_be_nested_and_nan_is_missing(
    client: FlaskClient, matrix: np.ndarray[Any, np.dtype[np.float64]], prices: Any
) -> None:
    tensor = {"name": "x", "shape": list(matrix.shape), "datatype": "FP64", "data": matrix.tolist()}
    body = json.dumps({"inputs": [tensor]})

    reply = client.post(INFER, data=body)

    assert "NaN" in body
    assert reply.json
    assert reply.json["outputs"][0]["data"] == prices


@pytest.mark.parametrize("datatype", ["INT8", "INT64", "UINT8", "UINT64", "FP16", "FP32"])
def test_every_number_type_is_accepted(datatype: str, client: FlaskClient, columns: Tensors, prices: Any) -> None:
    rooms = next(tensor["data"] for tensor in columns if tensor["name"] == "rooms")
    tensors = change(columns, "rooms", datatype=datatype, data=[int(count) for count in rooms])

    for request in ({"json": {"inputs": tensors}}, make_binary(tensors)):
        reply = client.post(INFER, **request)
        assert reply.json
        assert reply.json["outputs"][0]["data"] == prices


def test_an_input_that_may_be_missing_can_be_omitted(client: FlaskClient, columns: Tensors) -> None:
    left_out = [tensor for tensor in columns if tensor["name"] != "energy"]
    empty = change(columns, "energy", data=[None] * len(columns[0]["data"]))

    replies = [client.post(INFER, json={"id": "1", "inputs": tensors}) for tensors in (left_out, empty)]

    assert replies[0].status_code == 200
    assert replies[0].json == replies[1].json


def test_metadata_describe_the_server_and_the_model(client: FlaskClient, card: Card) -> None:
    server = {"name": "house-price", "version": "1.4.0", "extensions": ["binary_tensor_data"]}
    model = client.get(MODEL).json

    assert client.get("/v2").json == client.get("/v2/").json == server
    assert model
    assert client.get(f"{MODEL}/versions/1.0.0").json == model
    assert (model["name"], model["versions"], model["platform"]) == ("house-price", ["1.0.0"], "onnx_onnxv1")
    assert [tensor["name"] for tensor in model["inputs"]] == [feature.name for feature in card.features]
    datatypes = {tensor["name"]: tensor["datatype"] for tensor in model["inputs"]}
    assert (datatypes["city"], datatypes["area"], datatypes["rooms"]) == ("BYTES", "FP64", "INT64")
    assert datatypes["year_built"] == "FP64"  # an integer that may be missing
    assert model["outputs"] == [{"name": "price", "datatype": "FP64", "shape": [-1]}]


def test_while_draining_it_is_not_ready_but_still_answers(client: FlaskClient, drain: Drain, columns: Tensors) -> None:
    paths = ("/v2/health/ready", f"{MODEL}/ready", f"{MODEL}/versions/1.0.0/ready")
    assert [client.get(path).status_code for path in ("/v2/health/live", *paths)] == [200] * 4
    assert client.get("/v2/health/ready").json == {"live": True, "ready": True}

    drain.start()

    for path in paths:
        read_error(client.get(path), 503)
    assert client.get("/v2/health/live").status_code == 200
    assert client.post(INFER, json={"inputs": columns}).status_code == 200


@pytest.mark.parametrize(
    ("name", "members", "words"),
    [
        ("area", {"datatype": "BOOL"}, '"area": found the datatype "BOOL", wanted FP16 or FP32 or FP64 or INT8'),
        ("area", {"datatype": "BYTES"}, '"area": found the datatype "BYTES"'),
        ("area", {"datatype": "FP65"}, '"area": found the datatype "FP65"'),
        ("city", {"datatype": "INT64"}, '"city": found the datatype "INT64", wanted BYTES'),
        ("area", {"shape": []}, '"area": found the shape [], wanted [n] or [n, 1]'),
        ("area", {"shape": [1, 2]}, '"area": found the shape [1, 2]'),
        ("area", {"shape": [-1]}, '"area": found the shape [-1]'),
        ("area", {"shape": [0]}, "values, wanted 0 for the shape [0]"),
        ("area", {"shape": [10**400]}, "for the shape [a very large integer]"),
        ("area", {"shape": [1] * 9}, "found the shape [1, 1, 1, 1, …]"),
        ("area", {"shape": [2], "data": [80, 90]}, '"area": found 2 values, wanted as many as in "city"'),
        ("area", {"data": [80]}, '"area": found 1 values, wanted'),
        ("area", {"data": [[80]]}, '"area": found 1 values, wanted'),
        ("area", {"name": "garden"}, 'found the input "garden", wanted one of "city"'),
        ("area", {"name": "garden"}, '"area": found no such input, wanted one of shape [n]'),
        ("area", {"name": "rooms"}, 'found the input "rooms", wanted it once'),
        ("area", {"name": "\ud800"}, 'found the input "?"'),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(
    name: str, members: dict[str, object], words: str, client: FlaskClient, columns: Tensors
) -> None:
    assert words in read_error(client.post(INFER, data=json.dumps({"inputs": change(columns, name, **members)})))


@pytest.mark.parametrize(
    ("name", "datatype", "value", "words"),
    [
        ("area", "FP64", "80", 'row 1, "area": found "80", wanted a value of datatype FP64'),
        ("area", "FP64", True, 'row 1, "area": found true'),
        ("area", "FP64", [80], 'row 1, "area": found a list of 1'),
        ("area", "INT8", 3.5, 'row 1, "area": found 3.5, wanted a value of datatype INT8'),
        ("area", "INT8", 128, 'row 1, "area": found 128, wanted a value of datatype INT8'),
        ("rooms", "UINT8", -1, 'row 1, "rooms": found -1, wanted a value of datatype UINT8'),
        ("city", "BYTES", 3, 'row 1, "city": found 3, wanted a value of datatype BYTES'),
        ("city", "BYTES", "Atlantis", 'row 1, "city": found "Atlantis", wanted one of "Amsterdam"'),
        ("city", "BYTES", None, 'row 1, "city": found null'),
        ("area", "FP64", None, 'row 1, "area": found null, wanted a finite number from 10 to 1000 (m2)'),
        ("area", "FP64", float("nan"), 'row 1, "area": found null'),
        ("area", "FP64", float("inf"), 'row 1, "area": found Infinity'),
        ("area", "FP64", 10**400, 'row 1, "area": found a very large integer'),
        ("rooms", "FP64", 2.5, 'row 1, "rooms": found 2.5, wanted an integer from 1 to 30'),
    ],
)
def test_a_bad_value_is_named_by_row_and_tensor(
    name: str, datatype: str, value: object, words: str, client: FlaskClient, columns: Tensors
) -> None:
    data = next(tensor["data"] for tensor in columns if tensor["name"] == name)
    data = [50] * len(data) if datatype.endswith("8") else data
    tensors = change(columns, name, datatype=datatype, data=[data[0], value, *data[2:]])

    assert words in read_error(client.post(INFER, data=json.dumps({"inputs": tensors})))


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("city", 99.0, 'row 0, "city": found 99.0, wanted one of'),
        ("city", 0.5, 'row 0, "city": found 0.5'),
        ("city", np.nan, 'row 0, "city": found null'),
        ("area", np.nan, 'row 0, "area": found null'),
        ("area", np.inf, 'row 0, "area": found Infinity'),
        ("area", 9e99, 'row 0, "area": found 9e+99, wanted a finite number from 10 to 1000 (m2)'),
        ("rooms", 2.5, 'row 0, "rooms": found 2.5'),
    ],
)
def test_the_values_of_a_matrix_are_checked(
    place: str, value: float, words: str, client: FlaskClient, card: Card, matrix: np.ndarray[Any, Any]
) -> None:
    matrix[0, [feature.name for feature in card.features].index(place)] = value
    tensor = {"name": "features", "shape": list(matrix.shape), "datatype": "FP64", "data": matrix.ravel().tolist()}

    assert words in read_error(client.post(INFER, **make_binary([tensor])))


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"shape": [1, 9], "data": [0] * 9}, 'shape [1, 9], wanted numbers of shape [n, 10], or the inputs "city"'),
        ({"shape": [10]}, "shape [10], wanted numbers"),
        ({"datatype": "BYTES"}, 'of datatype "BYTES"'),
        ({"data": [0] * 9}, 'found 9 values in the input "features", wanted 10 for the shape [1, 10]'),
        ({"data": [[0] * 9, 1]}, "data nested differently"),
        ({"data": ["0"] * 10}, 'row 0: found "0" in the input "features"'),
        ({"shape": [-1, 10]}, "wanted -10 for the shape"),
        ({"shape": [0, 10], "data": []}, "found no rows"),
    ],
)
def test_a_matrix_that_does_not_fit_is_named(members: dict[str, Any], words: str, client: FlaskClient) -> None:
    tensor = {"name": "features", "shape": [1, 10], "datatype": "FP64", "data": [0] * 10, **members}

    assert words in read_error(client.post(INFER, json={"inputs": [tensor]}))


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({}, "missing required field `inputs`"),
        ({"inputs": {}}, "Expected `array`"),
        ({"inputs": []}, '"city": found no such input'),
        ({"inputs": [{"name": "area"}]}, "missing required field `shape`"),
        ({"inputs": [{"name": "a", "shape": [1.5], "datatype": "FP64", "data": []}]}, "Expected `int`"),
        ({"inputs": [{"name": "area", "shape": [1], "datatype": "FP64"}]}, '"area" must have either `data` or'),
        ({"inputs": [], "outputs": [{"name": "rent"}]}, 'found the output "rent", wanted "price"'),
        ({"inputs": [], "id": 3}, "Expected `str | null`"),
    ],
)
def test_a_malformed_request_is_named(request_: dict[str, object], words: str, client: FlaskClient) -> None:
    assert words in read_error(client.post(INFER, json=request_))


@pytest.mark.parametrize("length", ["", "x", "-1", "1.5", "²", "9" * 5_000, "99999"])
def test_an_invalid_header_length_is_named(length: str, client: FlaskClient) -> None:
    environ = {"HTTP_INFERENCE_HEADER_CONTENT_LENGTH": length}

    assert LENGTH in read_error(client.post(INFER, data=b"{}", environ_overrides=environ))


@pytest.mark.parametrize(
    ("tensor", "raw", "words"),
    [
        ({"parameters": {"binary_data_size": 9}}, b"", '"area" has binary_data_size 9, but 0 bytes are left'),
        ({"parameters": {"binary_data_size": -1}}, b"", "binary_data_size -1"),
        ({"parameters": {"binary_data_size": "8"}}, b"", 'binary_data_size "8"'),
        ({"parameters": {"binary_data_size": True}}, b"12345678", "binary_data_size true"),
        ({"parameters": {"binary_data_size": 8}, "data": [1]}, b"12345678", "either `data` or"),
        ({"data": [1]}, b"1", "1 bytes of binary data belong to no input"),
        ({"parameters": {"binary_data_size": 7}}, b"1234567", '"area": found 7 bytes, wanted 8 for the shape [1]'),
        ({"parameters": {"binary_data_size": 0}}, b"", '"area": found 0 bytes'),
    ],
)
def test_binary_data_of_the_wrong_size_is_named(
    tensor: dict[str, Any], raw: bytes, words: str, client: FlaskClient
) -> None:
    header = json.dumps({"inputs": [{"name": "area", "shape": [1], "datatype": "FP64", **tensor}]}).encode()

    assert words in read_error(client.post(INFER, data=header + raw, headers={LENGTH: str(len(header))}))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"abc", "found truncated binary data"),
        (struct.pack("<I", 4) + b"abc", "found truncated binary data"),
        (struct.pack("<I", 2**32 - 1), "found truncated binary data"),
        (pack(["Berlin", "Berlin"]), "found 2 texts, wanted 1"),
        (b"", "found 0 texts, wanted 1"),
    ],
)
def test_binary_texts_of_the_wrong_size_are_named(raw: bytes, words: str, client: FlaskClient) -> None:
    tensor = {"name": "city", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}
    header = json.dumps({"inputs": [tensor]}).encode()

    assert words in read_error(client.post(INFER, data=header + raw, headers={LENGTH: str(len(header))}))


def test_binary_text_that_is_not_utf_8_is_a_bad_value(client: FlaskClient, columns: Tensors) -> None:
    request = make_binary(columns)
    request["data"] = request["data"].replace(str(columns[0]["data"][0]).encode(), b"\xff" * len(columns[0]["data"][0]))

    assert 'row 0, "city": found "\ufffd' in read_error(client.post(INFER, **request))


def test_unusual_ids_are_safe_to_send_back(client: FlaskClient, columns: Tensors) -> None:
    for identifier, echoed in (("", ""), ("é\u0000", "é\u0000"), ("\ud800", "?")):
        reply = client.post(INFER, data=json.dumps({"id": identifier, "inputs": columns}))
        assert reply.json
        assert reply.json["id"] == echoed


@pytest.mark.parametrize("form", ["columns", "matrix"])
def test_more_rows_or_bytes_than_the_limit_are_a_413(form: str, client: FlaskClient, columns: Tensors) -> None:
    tensors: Tensors = [{"name": "features", "shape": [101, 10], "datatype": "INT8", "data": [0] * 1010}]
    if form == "columns":
        tensors = [{**tensor, "shape": [101], "data": tensor["data"][:1] * 101} for tensor in columns]

    assert "101 rows are more than 100" in read_error(client.post(INFER, json={"inputs": tensors}), 413)
    assert "longer than 100000 bytes" in read_error(client.post(INFER, data=b" " * 100_001), 413)


def test_the_length_of_an_error_is_limited(client: FlaskClient) -> None:
    tensor = {"name": "x" * 40, "shape": [], "datatype": "", "data": []}

    text = read_error(client.post(INFER, json={"inputs": [tensor] * 900}))

    assert text.endswith(" more.")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/other", 404),
        ("POST", "/v2/models/other/infer", 404),
        ("POST", f"{MODEL}/versions/2/infer", 404),
        ("GET", f"{MODEL}/config", 404),
        ("POST", "/v2/repository/index", 404),
        ("GET", INFER, 405),
        ("POST", "/v2", 405),
    ],
)
def test_unknown_paths_and_methods_have_the_shape_of_the_protocol(
    client: FlaskClient, method: str, path: str, status: int
) -> None:
    read_error(client.open(path, method=method), status)

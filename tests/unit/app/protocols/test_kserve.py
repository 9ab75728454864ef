from __future__ import annotations

import json

import pytest
from flask.testing import FlaskClient

from app.drain import Drain
from app.model import Card

PREDICT = "/v1/models/house-price:predict"


def test_rows_can_be_objects_or_lists(client: FlaskClient, card: Card) -> None:
    rows = [golden.features for golden in card.golden]
    wanted = pytest.approx([golden.prediction for golden in card.golden], rel=1e-9)

    assert client.post(PREDICT, json={"instances": rows}).json == {"predictions": wanted}
    assert client.post(PREDICT, json={"instances": [list(row.values()) for row in rows]}).json == {
        "predictions": wanted
    }


def test_the_body_needs_no_content_type_and_can_have_other_members(client: FlaskClient, row: dict[str, object]) -> None:
    body = json.dumps({"instances": [row], "signature_name": "serving_default", "parameters": {"a": 1}})

    assert client.post(PREDICT, data=body).status_code == 200


def test_nan_is_a_missing_value(client: FlaskClient, row: dict[str, object]) -> None:
    nan = client.post(PREDICT, data=json.dumps({"instances": [{**row, "energy": float("nan")}]}))
    null = client.post(PREDICT, json={"instances": [{**row, "energy": None}]})

    assert nan.status_code == 200
    assert nan.json == null.json


def test_the_model_is_listed_and_ready(client: FlaskClient) -> None:
    assert client.get("/v1/models").json == {"models": ["house-price"]}
    assert client.get("/v1/models/house-price").json == {"name": "house-price", "ready": True}


def test_while_draining_it_is_not_ready_but_still_answers(
    client: FlaskClient, drain: Drain, row: dict[str, object]
) -> None:
    drain.start()

    reply = client.get("/v1/models/house-price")

    assert (reply.status_code, reply.content_type) == (503, "application/json")
    assert list(reply.json or ()) == ["error"]
    assert client.post(PREDICT, json={"instances": [row]}).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "not JSON of the expected form"),
        (b"[]", 400, "Expected `object`"),
        (b'{"inputs": []}', 400, "missing required field `instances`"),
        (b'{"instances": 3}', 400, "Expected `array`"),
        (b'{"instances": []}', 400, "found no rows"),
        (b'{"instances": [3]}', 400, "row 0: found 3, wanted a list of 10"),
        (b'{"instances": [' + b"[" * 9_000, 400, "not JSON of the expected form"),
        (b'{"instances": [' + b"3," * 100 + b"3]}", 413, "101 rows are more than 100"),
        (b" " * 20_001, 413, "longer than 20000 bytes"),
    ],
)
def test_errors_have_the_shape_of_the_protocol(client: FlaskClient, body: bytes, status: int, words: str) -> None:
    reply = client.post(PREDICT, data=body)

    assert (reply.status_code, reply.content_type) == (status, "application/json")
    assert reply.json
    assert list(reply.json) == ["error"]
    assert words in reply.json["error"]


def test_as_many_rows_as_the_limit_are_accepted(client: FlaskClient, row: dict[str, object]) -> None:
    assert client.post(PREDICT, json={"instances": [[*row.values()]] * 100}).status_code == 200


def test_every_error_is_named_up_to_a_limit(client: FlaskClient, row: dict[str, object]) -> None:
    reply = client.post(PREDICT, json={"instances": [row, {**row, "area": "large", "rooms": -1}]})

    assert reply.json
    assert 'row 1, "area": found "large", wanted a finite number' in reply.json["error"]
    assert 'row 1, "rooms": found -1, wanted an integer from 1 to 30' in reply.json["error"]

    many = client.post(PREDICT, json={"instances": [{**row, "city": "?", "area": -1}] * 50})

    assert len(many.data) < 3_000
    assert many.json
    assert many.json["error"].startswith("100 values are invalid: row 0, ")
    assert many.json["error"].endswith(" more.")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/models/other", 404),
        ("POST", "/v1/models/other:predict", 404),
        ("POST", "/v1/models/house-price:explain", 404),
        ("GET", PREDICT, 405),
        ("GET", "/v1", 404),
    ],
)
def test_unknown_paths_and_methods_have_the_shape_of_the_protocol(
    client: FlaskClient, method: str, path: str, status: int
) -> None:
    reply = client.open(path, method=method)

    assert (reply.status_code, list(reply.json or ())) == (status, ["error"])
    assert status != 405 or "POST" in reply.headers["Allow"]

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.model import Card

JSON = {"Content-Type": "application/json"}


def post(client: FlaskClient, features: object) -> TestResponse:
    return client.post("/predict", data=json.dumps({"features": features}), headers=JSON)


def errors(response: TestResponse) -> list[dict[str, Any]]:
    assert response.status_code == 400
    assert response.content_type == "application/problem+json"
    assert response.json
    return list(response.json["errors"])


def test_golden_rows_get_the_predictions_on_the_card(client: FlaskClient, card: Card) -> None:
    response = post(client, [golden.features for golden in card.golden])

    assert response.status_code == 200
    assert response.json
    wanted = [golden.prediction for golden in card.golden]
    assert response.json["prediction"] == pytest.approx(wanted, rel=1e-9)
    for price, (low, high) in zip(wanted, response.json["interval"], strict=True):
        assert (low, high) == pytest.approx((price + card.interval.lower, price + card.interval.upper), rel=1e-9)
    assert response.json["unit"] == "EUR"
    assert response.json["model"] == {"name": "house-price", "version": "1.0.0"}


def test_every_form_of_a_row_gets_the_same_prediction(client: FlaskClient, row: dict[str, object]) -> None:
    values = list(row.values())
    shapes = [values, row, [values], [row], dict(reversed(row.items()))]

    answers = [post(client, shape).json for shape in shapes]

    assert answers[0]
    assert answers[0]["warnings"] == []
    assert answers == [answers[0]] * len(shapes)


def test_lists_and_objects_can_be_mixed(client: FlaskClient, row: dict[str, object]) -> None:
    response = post(client, [row, list(row.values())])

    assert response.json
    assert response.json["prediction"][0] == response.json["prediction"][1]


def test_an_omitted_feature_is_a_missing_value(client: FlaskClient, row: dict[str, object]) -> None:
    absent = {name: value for name, value in row.items() if name != "energy"}

    assert post(client, absent).json == post(client, {**row, "energy": None}).json


def test_a_value_outside_the_training_range_is_a_warning(client: FlaskClient, row: dict[str, object]) -> None:
    response = post(client, [row, {**row, "area": 900}])

    assert response.json
    [warning] = response.json["warnings"]
    assert (warning["row"], warning["field"], warning["found"]) == (1, "area", "900")
    assert "as in training" in warning["wanted"]


@pytest.mark.parametrize(
    ("field", "value", "found", "wanted"),
    [
        ("area", '"80"', '"80"', "a finite number from 10 to 1000 (m2)"),
        ("area", "true", "true", "a finite number"),
        ("area", "[80]", "a list of 1", "a finite number"),
        ("area", "{}", "an object", "a finite number"),
        ("area", "null", "null", "a finite number"),
        ("area", "NaN", "NaN", "a finite number"),
        ("area", "Infinity", "Infinity", "a finite number"),
        ("area", "-Infinity", "-Infinity", "a finite number"),
        ("area", "1e400", "Infinity", "a finite number"),
        ("area", "9" * 400, "a very large integer", "a finite number"),
        ("area", "9.99", "9.99", "from 10 to 1000"),
        ("area", "-1e308", "-1e+308", "from 10 to 1000"),
        ("rooms", "3.5", "3.5", "an integer from 1 to 30"),
        ("rooms", "0", "0", "an integer from 1 to 30"),
        ("rooms", "NaN", "NaN", "an integer"),
        ("year_built", '"1990"', '"1990"', "an integer from 1500 to 2030 or null"),
        ("city", "3", "3", 'one of "Amsterdam", "Berlin"'),
        ("city", "null", "null", "one of"),
        ("city", '"Atlantis"', '"Atlantis"', '"Warsaw"'),
        ("city", '["Berlin"]', "a list of 1", "one of"),
        ("city", json.dumps("x" * 9_000), '"' + "x" * 39 + '…"', "one of"),
        ("condition", '"bad"', '"bad"', '"renovated" or null'),
    ],
)
@pytest.mark.parametrize("by_name", [True, False])
def test_a_bad_value_is_named(
    field: str, value: str, found: str, wanted: str, client: FlaskClient, row: dict[str, object], *, by_name: bool
) -> None:
    shape: object = {**row, field: "@"} if by_name else ["@" if name == field else row[name] for name in row]
    body = json.dumps({"features": [row, shape]}).replace('"@"', value)

    [error] = errors(client.post("/predict", data=body, headers=JSON))

    assert (error["row"], error["field"], error["found"]) == (1, field, found)
    assert wanted in error["wanted"]


@pytest.mark.parametrize("value", ["3", "3.0", "3e0"])
def test_an_integer_can_be_written_as_a_float(value: str, client: FlaskClient, row: dict[str, object]) -> None:
    body = json.dumps({"features": {**row, "rooms": "@"}}).replace('"@"', value)

    assert client.post("/predict", data=body, headers=JSON).status_code == 200


def test_an_unknown_name_is_named(client: FlaskClient, row: dict[str, object]) -> None:
    [error] = errors(post(client, {**row, "garage": 1}))

    assert (error["row"], error["field"]) == (0, "garage")
    assert '"area"' in error["wanted"]


def test_a_missing_name_is_named(client: FlaskClient, row: dict[str, object]) -> None:
    [error] = errors(post(client, {name: value for name, value in row.items() if name != "area"}))

    assert (error["row"], error["field"], error["found"]) == (0, "area", "nothing")


@pytest.mark.parametrize("length", [1, 9, 11])
def test_a_row_of_the_wrong_length_is_named(length: int, client: FlaskClient) -> None:
    [error] = errors(post(client, [[0] * length]))

    assert (error["row"], error["field"], error["found"]) == (0, None, f"a list of {length}")
    assert "10 values" in error["wanted"]


@pytest.mark.parametrize("features", [[], [[]], [{}, 3], [[1], None]])
def test_no_rows_and_incomplete_rows_are_named(features: object, client: FlaskClient) -> None:
    assert errors(post(client, features))


def test_all_errors_are_reported_at_once_up_to_a_limit(client: FlaskClient, row: dict[str, object]) -> None:
    response = post(client, [{**row, "area": -1, "city": "?"}] * 50)

    assert len(errors(response)) == 20
    assert response.json
    assert response.json["more"] == 80
    assert response.json["detail"].startswith("100 values")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(b"", "truncated", id="empty"),
        pytest.param(b"features=1", "malformed", id="not JSON"),
        pytest.param(b'{"features": [1', "truncated", id="cut off"),
        pytest.param(b"\xff\xfe\x00", "malformed", id="not text"),
        pytest.param(b'{"features": ["\xff"]}', "utf-8", id="not UTF-8"),
        pytest.param(b"[]", "Expected `object`", id="a list"),
        pytest.param(b"{}", "missing required field `features`", id="no features"),
        pytest.param(b'{"features": 3}', "Expected `object | array`", id="features a number"),
        pytest.param(b'{"features": null}', "Expected `object | array`", id="features null"),
        pytest.param(b'{"features": [], "rows": 1}', "unknown field `rows`", id="one member too many"),
        pytest.param(b'{"%s": 1}' % (b"x" * 10_000), "unknown field", id="a long name"),
        pytest.param(b'{"features": [%s]}' % (b"9" * 5_000), "out of range", id="5,000 digits"),
        pytest.param(b"[" * 10_000, "Expected `object`", id="deep lists"),
        # Whether the depth or the missing end is noticed first depends on the Python version.
        pytest.param(b'{"features": %s' % (b"[" * 10_000), "The body is not", id="deep features"),
    ],
)
def test_a_body_that_is_not_json_of_that_form_is_a_400(body: bytes, words: str, client: FlaskClient) -> None:
    response = client.post("/predict", data=body, headers=JSON)

    assert response.status_code == 400
    assert response.json
    assert words in response.json["detail"]
    assert len(response.data) < 500


@pytest.mark.parametrize("name", ["\\ud800", "\\u0000", "é"])
def test_unusual_characters_are_safe_to_send_back(name: str, client: FlaskClient) -> None:
    body = f'{{"features": {{"{name}": NaN, "city": "{name}"}}}}'

    assert errors(client.post("/predict", data=body.encode(), headers=JSON))


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/csv"}, {"Content-Type": "multipart/form-data"}])
def test_another_content_type_is_a_415(headers: dict[str, str], client: FlaskClient) -> None:
    response = client.post("/predict", data=b'{"features": []}', headers=headers)

    assert response.status_code == 415
    assert response.json
    assert "application/json" in response.json["detail"]


@pytest.mark.parametrize("length", ["1000000", ""], ids=["with its length", "chunked"])
def test_a_body_that_is_too_long_is_read_and_refused(client: FlaskClient, length: str) -> None:
    stream = io.BytesIO(b"x" * 1_000_000)
    environ = {"wsgi.input_terminated": True, "CONTENT_LENGTH": length}

    response = client.post("/predict", input_stream=stream, environ_overrides=environ, headers=JSON)

    assert response.status_code == 413
    assert response.json
    assert "longer than 20000 bytes" in response.json["detail"]
    assert stream.read() == b""


def test_a_body_as_long_as_the_limit_is_accepted(client: FlaskClient, row: dict[str, object]) -> None:
    body = json.dumps({"features": row})

    assert client.post("/predict", data=body.ljust(20_000), headers=JSON).status_code == 200
    assert client.post("/predict", data=body.ljust(20_001), headers=JSON).status_code == 413


def test_more_rows_than_the_limit_are_a_413(client: FlaskClient, row: dict[str, object]) -> None:
    assert post(client, [[*row.values()]] * 100).status_code == 200
    response = post(client, [[]] * 101)

    assert response.status_code == 413
    assert response.json
    assert "101 rows are more than 100" in response.json["detail"]

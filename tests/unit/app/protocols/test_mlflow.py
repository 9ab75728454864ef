from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.drain import Drain
from app.factory import create_app
from app.model import Card, Predictor
from app.settings import Settings

CSV = {"Content-Type": "text/csv"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def rows(card: Card) -> list[dict[str, Any]]:
    return [{**golden.features} for golden in card.golden]


@pytest.fixture
def prices(card: Card) -> Any:
    return pytest.approx([golden.prediction for golden in card.golden], rel=1e-9)


def write_table(rows: list[dict[str, Any]], *, header: bool, names: list[str] | None = None) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, names or list(rows[0]))
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_message(reply: TestResponse, status: int = 400, code: str = "BAD_REQUEST") -> str:
    assert (reply.status_code, reply.content_type) == (status, "application/json")
    assert reply.json
    assert list(reply.json) == ["error_code", "message"]
    assert reply.json["error_code"] == code
    assert len(reply.data) < 3_000
    return str(reply.json["message"])


def test_every_form_of_json_is_predicted(client: FlaskClient, rows: list[dict[str, Any]], prices: Any) -> None:
    names = list(rows[0])
    values = [list(row.values()) for row in rows]
    turned = names[::-1]
    forms: list[dict[str, object]] = [
        {"dataframe_split": {"index": list(range(len(rows))), "columns": names, "data": values}},
        {"dataframe_split": {"columns": turned, "data": [row[::-1] for row in values]}},
        {"dataframe_split": {"data": values}},
        {"dataframe_records": rows},
        {"instances": rows},
        {"instances": values, "params": {"temperature": 1}},
        {"inputs": rows},
        {"inputs": values},
        {"inputs": {name: [row[name] for row in rows] for name in names}},
    ]

    for form in forms:
        assert client.post("/invocations", json=form).json == {"predictions": prices}, form


def test_inputs_can_be_one_row(client: FlaskClient, rows: list[dict[str, Any]], card: Card) -> None:
    reply = client.post("/invocations", json={"inputs": rows[0]})

    assert reply.json == {"predictions": [pytest.approx(card.golden[0].prediction, rel=1e-9)]}


def test_the_nan_of_pandas_is_a_missing_value(client: FlaskClient, rows: list[dict[str, Any]], prices: Any) -> None:
    body = json.dumps({"dataframe_records": rows}).replace("null", "NaN")

    assert "NaN" in body
    assert client.post("/invocations", data=body, headers=JSON).json == {"predictions": prices}


def test_csv_with_a_header_can_have_any_order(client: FlaskClient, rows: list[dict[str, Any]], prices: Any) -> None:
    body = write_table(rows, header=True, names=list(rows[0])[::-1])

    reply = client.post("/invocations", data="\ufeff" + body, content_type="text/csv; charset=utf-8")

    assert reply.json == {"predictions": prices}


def test_csv_needs_no_header_and_can_be_returned(client: FlaskClient, rows: list[dict[str, Any]], prices: Any) -> None:
    reply = client.post("/invocations", data=write_table(rows, header=False), headers={**CSV, "Accept": "text/csv"})

    assert reply.content_type == "text/csv; charset=utf-8"
    assert [float(line) for line in reply.text.splitlines()] == prices


def test_ping_and_health_are_ready_until_the_drain(
    client: FlaskClient, drain: Drain, rows: list[dict[str, Any]]
) -> None:
    for path in ("/ping", "/health"):
        assert client.get(path).data == b"\n"

    drain.start()

    for path in ("/ping", "/health"):
        read_message(client.get(path), 503, "TEMPORARILY_UNAVAILABLE")
    assert client.post("/invocations", json={"inputs": rows}).status_code == 200


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "has no rows: send exactly one of dataframe_split, dataframe_records, instances, inputs"),
        ({"inputs": [], "instances": []}, "The body has instances and inputs: send exactly one"),
        ({"inputs": []}, "found no rows"),
        ({"inputs": 3}, "Expected `object | array`"),
        ({"inputs": {}}, "found nothing, wanted one of"),
        ({"inputs": {"area": [1], "rooms": 3}}, "lists of one length"),
        ({"inputs": {"area": [1], "rooms": [1, 2]}}, "lists of one length"),
        ({"dataframe_records": [3]}, "Expected `object`"),
        ({"dataframe_split": {"columns": ["area"], "data": [[1, 2]]}}, "row 0: found a list of 2 values, wanted 1"),
        ({"dataframe_split": {"columns": ["area", "area"], "data": [[1, 2]]}}, "Two columns have the same name"),
        ({"dataframe_split": {"columns": ["\ud800"], "data": [[1]]}}, '"?": found an unknown name'),
        ({"instances": [[float("inf")] * 10]}, "found Infinity"),
    ],
)
def test_an_error_in_json_is_named(client: FlaskClient, document: object, words: str) -> None:
    assert words in read_message(client.post("/invocations", data=json.dumps(document), headers=JSON))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "found no rows"),
        (b"\n\n", "found no rows"),
        (b"\xff", "not CSV in UTF-8"),
        (b'"' + b"x" * 200, "row 0: found a list of 1"),
        (b"a\x00b", "row 0: found a list of 1"),
        (b"area,rooms\n1", "row 0: found a list of 1 values, wanted 2"),
        (b"area,garage\n80,1", '"garage": found an unknown name'),
        (b"area,area\n80,1", "Two columns have the same name"),
        (b"area,rooms\nlarge,1_0", '"area": found "large"'),
        (b"area,rooms\n80,1_0", '"rooms": found "1_0"'),
        (b"area,rooms\ninf,1", '"area": found Infinity'),
        (b"area,rooms\n80,\n", '"rooms": found null'),
    ],
)
def test_an_error_in_csv_is_named(client: FlaskClient, body: bytes, words: str) -> None:
    assert words in read_message(client.post("/invocations", data=body, headers=CSV))


def test_a_field_too_long_for_the_csv_module_is_an_error(
    client: FlaskClient,
) -> None:
    limit = csv.field_size_limit(100)
    try:
        assert "field larger" in read_message(client.post("/invocations", data=b"x" * 101, headers=CSV))
    finally:
        csv.field_size_limit(limit)


def test_another_content_type_is_a_415(client: FlaskClient) -> None:
    for headers in ({}, {"Content-Type": "application/vnd.apache.parquet"}):
        text = read_message(client.post("/invocations", data=b"{}", headers=headers), 415)
        assert "send application/json or text/csv" in text


def test_an_endless_cell_is_not_csv(settings: Settings, predictor: Predictor, drain: Drain) -> None:
    client = create_app(replace(settings, max_body_bytes=1_000_000), predictor, drain).test_client()

    assert "not CSV" in read_message(client.post("/invocations", data=b"x" * 200_000, headers=CSV))


def test_more_rows_or_bytes_than_the_limit_are_a_413(client: FlaskClient) -> None:
    read_message(client.post("/invocations", json={"inputs": [[]] * 101}), 413)
    read_message(client.post("/invocations", data=b"x" * 20_001, headers=CSV), 413)


def test_unknown_methods_and_paths_have_the_shape_of_the_protocol(client: FlaskClient) -> None:
    read_message(client.get("/invocations"), 405)
    read_message(client.post("/invocations/house-price", json={}), 404, "ENDPOINT_NOT_FOUND")

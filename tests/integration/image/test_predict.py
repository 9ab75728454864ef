"""`POST /predict` as users call it, compared with the predictions on the model card."""

import json
from typing import Any

import pytest
import requests

from tests.integration.card import faults, golden_predictions, golden_rows
from tests.integration.service import Service

TOLERANCE = 1e-6  # of the prediction; the card's golden rows come from scikit-learn itself
HEADERS = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def card(service: Service) -> dict[str, Any]:
    return service.card


@pytest.fixture(scope="module")
def rows(card: dict[str, Any]) -> list[dict[str, Any]]:
    return golden_rows(card)


@pytest.fixture(scope="module")
def predictions(card: dict[str, Any]) -> list[float]:
    return golden_predictions(card)


def values(card: dict[str, Any], row: dict[str, Any]) -> list[Any]:
    """Return a row as a list, in the order of the card's features."""
    return [row[feature["name"]] for feature in card["features"]]


def changed(row: dict[str, Any], **features: Any) -> dict[str, Any]:
    return {**row, **features}


def test_one_object(service: Service, rows: list[dict[str, Any]], predictions: list[float]) -> None:
    for row, prediction in zip(rows, predictions, strict=True):
        assert service.predict(row).json()["prediction"] == pytest.approx([prediction], rel=TOLERANCE)


def test_one_list(service: Service, card: dict[str, Any], rows: list[dict[str, Any]], predictions: list[float]) -> None:
    assert service.predict(values(card, rows[0])).json()["prediction"] == pytest.approx(predictions[:1], rel=TOLERANCE)


def test_many_objects(service: Service, rows: list[dict[str, Any]], predictions: list[float]) -> None:
    assert service.predict(rows).json()["prediction"] == pytest.approx(predictions, rel=TOLERANCE)


def test_many_lists(
    service: Service, card: dict[str, Any], rows: list[dict[str, Any]], predictions: list[float]
) -> None:
    matrix = [values(card, row) for row in rows]

    assert service.predict(matrix).json()["prediction"] == pytest.approx(predictions, rel=TOLERANCE)


def test_the_answer_names_model_unit_and_interval(
    service: Service, card: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    answer = service.predict(rows[0]).json()
    [[low, high]] = answer["interval"]

    assert low < answer["prediction"][0] < high
    assert answer["unit"] == card["target"]["unit"]
    assert answer["model"] == {"name": card["name"], "version": card["version"]}
    assert isinstance(answer["warnings"], list)


def test_a_missing_value_is_allowed_by_the_card(
    service: Service, card: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    optional = next((feature["name"] for feature in card["features"] if feature["missing"]), None)
    if optional is None:
        pytest.skip("no feature of this model may be missing")

    assert service.predict(changed(rows[0], **{optional: None})).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"price?",
        b"",
        b'{"features": [',
        b'{"features": [NaN, 1, 2]}',
        b'{"features": [Infinity, 1, 2]}',
        b'{"features": [1e400, 1, 2]}',
        b"\xff\xfe",
        b"[]",
        b'{"rows": []}',
        b'{"features": []}',
        b'{"features": [[]]}',
        b'{"features": null}',
        b'{"features": "all of them"}',
        b'{"features": [1, [2]]}',
        b"[" * 100_000,
    ],
)
def test_a_body_of_another_shape_is_a_400(service: Service, body: bytes) -> None:
    problem(requests.post(f"{service.url}/predict", data=body, headers=HEADERS, timeout=10), 400)


def test_a_row_of_another_length_is_a_400_that_counts(service: Service, card: dict[str, Any], rows: list[Any]) -> None:
    [fault] = problem(service.predict([*values(card, rows[0]), 1]), 400)["errors"]

    assert fault["row"] == 0
    assert str(len(card["features"])) in fault["wanted"]


def test_a_bad_value_is_a_400_that_names_row_and_field(
    service: Service, card: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    wrong = faults(card)
    assert {fault.name for fault in wrong} == rows[0].keys()

    for one in wrong:
        answer = service.predict([rows[0], changed(rows[1], **{one.name: one.value})])
        [fault] = problem(answer, 400)["errors"]
        assert (fault["row"], fault["field"]) == (1, one.name)
        assert one.found in json.dumps(fault["found"]), one
        assert fault["wanted"]


def test_an_unknown_name_is_a_400_that_names_it(service: Service, rows: list[dict[str, Any]]) -> None:
    [fault] = problem(service.predict([rows[0], changed(rows[1], **{"no such feature": 1})]), 400)["errors"]

    assert (fault["row"], fault["field"]) == (1, "no such feature")
    assert fault["wanted"]


def test_a_missing_name_is_a_400_that_names_it(
    service: Service, card: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    required = [feature["name"] for feature in card["features"] if not feature["missing"]]
    found = problem(service.predict({name: rows[0][name] for name in rows[0] if name not in required}), 400)["errors"]

    assert [(fault["row"], fault["field"]) for fault in found] == [(0, name) for name in required]


def test_all_faults_are_named_at_once(service: Service, rows: list[dict[str, Any]]) -> None:
    """A list is not valid for any feature."""
    bad = {name: [1] for name in rows[0]}

    assert [fault["field"] for fault in problem(service.predict(bad), 400)["errors"]] == [*bad][:20]


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "in chunks"])
def test_a_body_of_50_mb_is_a_413_that_names_the_limit(service: Service, *, chunked: bool) -> None:
    chunk = b" " * 1_000_000
    body = (chunk for _ in range(50)) if chunked else chunk * 50

    problem(requests.post(f"{service.url}/predict", data=body, headers=HEADERS, timeout=30), 413)
    assert service.predict({}).status_code == 400  # and the service goes on


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/predict", HEADERS, 405),
        ("POST", "/predict", {"Content-Type": "text/plain"}, 415),
        ("GET", "/nowhere", HEADERS, 404),
    ],
)
def test_other_errors_have_their_own_status(
    service: Service, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    problem(requests.request(method, f"{service.url}{path}", data=b"{}", headers=headers, timeout=10), status)


def test_probes_and_version(service: Service, built: dict[str, Any], card: dict[str, Any]) -> None:
    version = requests.get(f"{service.url}/version", timeout=10).json()

    assert requests.get(f"{service.url}/healthz", timeout=10).ok
    assert requests.get(f"{service.url}/readyz", timeout=10).ok
    assert (version["version"], version["revision"]) == (built["version"], built["revision"])
    assert version["model"]["sha256"] == card["sha256"]


def problem(reply: requests.Response, status: int) -> dict[str, Any]:
    """Return `reply` as a problem document (RFC 9457)."""
    assert reply.status_code == status, reply.text
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert len(reply.content) < 10_000
    document = reply.json()
    assert document["status"] == status
    assert document["title"]
    return dict(document)

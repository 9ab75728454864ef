"""The protocols through real clients: right answers, right metadata, readable errors."""

import csv
import io
import json
import math
from typing import Any

import pytest
import requests

from tests.integration.card import Fault, faults, golden_predictions, golden_rows
from tests.integration.client import asked
from tests.integration.service import Service, started_service

TOLERANCE = 1e-6  # of the prediction; the card's golden rows come from scikit-learn itself


@pytest.fixture(scope="module")
def card(service: Service) -> dict[str, Any]:
    return service.card


@pytest.fixture(scope="module")
def predictions(card: dict[str, Any]) -> Any:
    return pytest.approx(golden_predictions(card), rel=TOLERANCE)


@pytest.fixture(scope="module")
def wrong(card: dict[str, Any]) -> list[Fault]:
    """Faults that a tensor of the right type can carry, of up to two features."""
    by_name = {fault.name: fault for fault in faults(card) if fault.typed}
    return [*by_name.values()][:2]


@pytest.fixture(scope="module")
def question(service: Service, card: dict[str, Any], wrong: list[Fault]) -> dict[str, Any]:
    """The requests of every client: the golden rows, and one row with faults."""
    rows = golden_rows(card)
    return {
        "url": service.url,
        "address": f"localhost:{service.port}",
        "model": card["name"],
        "version": card["version"],
        "features": card["features"],
        "rows": rows,
        "matrix": [[encoded(feature, row[feature["name"]]) for feature in card["features"]] for row in rows],
        "bad": rows[1] | {fault.name: fault.value for fault in wrong},
    }


def encoded(feature: dict[str, Any], value: Any) -> float:
    if value is None:
        return math.nan
    return float(feature["categories"].index(value) if feature["type"] == "category" else value)


def assert_refused(answer: list[str], wrong: list[Fault]) -> None:
    """Check that the answer is a 400 that names every fault of row 1; without a fault there is none."""
    if not wrong:
        assert answer == []
        return
    status, text = answer
    assert status == "400"
    for fault in wrong:
        found = json.dumps(fault.value)
        assert f'row 1, "{fault.name}": found {found}' in text


def test_the_client_of_triton(
    card: dict[str, Any], predictions: Any, question: dict[str, Any], wrong: list[Fault], built: dict[str, Any]
) -> None:
    answer = asked("triton", question)

    assert answer["default"] == answer["json"] == answer["matrix"] == predictions
    assert "binary_data_size" in answer["default_output"]["parameters"]
    assert "data" in answer["json_output"]
    assert answer["id"] == "42"
    assert (answer["live"], answer["ready"], answer["model_ready"]) == (True, True, [True, True, False])
    assert answer["server"] == {
        "name": card["name"],
        "version": built["version"],
        "extensions": ["binary_tensor_data"],
    }
    assert (answer["model"]["name"], answer["model"]["versions"]) == (card["name"], [card["version"]])
    assert [tensor["name"] for tensor in answer["model"]["inputs"]] == [item["name"] for item in card["features"]]
    assert answer["model"]["outputs"] == [{"name": card["target"]["name"], "datatype": "FP64", "shape": [-1]}]
    assert_refused(answer["bad_row"], wrong)
    assert answer["bad_output"][0] == "400"
    assert "rent" in answer["bad_output"][1]
    assert answer["other_model"][0] == "404"


def test_the_client_of_kserve(predictions: Any, question: dict[str, Any], wrong: list[Fault]) -> None:
    answer = asked("kserve", question)

    assert answer["json"] == answer["binary"] == answer["v1"]["predictions"] == predictions
    assert answer["id"] == "42"
    assert (answer["live"], answer["ready"], answer["model_ready"]) == (True, True, [True, True])
    assert_refused(answer["bad_row"], wrong)
    assert_refused(answer["bad_row_v1"], wrong)
    assert answer["other_model"][0] == answer["other_model_v1"][0] == "404"


def test_the_client_of_mlflow(
    card: dict[str, Any], predictions: Any, question: dict[str, Any], wrong: list[Fault]
) -> None:
    answer = asked("mlflow", question)

    assert answer["frame"] == answer["array"] == answer["list"] == answer["with_parameters"] == predictions
    assert answer["frame_has_nan"] == any(feature["missing"] for feature in card["features"])
    assert json.loads(answer["version"])["model"]["name"] == card["name"]
    _, _, response = answer["bad_row"].partition("response: ")
    message = [json.loads(response.removesuffix(")"))["message"]] if response else []
    assert_refused([status for status in ("400",) if status in answer["bad_row"]] + message, wrong)


def test_the_requests_of_sagemaker(service: Service, predictions: Any, question: dict[str, Any]) -> None:
    """Its client cannot talk to a container, so the test sends what its endpoint would send."""
    table = io.StringIO()
    csv.writer(table).writerows(row.values() for row in question["rows"])
    headers = {"Content-Type": "text/csv", "Accept": "text/csv"}

    reply = requests.post(f"{service.url}/invocations", data=table.getvalue().encode(), headers=headers, timeout=10)

    assert requests.get(f"{service.url}/ping", timeout=10).status_code == 200
    assert [float(line) for line in reply.text.splitlines()] == predictions


def test_the_requests_of_vertex_ai(candidate: str, predictions: Any, question: dict[str, Any]) -> None:
    path = "/v1/endpoints/1/deployedModels/2"
    named = {"AIP_HTTP_PORT": "8080", "AIP_HEALTH_ROUTE": path, "AIP_PREDICT_ROUTE": f"{path}:predict"}

    with started_service(candidate, environment=named, port=8080) as service:
        health = requests.get(f"{service.url}{path}", timeout=10)
        reply = requests.post(f"{service.url}{path}:predict", json={"instances": question["rows"]}, timeout=10)

    assert health.status_code == 200
    assert reply.json()["predictions"] == predictions


@pytest.mark.parametrize("path", ["/v2/models/other", "/v1/models/other", "/v2/nothing"])
def test_an_unknown_model_gets_the_error_of_the_protocol(service: Service, path: str) -> None:
    reply = requests.get(f"{service.url}{path}", timeout=10)

    assert (reply.status_code, list(reply.json())) == (404, ["error"])

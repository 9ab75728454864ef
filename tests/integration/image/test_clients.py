"""The protocols, asked by the clients that people use: right answers, right metadata, readable errors."""

import json
import math
from typing import Any

import pytest
import requests

from tests.integration.client import asked
from tests.integration.service import Service, started_service

TOLERANCE = 1e-6  # of the predicted price; the card's golden rows come from scikit-learn itself


@pytest.fixture(scope="module")
def card(service: Service) -> dict[str, Any]:
    return service.card


@pytest.fixture(scope="module")
def prices(card: dict[str, Any]) -> Any:
    return pytest.approx([golden["prediction"] for golden in card["golden"]], rel=TOLERANCE)


@pytest.fixture(scope="module")
def question(service: Service, card: dict[str, Any]) -> dict[str, Any]:
    """What every client is asked to ask: the golden rows, and one row with two faults."""
    rows = [golden["features"] for golden in card["golden"]]
    return {
        "url": service.url,
        "address": f"localhost:{service.port}",
        "model": card["name"],
        "version": card["version"],
        "features": card["features"],
        "rows": rows,
        "matrix": [[encoded(feature, row[feature["name"]]) for feature in card["features"]] for row in rows],
        "bad": {**rows[1], "city": "Atlantis", "area": -1},
    }


def encoded(feature: dict[str, Any], value: Any) -> float:
    if value is None:
        return math.nan
    return float(feature["categories"].index(value) if feature["type"] == "category" else value)


def names_both_faults(text: str) -> bool:
    return 'row 1, "city": found "Atlantis"' in text and 'row 1, "area": found -1' in text


def test_triton_s_client(card: dict[str, Any], prices: Any, question: dict[str, Any], built: dict[str, Any]) -> None:
    answer = asked("triton", question)

    assert answer["default"] == answer["json"] == answer["matrix"] == prices
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
    assert answer["bad_row"][0] == "400"
    assert names_both_faults(answer["bad_row"][1])
    assert answer["bad_output"][0] == "400"
    assert "rent" in answer["bad_output"][1]
    assert answer["other_model"][0] == "404"


def test_kserve_s_client(prices: Any, question: dict[str, Any]) -> None:
    answer = asked("kserve", question)

    assert answer["json"] == answer["binary"] == answer["v1"]["predictions"] == prices
    assert answer["id"] == "42"
    assert (answer["live"], answer["ready"], answer["model_ready"]) == (True, True, [True, True])
    for fault in ("bad_row", "bad_row_v1"):
        assert answer[fault][0] == "400"
        assert names_both_faults(answer[fault][1])
    assert answer["other_model"][0] == answer["other_model_v1"][0] == "404"


def test_mlflow_s_client(card: dict[str, Any], prices: Any, question: dict[str, Any]) -> None:
    answer = asked("mlflow", question)

    assert answer["frame"] == answer["array"] == answer["list"] == answer["with_parameters"] == prices
    assert answer["frame_has_nan"]
    assert json.loads(answer["version"])["model"]["name"] == card["name"]
    assert "400" in answer["bad_row"]
    assert names_both_faults(json.loads(answer["bad_row"].split("response: ")[1].removesuffix(")"))["message"])


def test_sagemaker_s_requests(service: Service, prices: Any, question: dict[str, Any]) -> None:
    """No client here speaks to a container directly: what its endpoint would send."""
    rows = question["rows"]
    table = "".join(",".join("" if value is None else str(value) for value in row.values()) + "\n" for row in rows)
    headers = {"Content-Type": "text/csv", "Accept": "text/csv"}

    reply = requests.post(f"{service.url}/invocations", data=table, headers=headers, timeout=10)

    assert requests.get(f"{service.url}/ping", timeout=10).status_code == 200
    assert [float(line) for line in reply.text.splitlines()] == prices


def test_vertex_s_requests(candidate: str, prices: Any, question: dict[str, Any]) -> None:
    path = "/v1/endpoints/1/deployedModels/2"
    named = {"AIP_HTTP_PORT": "8080", "AIP_HEALTH_ROUTE": path, "AIP_PREDICT_ROUTE": f"{path}:predict"}

    with started_service(candidate, environment=named, port=8080) as service:
        health = requests.get(f"{service.url}{path}", timeout=10)
        reply = requests.post(f"{service.url}{path}:predict", json={"instances": question["rows"]}, timeout=10)

    assert health.status_code == 200
    assert reply.json()["predictions"] == prices


@pytest.mark.parametrize("path", ["/v2/models/other", "/v1/models/other", "/v2/nothing"])
def test_unknown_models_have_the_error_of_the_protocol(service: Service, path: str) -> None:
    reply = requests.get(f"{service.url}{path}", timeout=10)

    assert (reply.status_code, list(reply.json())) == (404, ["error"])

from __future__ import annotations

from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from app.drain import Drain
from app.factory import create_app
from app.model import Card, Predictor
from app.settings import Settings

DEFAULT = "/v1/endpoints/1/deployedModels/2"


def make_client(settings: Settings, predictor: Predictor, drain: Drain, health: str, predict: str) -> FlaskClient:
    settings = replace(settings, aip_health_route=health, aip_predict_route=predict)
    return create_app(settings, predictor, drain).test_client()


@pytest.mark.parametrize(
    ("health", "predict"),
    [(DEFAULT, f"{DEFAULT}:predict"), ("/both", "/both"), ("/health", "/predict"), ("/healthz", "/invocations")],
)
def test_it_answers_on_the_paths_of_the_platform(
    health: str, predict: str, settings: Settings, predictor: Predictor, drain: Drain, card: Card
) -> None:
    client = make_client(settings, predictor, drain, health, predict)

    rows = [golden.features for golden in card.golden]
    reply = client.post(predict, json={"instances": rows, "parameters": {"confidence": 0.5}})
    bad = client.post(predict, json={"instances": [{**rows[0], "city": "Atlantis"}]})

    assert client.get(health).status_code == 200
    assert reply.json == {"predictions": pytest.approx([golden.prediction for golden in card.golden], rel=1e-9)}
    assert bad.status_code == 400
    assert bad.json
    assert 'row 0, "city": found "Atlantis"' in bad.json["error"]


def test_while_draining_it_is_unhealthy(settings: Settings, predictor: Predictor, drain: Drain) -> None:
    client = make_client(settings, predictor, drain, "/alive", "/ask")
    drain.start()

    assert client.get("/alive").status_code == 503


def test_on_other_platforms_there_are_no_such_routes(client: FlaskClient) -> None:
    assert client.get(DEFAULT).status_code == 404

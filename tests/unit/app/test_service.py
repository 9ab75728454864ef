"""The routes beside predictions: health, version, and errors of every kind."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.drain import Drain
from app.factory import create_app
from app.model import Card, Predictor
from app.settings import Settings


def test_it_is_alive_and_ready(client: FlaskClient) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_while_draining_it_is_alive_but_not_ready_and_still_answers(
    client: FlaskClient, drain: Drain, row: dict[str, object]
) -> None:
    drain.start()

    unready = client.get("/readyz")

    assert unready.status_code == 503
    assert unready.headers["Retry-After"] == "8"
    assert client.get("/healthz").status_code == 200
    assert client.post("/predict", json={"features": row}).status_code == 200


def test_version_names_the_image_and_the_model(client: FlaskClient, card: Card) -> None:
    assert client.get("/version").json == {
        "version": "1.4.0",
        "revision": "abc123",
        "model": {"name": "house-price", "version": "1.0.0", "format": "onnx", "sha256": card.sha256},
    }


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/predict", 405), ("POST", "/healthz", 405), ("BREW", "/predict", 405)],
)
def test_errors_are_problem_documents(method: str, path: str, status: int, client: FlaskClient) -> None:
    response = client.open(path, method=method)

    assert (response.status_code, response.content_type) == (status, "application/problem+json")
    assert response.json
    assert response.json["status"] == status
    assert status != 405 or "Allow" in response.headers


def test_retry_after_is_not_before_the_service_has_stopped(
    settings: Settings, predictor: Predictor, drain: Drain
) -> None:
    drain.start()
    client = create_app(replace(settings, drain_seconds=1.1, graceful_seconds=3), predictor, drain).test_client()

    assert client.get("/readyz").headers["Retry-After"] == "5"


def test_an_unexpected_error_is_logged_but_not_shown(application: Flask, caplog: pytest.LogCaptureFixture) -> None:
    @application.get("/broken")
    def broken() -> str:
        raise RuntimeError("secret")

    response = application.test_client().get("/broken")

    assert (response.status_code, response.content_type) == (500, "application/problem+json")
    assert b"secret" not in response.data
    assert "RuntimeError: secret" in caplog.text

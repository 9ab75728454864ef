from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.drain import Drain
from app.factory import create_app
from app.model import Card, Predictor
from app.settings import Settings


@pytest.fixture(scope="session")
def predictor(onnx_dir: Path) -> Predictor:
    return Predictor.load(onnx_dir)


@pytest.fixture
def settings() -> Settings:
    return replace(Settings(), max_body_bytes=20_000, max_rows=100, image_version="1.4.0", image_revision="abc123")


@pytest.fixture
def drain() -> Drain:
    return Drain()


@pytest.fixture
def application(settings: Settings, predictor: Predictor, drain: Drain) -> Flask:
    return create_app(settings, predictor, drain)


@pytest.fixture
def client(application: Flask) -> FlaskClient:
    return application.test_client()


@pytest.fixture
def row(card: Card) -> dict[str, object]:
    """A valid row without missing values, by name, in the order of the features."""
    return next({**golden.features} for golden in card.golden if None not in golden.features.values())

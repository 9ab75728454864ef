"""Puts the service together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask

from app import health, predict, problem

if TYPE_CHECKING:
    from app.drain import Drain
    from app.model import Predictor
    from app.settings import Settings


def create_app(settings: Settings, predictor: Predictor, drain: Drain) -> Flask:
    """Make the application around a loaded model."""
    app = Flask(__name__, static_folder=None)
    problem.register(app)
    app.register_blueprint(health.blueprint(settings, predictor.card, drain))
    app.register_blueprint(predict.blueprint(settings, predictor))
    return app

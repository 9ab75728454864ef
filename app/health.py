"""What a platform asks a container: does it live, may it get requests, what is it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify

from app import problem

if TYPE_CHECKING:
    from app.drain import Drain
    from app.model import Card
    from app.settings import Settings


def blueprint(settings: Settings, card: Card, drain: Drain) -> Blueprint:
    """Give the routes /healthz, /readyz and /version."""
    routes = Blueprint("health", __name__)

    @routes.get("/healthz")
    def alive() -> Response:
        return jsonify(status="alive")

    @routes.get("/readyz")
    def ready() -> Response:
        if drain.started:
            return problem.respond(HTTPStatus.SERVICE_UNAVAILABLE, "The service is stopping: send requests elsewhere.")
        return jsonify(status="ready")

    @routes.get("/version")
    def version() -> Response:
        return jsonify(
            version=settings.image_version,
            revision=settings.image_revision,
            model={"name": card.name, "version": card.version, "format": card.format, "sha256": card.sha256},
        )

    return routes

"""Puts the service together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask, Response, request

from app import health, metrics, predict, problem
from app.door import Door
from app.metrics import Meter
from app.route import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.drain import Drain
    from app.model import Predictor
    from app.route import Route
    from app.settings import Settings


def create_app(settings: Settings, predictor: Predictor, drain: Drain) -> Flask:
    """Make the application around a loaded model; its `wsgi_app` is a Door."""
    app = Flask(__name__, static_folder=None)
    app.register_error_handler(Exception, lambda error: _response(problem.refuse(error)))
    routes = [*health.routes(settings, predictor.card, drain), *predict.routes(settings, predictor)]
    meter = Meter([("GET", metrics.PATH), *((route.method, route.path) for route in routes)], settings.workers)
    routes += metrics.routes(settings, predictor.card, meter)
    for route in routes:
        app.add_url_rule(route.path, f"{route.method} {route.path}", _view(route), methods=[route.method])
    app.wsgi_app = Door(app.wsgi_app, routes, meter, settings)  # type: ignore[method-assign]
    return app


def _view(route: Route) -> Callable[[], Response]:
    return lambda: _response(route(request.environ))


def _response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, reply.headers, content_type=reply.content_type)

"""Puts the service together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask, Response, request

from app import health, metrics, openapi, pages, predict, problem, protocols
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
    own = [*health.routes(settings, predictor.card, drain), *predict.routes(settings, predictor)]
    document = openapi.document(settings, predictor.card, own)
    own += [openapi.route(document), *pages.routes(settings, predictor.card, document)]
    # A platform may name a path that is ours (AIP_PREDICT_ROUTE=/predict): the later route is the one that counts.
    named = {(route.method, route.path): route for route in own + protocols.routes(settings, predictor, drain)}
    meter = Meter([("GET", metrics.PATH), *named], settings.workers)
    routes = [*named.values(), *metrics.routes(settings, predictor.card, meter)]
    # What no route answers is refused as the routes below the same first part of the path refuse.
    refusals = {_top(route.path): route.refuse for route in routes}
    app.register_error_handler(
        Exception, lambda error: _response(refusals.get(_top(request.path), problem.refuse)(error))
    )
    for route in routes:
        app.add_url_rule(route.path, f"{route.method} {route.path}", _view(route), methods=[route.method])
    app.wsgi_app = Door(app.wsgi_app, routes, meter, settings)  # type: ignore[method-assign]
    return app


def _top(path: str) -> str:
    return path.split("/", 2)[1]


def _view(route: Route) -> Callable[[], Response]:
    return lambda: _response(route(request.environ))


def _response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, reply.headers, content_type=reply.content_type)

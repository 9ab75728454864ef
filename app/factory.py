"""The application factory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask, Response, request

from app import health, metrics, openapi, pages, predict, problem, protocols
from app.metrics import Meter
from app.middleware import Middleware
from app.route import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.drain import Drain
    from app.model import Predictor
    from app.route import Route
    from app.settings import Settings


def create_app(settings: Settings, predictor: Predictor, drain: Drain) -> Flask:
    """Make the application around a loaded model; its `wsgi_app` is a Middleware."""
    app = Flask(__name__, static_folder=None)
    own = [*health.make_routes(settings, predictor.card, drain), *predict.make_routes(settings, predictor)]
    document = openapi.make_document(settings, predictor.card, own)
    own += [openapi.make_route(document), *pages.make_routes(settings, predictor.card, document)]
    # A platform can choose a path of our own (AIP_PREDICT_ROUTE=/predict): the later route replaces the earlier one.
    named = {(route.method, route.path): route for route in own + protocols.make_routes(settings, predictor, drain)}
    meter = Meter([("GET", metrics.PATH), *named], settings.workers)
    routes = [*named.values(), *metrics.make_routes(settings, predictor.card, meter)]
    # An unknown path gets its error document from the routes that share its first segment.
    handlers = {_get_first_segment(route.path): route.handle_error for route in routes}
    app.register_error_handler(
        Exception,
        lambda error: _to_response(handlers.get(_get_first_segment(request.path), problem.handle_error)(error)),
    )
    for route in routes:
        app.add_url_rule(route.path, f"{route.method} {route.path}", _make_view(route), methods=[route.method])
    app.wsgi_app = Middleware(app.wsgi_app, routes, meter, settings)  # type: ignore[method-assign]
    return app


def _get_first_segment(path: str) -> str:
    return path.split("/", 2)[1]


def _make_view(route: Route) -> Callable[[], Response]:
    return lambda: _to_response(route(request.environ))


def _to_response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, reply.headers, content_type=reply.content_type)

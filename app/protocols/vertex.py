"""Vertex AI's custom containers: the platform sets both paths and sends {"instances": rows, "parameters"?}.

https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements. It passes the body of an error on
unchanged and prescribes no shape: ours is TensorFlow Serving's {"error": text}, like the rest of the format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.protocols import adapter
from app.route import Reply, Route

if TYPE_CHECKING:
    from app.drain import Drain
    from app.model import Predictor
    from app.settings import Settings


def make_routes(settings: Settings, predictor: Predictor, drain: Drain) -> list[Route]:
    """Make the routes whose paths the platform sets; they may be one path, and may be one of our own."""
    handle_error = adapter.make_error_handler(lambda _status, text: {"error": text})
    health = adapter.make_readiness_handler(Reply(b"{}"), drain)
    predict = adapter.make_instances_handler(settings, predictor)
    found = [
        Route("GET", settings.aip_health_route, health, handle_error, probe=True),
        Route("POST", settings.aip_predict_route, predict, handle_error),
    ]
    return [route for route in found if route.path]

"""Vertex AI's custom containers: the platform names both paths and sends {"instances": rows, "parameters"?}.

https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements. It passes an error's body on as it
is and asks for no shape: ours is {"error": text}, that of TensorFlow Serving, whose format the rest is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app import adapter
from app.route import Reply, Route

if TYPE_CHECKING:
    from app.drain import Drain
    from app.model import Predictor
    from app.settings import Settings


def routes(settings: Settings, predictor: Predictor, drain: Drain) -> list[Route]:
    """Give the routes that the environment names, which may be one path, and may be one that is ours elsewhere."""
    refuse = adapter.refusal(lambda _status, text: {"error": text})
    found = [
        Route("GET", settings.aip_health_route, adapter.while_ready(Reply(b"{}"), drain), refuse, probe=True),
        Route("POST", settings.aip_predict_route, adapter.instances(settings, predictor), refuse),
    ]
    return [route for route in found if route.path]

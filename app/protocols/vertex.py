"""Vertex AI's custom containers: the platform names both paths and sends {"instances": rows, "parameters"?}.

https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements. It passes an error's body on as it
is and asks for no shape: ours is {"error": text}, that of TensorFlow Serving, whose format the rest is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from app import adapter, body
from app.route import Reply, Route

if TYPE_CHECKING:
    from app.drain import Drain
    from app.model import Predictor
    from app.route import Environ
    from app.settings import Settings


class Question(msgspec.Struct, frozen=True):
    """Rows, each a list in feature order or an object by name; `parameters` say nothing to this model."""

    instances: list[object]


_decoder = msgspec.json.Decoder(Question)
_encoder = msgspec.json.Encoder()


def routes(settings: Settings, predictor: Predictor, drain: Drain) -> list[Route]:
    """Give the two routes that the environment names, which may be one path, and may be one that is ours elsewhere."""
    healthy = Reply(b"{}")
    refuse = adapter.refusal(lambda _status, text: {"error": text})

    def health(_environ: Environ) -> Reply:
        adapter.require_ready(drain)
        return healthy

    def predict(environ: Environ) -> Reply:
        question = adapter.decode(body.read(environ, settings.max_body_bytes), _decoder)
        return Reply(_encoder.encode({"predictions": adapter.predict(settings, predictor, question.instances)}))

    found = []
    if settings.aip_health_route:
        found.append(Route("GET", settings.aip_health_route, health, refuse))
    if settings.aip_predict_route:
        found.append(Route("POST", settings.aip_predict_route, predict, refuse))
    return found

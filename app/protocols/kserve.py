"""KServe's V1 protocol, which is TensorFlow Serving's REST API: {"instances": rows} to {"predictions": numbers}.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol
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
    """Rows, each a list in feature order or an object by name; other members, such as `parameters`, say nothing."""

    instances: list[object]


_decoder = msgspec.json.Decoder(Question)
_encoder = msgspec.json.Encoder()


def routes(settings: Settings, predictor: Predictor, drain: Drain) -> list[Route]:
    """Give the routes under /v1/models."""
    name = predictor.card.name
    listing = Reply(_encoder.encode({"models": [name]}))
    ready = Reply(_encoder.encode({"name": name, "ready": True}))
    refuse = adapter.refusal(lambda _status, text: {"error": text})

    def readiness(_environ: Environ) -> Reply:
        adapter.require_ready(drain)
        return ready

    def predict(environ: Environ) -> Reply:
        question = adapter.decode(body.read(environ, settings.max_body_bytes), _decoder)
        return Reply(_encoder.encode({"predictions": adapter.predict(settings, predictor, question.instances)}))

    return [
        Route("GET", "/v1/models", lambda _environ: listing, refuse),
        Route("GET", f"/v1/models/{name}", readiness, refuse),
        Route("POST", f"/v1/models/{name}:predict", predict, refuse),
    ]

"""KServe's V1 protocol, which is TensorFlow Serving's REST API: {"instances": rows} to {"predictions": numbers}.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from app.protocols import adapter
from app.route import Reply, Route

if TYPE_CHECKING:
    from app.drain import Drain
    from app.model import Predictor
    from app.settings import Settings


def make_routes(settings: Settings, predictor: Predictor, drain: Drain) -> list[Route]:
    """Make the routes under /v1/models."""
    name = predictor.card.name
    listing = Reply(msgspec.json.encode({"models": [name]}))
    ready = Reply(msgspec.json.encode({"name": name, "ready": True}))
    handle_error = adapter.make_error_handler(lambda _status, text: {"error": text})
    return [
        Route("GET", "/v1/models", lambda _environ: listing, handle_error),
        Route("GET", f"/v1/models/{name}", adapter.make_readiness_handler(ready, drain), handle_error, probe=True),
        Route("POST", f"/v1/models/{name}:predict", adapter.make_instances_handler(settings, predictor), handle_error),
    ]

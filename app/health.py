"""What a platform asks of a container: whether it is alive, whether it is ready, what runs in it."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from app import problem
from app.route import Reply, Route

if TYPE_CHECKING:
    from app.drain import Drain
    from app.model import Card
    from app.route import Environ
    from app.settings import Settings


def make_routes(settings: Settings, card: Card, drain: Drain) -> list[Route]:
    """Make the routes /healthz, /readyz and /version."""
    alive = Reply(b'{"status":"alive"}')
    ready = Reply(b'{"status":"ready"}')
    stopping = problem.make_reply(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The service is stopping: send requests elsewhere.",
        headers=(("Retry-After", str(math.ceil(settings.drain_seconds) + settings.graceful_seconds)),),
    )
    model = {"name": card.name, "version": card.version, "format": card.format, "sha256": card.sha256}
    version = Reply(
        msgspec.json.encode(
            {"version": settings.image_version, "revision": settings.image_revision, "model": model},
        )
    )

    def answer_readiness(_environ: Environ) -> Reply:
        return stopping if drain.started else ready

    return [
        Route("GET", "/healthz", lambda _environ: alive, problem.handle_error, probe=True),
        Route("GET", "/readyz", answer_readiness, problem.handle_error, probe=True),
        Route("GET", "/version", lambda _environ: version, problem.handle_error, offers=("application/json",)),
    ]

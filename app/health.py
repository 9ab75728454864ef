"""What a platform asks a container: does it live, may it get requests, what is it."""

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


def routes(settings: Settings, card: Card, drain: Drain) -> list[Route]:
    """Give the routes /healthz, /readyz and /version."""
    alive = Reply(b'{"status":"alive"}')
    ready = Reply(b'{"status":"ready"}')
    stopping = problem.problem(
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

    def readiness(_environ: Environ) -> Reply:
        return stopping if drain.started else ready

    return [
        Route("GET", "/healthz", lambda _environ: alive, problem.refuse, probe=True),
        Route("GET", "/readyz", readiness, problem.refuse, probe=True),
        Route("GET", "/version", lambda _environ: version, problem.refuse, offers=("application/json",)),
    ]

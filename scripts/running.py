"""What really runs in an environment: asked of the service itself, or of the Docker engine of this machine."""

import http.client
import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from scripts.failure import Failure
from scripts.process import output
from scripts.record import Release

TIMEOUT_SECONDS = 3
LARGEST_BYTES = 65536
"""Of an answer to /version, which has a few hundred."""


class State(StrEnum):
    """How what runs compares with what is recorded."""

    SAME = "same"
    OTHER = "other"
    NOTHING = "nothing runs"
    SILENT = "no answer"
    UNKNOWN = "not known"

    @property
    def drifted(self) -> bool:
        """Whether somebody has to look: what is recorded does not run, as far as can be told."""
        return self in {State.OTHER, State.NOTHING, State.SILENT}


@dataclass(frozen=True)
class Running:
    """What was found, and how it compares with the record."""

    state: State
    detail: str = ""
    """For a person: which other one, or why there is no answer."""


def project(environment: str) -> str:
    """Return the name of the compose project of `environment` on this machine."""
    return f"{os.environ.get('COMPOSE_PROJECT_NAME', 'shipshape')}-{environment}"


def running(environment: str, release: Release | None, url: str) -> Running:
    """Return what runs in `environment` beside the `release` that is recorded.

    With `url`, what `url/version` says of version and revision; API_KEY_<ENVIRONMENT> is sent where the service wants
    a key. Without, the digest of the compose project of `environment` on this machine.
    """
    return _asked(environment, release, url) if url else _on_this_machine(environment, release)


def _asked(environment: str, release: Release | None, url: str) -> Running:
    try:
        version, revision = _version(url, f"API_KEY_{environment.upper()}")
    except Failure as silent:
        return Running(State.SILENT, silent.reason)
    if release and (version, revision) == (release.version, release.revision):
        return Running(State.SAME)
    return Running(State.OTHER, f"{version} from commit {revision[:12]}")


def _version(url: str, variable: str) -> tuple[str, str]:
    """Return version and revision of the service at `url`; raises Failure when it does not say.

    `variable` of the environment holds the API key, where the service has keys.
    """
    if not url.startswith(("https://", "http://")):
        raise Failure(f"{url} is no http address")
    request = urllib.request.Request(f"{url.rstrip('/')}/version")  # noqa: S310 - checked above
    if key := os.environ.get(variable):
        request.add_unredirected_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:  # noqa: S310 - checked above
            found = json.loads(reply.read(LARGEST_BYTES))
        return str(found["version"]), str(found["revision"])
    except urllib.error.HTTPError as refused:
        wants_key = f": set {variable}" if refused.code == HTTPStatus.UNAUTHORIZED else ""
        raise Failure(f"{url} says {refused.code}{wants_key}") from refused
    except (OSError, http.client.HTTPException) as broken:
        raise Failure(f"{url}: {getattr(broken, 'reason', broken) or type(broken).__name__}") from broken
    except (ValueError, KeyError, TypeError) as strange:
        raise Failure(f"{url}/version is not this service's") from strange


def _on_this_machine(environment: str, release: Release | None) -> Running:
    try:
        containers = _containers(environment)
    except Failure:
        return Running(State.UNKNOWN, "no URL, no Docker engine here")
    if not containers:
        return Running(State.UNKNOWN, "no URL, not on this machine")
    images = {container["Config"]["Image"]: container for container in containers if container["State"]["Running"]}
    if not images:
        return Running(State.NOTHING, "its container has stopped")
    others = {image: each for image, each in images.items() if not (release and image.endswith(f"@{release.digest}"))}
    if not others:
        return Running(State.SAME)
    return Running(State.OTHER, " and ".join(map(_named, others.values())))


def _containers(environment: str) -> list[dict[str, Any]]:
    labels = (f"com.docker.compose.project={project(environment)}", "com.docker.compose.service=service")
    filters = [option for label in labels for option in ("--filter", f"label={label}")]
    found = output("docker", "ps", "--all", "--quiet", *filters).split()
    return list(json.loads(output("docker", "container", "inspect", *found))) if found else []


def _named(container: dict[str, Any]) -> str:
    version = (container["Config"].get("Labels") or {}).get("org.opencontainers.image.version", "no version")
    return f"{version} ({container['Config']['Image'].rpartition('@')[2][:19]})"

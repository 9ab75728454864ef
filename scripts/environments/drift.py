"""Compares an environment with its record, by asking its service or the Docker engine of this machine."""

import http.client
import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

import msgspec

from scripts import grammar
from scripts.errors import Failure
from scripts.grammar import Url, Version, WorkTree
from scripts.oci import labels
from scripts.oci.labels import Release
from scripts.process import Limit, data, output

ANSWER_SECONDS = 3
LARGEST_BYTES = 65536
"""Limit for an answer from /version, which has a few hundred."""
KEY = re.compile(r"[!-~]+")
LOOPBACK = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(:|/|$)")
ENGINE = Limit(10, "the Docker engine")


class State(StrEnum):
    """How the running service compares with the record."""

    SAME = "same"
    OTHER = "other"
    NOTHING = "nothing runs"
    SILENT = "no answer"
    UNKNOWN = "not known"
    REFUSED = "record refused"

    @property
    def drifted(self) -> bool:
        """Whether somebody should look: the recorded release is not known to run."""
        return self in {State.OTHER, State.NOTHING, State.SILENT, State.REFUSED}


@dataclass(frozen=True)
class Comparison:
    """What an environment runs, compared with its record."""

    state: State
    detail: str = ""
    """For people: which other release, or why there is no answer."""


class Answer(msgspec.Struct):
    """The part of the answer from /version that is compared."""

    version: Version
    revision: WorkTree


class Configuration(msgspec.Struct, rename="pascal"):
    """The configuration of a container."""

    image: str
    labels: dict[str, str] | None = None


class ContainerState(msgspec.Struct, rename="pascal"):
    """The state of a container."""

    running: bool


class Container(msgspec.Struct, rename="pascal"):
    """The part of `docker container inspect` that is compared."""

    config: Configuration
    state: ContainerState


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: only the address in the record may answer."""

    def redirect_request(self, *_: object) -> None:
        """Return no request, so that a redirect is an error."""


def compose_project(environment: str) -> str:
    """Return the name of the Compose project for `environment` on this machine."""
    return f"{os.environ.get('COMPOSE_PROJECT_NAME', 'shipshape')}-{environment}"


def compare(environment: str, release: Release | None, url: Url | None) -> Comparison:
    """Compare what `environment` runs with the recorded `release`.

    With `url`, ask `url/version`, with the key in SHIP_API_KEY_<ENVIRONMENT> if that is set; else ask Docker.
    """
    if url is None:
        return _compare_local(environment, release)
    try:
        return compare_answer(
            _ask_within(ANSWER_SECONDS, lambda: _read_version(url, f"SHIP_API_KEY_{environment.upper()}"), url), release
        )
    except Failure as silent:
        return Comparison(State.SILENT, silent.reason)


def compare_answer(answer: Answer, release: Release | None) -> Comparison:
    """Compare the `answer` of a service with `release`."""
    found: tuple[str, str] = (answer.version, answer.revision)
    if release and found == (release.version, release.revision):
        return Comparison(State.SAME)
    return Comparison(State.OTHER, f"{answer.version} from commit {answer.revision[:12]}")


def compare_containers(containers: list[Container], release: Release | None) -> Comparison:
    """Compare all `containers` of an environment on this machine with `release`."""
    if not containers:
        return Comparison(State.UNKNOWN, "no URL, not on this machine")
    up = [container.config for container in containers if container.state.running]
    if not up:
        return Comparison(State.NOTHING, "its container has stopped")
    others = [each for each in up if not (release and each.image.endswith(f"@{release.digest}"))]
    return (
        Comparison(State.OTHER, " and ".join(dict.fromkeys(map(_describe, others))))
        if others
        else Comparison(State.SAME)
    )


def _ask_within(seconds: float, ask: Callable[[], Answer], peer: Url) -> Answer:
    """Return the result of `ask`, or abandon it after `seconds`.

    A socket's timeout covers single calls only: it stops neither a slow name lookup nor an answer that trickles.
    """
    future: Future[Answer] = Future()

    def answer() -> None:
        try:
            future.set_result(ask())
        except Exception as failed:  # noqa: BLE001 - raised by future.result
            future.set_exception(failed)

    threading.Thread(target=answer, daemon=True).start()
    try:
        return future.result(seconds)
    except TimeoutError as silent:
        raise Failure(f"{peer} did not finish its answer within {seconds:g} s") from silent


def _read_version(url: Url, variable: str) -> Answer:
    """Return the version that the service at `url` reports. Raises Failure when it reports none.

    The environment variable `variable` holds the API key, if the service needs one.
    """
    request = urllib.request.Request(f"{url.rstrip('/')}/version")  # noqa: S310 - http or https, by its grammar
    if key := os.environ.get(variable):
        if not KEY.fullmatch(key):  # urllib's own error would show the key
            raise Failure(f"{variable} is not a key: it has a space or a character that is not ASCII")
        if url.startswith("http:") and not LOOPBACK.match(url):
            raise Failure(f"{variable} is not sent unencrypted to {url}: the record needs an https:// address")
        request.add_unredirected_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.build_opener(NoRedirects).open(request, timeout=ANSWER_SECONDS) as reply:
            body = reply.read(LARGEST_BYTES)
    except urllib.error.HTTPError as refused:
        refused.close()
        wants_key = f": set {variable}" if refused.code == HTTPStatus.UNAUTHORIZED else ""
        raise Failure(f"{url} answers {refused.code}{wants_key}") from refused
    except (OSError, http.client.HTTPException, ValueError, OverflowError) as broken:
        raise Failure(f"{url}: {getattr(broken, 'reason', broken) or type(broken).__name__}") from broken
    return grammar.document(body, Answer, f"{url}/version")


def _compare_local(environment: str, release: Release | None) -> Comparison:
    try:
        return compare_containers(_find_containers(environment), release)
    except Failure as silent:
        return Comparison(State.UNKNOWN, f"no URL, and {silent.reason}")


def _find_containers(environment: str) -> list[Container]:
    labels = (f"com.docker.compose.project={compose_project(environment)}", "com.docker.compose.service=service")
    filters = [option for label in labels for option in ("--filter", f"label={label}")]
    found = output("docker", "ps", "--all", "--quiet", *filters, limit=ENGINE).split()
    if not found:
        return []
    described = data("docker", "container", "inspect", "--", *found, limit=ENGINE)
    return grammar.document(described, list[Container], "the output of docker container inspect")


def _describe(container: Configuration) -> str:
    version = (container.labels or {}).get(labels.VERSION, "no version")
    name, _, digest = container.image.partition("@")
    return f"{version} ({digest[:19] or name})"

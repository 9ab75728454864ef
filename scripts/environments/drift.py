"""What really runs in an environment: asked of the service itself, or of the Docker engine of this machine."""

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
"""Of an answer to /version, which has a few hundred."""
KEY = re.compile(r"[!-~]+")
LOOPBACK = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(:|/|$)")
ENGINE = Limit(10, "the Docker engine")


class State(StrEnum):
    """How what runs compares with what is recorded."""

    SAME = "same"
    OTHER = "other"
    NOTHING = "nothing runs"
    SILENT = "no answer"
    UNKNOWN = "not known"
    REFUSED = "record refused"

    @property
    def drifted(self) -> bool:
        """Whether somebody has to look: what is recorded does not run, as far as can be told."""
        return self in {State.OTHER, State.NOTHING, State.SILENT, State.REFUSED}


@dataclass(frozen=True)
class Running:
    """What was found, and how it compares with the record."""

    state: State
    detail: str = ""
    """For a person: which other one, or why there is no answer."""


class Answer(msgspec.Struct):
    """What a service says at /version, as far as it is compared."""

    version: Version
    revision: WorkTree


class Configuration(msgspec.Struct, rename="pascal"):
    """The configuration of a container."""

    image: str
    labels: dict[str, str] | None = None


class Condition(msgspec.Struct, rename="pascal"):
    """The state of a container."""

    running: bool


class Container(msgspec.Struct, rename="pascal"):
    """What `docker container inspect` says of one, as far as it is compared."""

    config: Configuration
    state: Condition


class Unmoved(urllib.request.HTTPRedirectHandler):
    """Goes to the address in the record and to no other: it is that one's answer which counts."""

    def redirect_request(self, *_: object) -> None:
        """Make no request of where the service points to."""


def project(environment: str) -> str:
    """Return the name of the compose project of `environment` on this machine."""
    return f"{os.environ.get('COMPOSE_PROJECT_NAME', 'shipshape')}-{environment}"


def running(environment: str, release: Release | None, url: Url | None) -> Running:
    """Return what runs in `environment` beside the `release` that is recorded.

    With `url`, what `url/version` says of version and revision; SHIP_API_KEY_<ENVIRONMENT> is sent where it is set.
    """
    if url is None:
        return _on_this_machine(environment, release)
    try:
        return answering(
            _within(ANSWER_SECONDS, lambda: _version(url, f"SHIP_API_KEY_{environment.upper()}"), url), release
        )
    except Failure as silent:
        return Running(State.SILENT, silent.reason)


def answering(answer: Answer, release: Release | None) -> Running:
    """Return how a service that gives `answer` compares with `release`."""
    said: tuple[str, str] = (answer.version, answer.revision)
    if release and said == (release.version, release.revision):
        return Running(State.SAME)
    return Running(State.OTHER, f"{answer.version} from commit {answer.revision[:12]}")


def started(containers: list[Container], release: Release | None) -> Running:
    """Return how the `containers` of an environment on this machine compare with `release`: all of them count."""
    if not containers:
        return Running(State.UNKNOWN, "no URL, not on this machine")
    up = [container.config for container in containers if container.state.running]
    if not up:
        return Running(State.NOTHING, "its container has stopped")
    others = [each for each in up if not (release and each.image.endswith(f"@{release.digest}"))]
    return Running(State.OTHER, " and ".join(dict.fromkeys(map(_named, others)))) if others else Running(State.SAME)


def _within(seconds: float, ask: Callable[[], Answer], peer: Url) -> Answer:
    """Return what `ask` gives; it is left behind when it takes longer.

    A socket's time limit is for each of its calls: it ends neither a name's look-up nor an answer that drips.
    """
    future: Future[Answer] = Future()

    def answer() -> None:
        try:
            future.set_result(ask())
        except Exception as failed:  # noqa: BLE001 - it is raised where the answer is waited for
            future.set_exception(failed)

    threading.Thread(target=answer, daemon=True).start()
    try:
        return future.result(seconds)
    except TimeoutError as silent:
        raise Failure(f"{peer} gave no whole answer within {seconds:g} s") from silent


def _version(url: Url, variable: str) -> Answer:
    """Return what the service at `url` says; raises Failure when it does not.

    `variable` of the environment holds the API key, where the service has keys.
    """
    request = urllib.request.Request(f"{url.rstrip('/')}/version")  # noqa: S310 - http or https, by its grammar
    if key := os.environ.get(variable):
        if not KEY.fullmatch(key):  # said here, without it: urllib would show the key
            raise Failure(f"{variable} is no key: it has a space, or a character that is not ASCII")
        if url.startswith("http:") and not LOOPBACK.match(url):
            raise Failure(f"{variable} is not sent to {url} in the clear: the record needs an https:// address")
        request.add_unredirected_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.build_opener(Unmoved).open(request, timeout=ANSWER_SECONDS) as reply:
            said = reply.read(LARGEST_BYTES)
    except urllib.error.HTTPError as refused:
        refused.close()
        wants_key = f": set {variable}" if refused.code == HTTPStatus.UNAUTHORIZED else ""
        raise Failure(f"{url} says {refused.code}{wants_key}") from refused
    except (OSError, http.client.HTTPException, ValueError, OverflowError) as broken:
        raise Failure(f"{url}: {getattr(broken, 'reason', broken) or type(broken).__name__}") from broken
    return grammar.document(said, Answer, f"{url}/version")


def _on_this_machine(environment: str, release: Release | None) -> Running:
    try:
        return started(_containers(environment), release)
    except Failure as silent:
        return Running(State.UNKNOWN, f"no URL, and {silent.reason}")


def _containers(environment: str) -> list[Container]:
    labels = (f"com.docker.compose.project={project(environment)}", "com.docker.compose.service=service")
    filters = [option for label in labels for option in ("--filter", f"label={label}")]
    found = output("docker", "ps", "--all", "--quiet", *filters, limit=ENGINE).split()
    if not found:
        return []
    said = data("docker", "container", "inspect", "--", *found, limit=ENGINE)
    return grammar.document(said, list[Container], "what docker container inspect says")


def _named(container: Configuration) -> str:
    version = (container.labels or {}).get(labels.VERSION, "no version")
    name, _, digest = container.image.partition("@")
    return f"{version} ({digest[:19] or name})"

"""Comparing an environment with its record, by answers of a service and of Docker."""

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scripts.environments import drift as module
from scripts.environments.drift import (
    Answer,
    Comparison,
    Container,
    State,
    compare,
    compare_answer,
    compare_containers,
    compose_project,
)
from scripts.errors import Failure
from scripts.grammar import Url, Version, WorkTree, document
from scripts.oci.labels import Release
from scripts.process import Limit
from tests.unit.scripts.program import HANGS, Program, prints
from tests.unit.scripts.repository import release

IMAGE, OTHER = release("1.0.0"), release("1.1.0")
HERE = Comparison(State.SAME)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy stands between the tests and a server on this machine."""
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("version", "revision", "state"),
    [
        (IMAGE.version, IMAGE.revision, State.SAME),
        (IMAGE.version, OTHER.revision, State.OTHER),
        (OTHER.version, IMAGE.revision, State.OTHER),
        (IMAGE.version, f"{IMAGE.revision}-dirty", State.OTHER),
    ],
)
def test_a_service_is_the_same_if_version_and_revision_match(version: str, revision: str, state: State) -> None:
    found = compare_answer(Answer(Version(version), WorkTree(revision)), IMAGE)

    assert found.state == state
    assert found.detail == ("" if state is State.SAME else f"{version} from commit {revision[:12]}")


def test_a_service_without_a_record_is_another_one() -> None:
    assert compare_answer(Answer(IMAGE.version, WorkTree(IMAGE.revision)), None).state is State.OTHER


@pytest.mark.parametrize(
    ("state", "drifted"),
    [
        (State.SAME, False),
        (State.UNKNOWN, False),
        (State.OTHER, True),
        (State.NOTHING, True),
        (State.SILENT, True),
        (State.REFUSED, True),
    ],
)
def test_every_known_deviation_is_drift(state: State, *, drifted: bool) -> None:
    assert state.drifted is drifted


def described(image: str, *, up: bool = True, version: str | None = "1.1.0") -> dict[str, Any]:
    """Docker's description of a container."""
    labels = {"org.opencontainers.image.version": version} if version else None
    return {"Id": "0" * 64, "Config": {"Image": image, "Labels": labels}, "State": {"Running": up, "Pid": 7}}


def container(image: str, *, up: bool = True, version: str | None = "1.1.0") -> Container:
    """The parsed description of a container."""
    return document(json.dumps(described(image, up=up, version=version)).encode(), Container, "it")


def by_digest(image: Release, *, up: bool = True) -> Container:
    return container(f"ghcr.io/me/x@{image.digest}", up=up, version=image.version)


@pytest.mark.parametrize(
    ("containers", "state", "detail"),
    [
        ([], State.UNKNOWN, "no URL, not on this machine"),
        ([by_digest(IMAGE)], State.SAME, ""),
        ([by_digest(IMAGE), by_digest(IMAGE)], State.SAME, ""),
        ([by_digest(IMAGE), by_digest(OTHER, up=False)], State.SAME, ""),
        ([by_digest(IMAGE, up=False)], State.NOTHING, "its container has stopped"),
        ([by_digest(OTHER)], State.OTHER, f"1.1.0 ({OTHER.digest.short})"),
        ([by_digest(IMAGE), by_digest(OTHER)], State.OTHER, f"1.1.0 ({OTHER.digest.short})"),
        ([by_digest(OTHER), by_digest(IMAGE)], State.OTHER, f"1.1.0 ({OTHER.digest.short})"),
        (
            [by_digest(OTHER), by_digest(OTHER), by_digest(release("1.2.0"))],
            State.OTHER,
            f"1.1.0 ({OTHER.digest.short}) and 1.2.0 ({release('1.2.0').digest.short})",
        ),
        ([container("ghcr.io/me/x:1.0.0", version=None)], State.OTHER, "no version (ghcr.io/me/x:1.0.0)"),
        ([container(f"x{IMAGE.digest}")], State.OTHER, f"1.1.0 (x{IMAGE.digest})"),
        ([container(f"ghcr.io/me/x@{IMAGE.digest}0")], State.OTHER, f"1.1.0 ({IMAGE.digest.short})"),
    ],
)
def test_every_running_container_must_have_the_recorded_digest(
    containers: list[Container], state: State, detail: str
) -> None:
    assert compare_containers(containers, IMAGE) == Comparison(state, detail)


def test_a_container_without_a_record_is_another_one() -> None:
    assert compare_containers([by_digest(IMAGE)], None).state is State.OTHER


@pytest.mark.parametrize("answer", [b"", b"{}", b'{"Config": {}, "State": {"Running": true}}', b"[]", b"\xff"])
def test_a_malformed_container_is_a_failure(answer: bytes) -> None:
    with pytest.raises(Failure):
        document(answer, Container, "what docker says")


def test_each_environment_has_its_own_compose_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMPOSE_PROJECT_NAME", raising=False)
    assert compose_project("test") == "shipshape-test"
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "mine")
    assert compose_project("test") == "mine-test"


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """A docker that prints what a test wants, and no other program."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("COMPOSE_PROJECT_NAME", raising=False)
    return Program(tmp_path / "bin" / "docker")


def test_without_a_url_docker_lists_the_containers_of_the_service(docker: Program) -> None:
    other = json.dumps([described(f"ghcr.io/me/x@{IMAGE.digest}"), described(f"ghcr.io/me/x@{OTHER.digest}")])
    docker.answer({"ps": prints("one\ntwo\n"), "container": prints(other)})

    assert compare("test", IMAGE, None) == Comparison(State.OTHER, f"1.1.0 ({OTHER.digest.short})")

    labels = ["label=com.docker.compose.project=shipshape-test", "label=com.docker.compose.service=service"]
    assert docker.calls == [
        ["ps", "--all", "--quiet", "--filter", labels[0], "--filter", labels[1]],
        ["container", "inspect", "--", "one", "two"],
    ]


def test_without_a_container_the_state_is_unknown(docker: Program) -> None:
    docker.answer({"ps": prints("\n")})

    assert compare("test", IMAGE, None) == Comparison(State.UNKNOWN, "no URL, not on this machine")


def test_a_container_with_the_recorded_digest_is_the_same(docker: Program) -> None:
    docker.answer({"ps": prints("one\n"), "container": prints(json.dumps([described(f"ghcr.io/me/x@{IMAGE.digest}")]))})

    assert compare("test", IMAGE, None) == HERE


def test_malformed_output_of_docker_leaves_the_state_unknown(docker: Program) -> None:
    docker.answer({"ps": prints("one\n"), "container": prints("{}")})

    found = compare("test", IMAGE, None)

    assert found.state is State.UNKNOWN
    assert found.detail.startswith("no URL, and the output of docker container inspect is malformed")


@pytest.mark.parametrize("answers", [{"ps": HANGS}, {"ps": prints("one\n"), "container": HANGS}], ids=["ps", "inspect"])
def test_an_engine_that_does_not_answer_is_abandoned(
    docker: Program, monkeypatch: pytest.MonkeyPatch, answers: dict[str, str]
) -> None:
    monkeypatch.setattr(module, "ENGINE", Limit(0.1, "the Docker engine"))
    docker.answer(answers)

    found = compare("test", IMAGE, None)

    assert found == Comparison(State.UNKNOWN, "no URL, and the Docker engine gave no answer within 0.1 s")


@contextmanager
def server(
    answer: bytes, *, slowly: bool = False, headers: dict[str, str] | None = None, status: int = 200, at: str = ""
) -> Iterator[tuple[Url, list[str | None]]]:
    """A server on this machine that sends `answer` at `at`/version, and the keys that it received."""
    keys: list[str | None] = []
    stop = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.append(self.headers["Authorization"])
            self.send_response(status if self.path == f"{at}/version" else 404)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            while slowly and not stop.wait(0.02):
                self.wfile.write(b" ")
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.01,)).start()
        try:
            yield Url(f"http://127.0.0.1:{listening.server_port}/"), keys
        finally:
            stop.set()
            listening.shutdown()


ANSWER = json.dumps({"version": IMAGE.version, "revision": IMAGE.revision, "model": {"name": "x"}}).encode()


def test_a_service_gets_the_key_of_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIP_API_KEY_TEST", "secret")
    with server(ANSWER) as (url, keys):
        assert compare("test", IMAGE, url) == HERE
        assert compare("prod", IMAGE, url) == HERE

    assert keys == ["Bearer secret", None]


def test_a_url_may_have_a_path_and_a_trailing_slash() -> None:
    with server(ANSWER, at="/a/X") as (url, _):
        for path in ("a/X", "a/X/", "a/X//"):
            assert compare("test", IMAGE, Url(f"{url}{path}")) == HERE


@pytest.mark.parametrize(("status", "words"), [(401, "401: set SHIP_API_KEY_TEST"), (403, "403"), (500, "500")])
def test_a_service_that_needs_a_key_names_the_variable(status: int, words: str) -> None:
    with server(b"", status=status) as (url, _):
        assert compare("test", IMAGE, url) == Comparison(State.SILENT, f"{url} answers {words}")


def test_a_request_without_an_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The port accepts connections but stays silent; the asking thread ends."""
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.05)
    before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as mute:
        found = compare("test", IMAGE, Url(f"http://127.0.0.1:{mute.getsockname()[1]}"))
        for left in set(threading.enumerate()) - before:
            left.join(5)
            assert not left.is_alive()

    assert found.state is State.SILENT


@pytest.mark.parametrize("key", ["sec\nret", "sec ret", "sécret"])
def test_a_key_that_cannot_be_sent_is_not_printed(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIP_API_KEY_TEST", key)

    found = compare("test", IMAGE, Url("http://127.0.0.1:1"))

    assert found == Comparison(
        State.SILENT, "SHIP_API_KEY_TEST is not a key: it has a space or a character that is not ASCII"
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b"[]",
        b"\xff",
        b'{"version": "1.0.0"}',
        b'{"version": "$(id)", "revision": "' + b"0" * 40 + b'"}',
        b'{"version": "1.0.0", "revision": "unknown"}',
        b'{"version": 1, "revision": 2}',
        b"[" * 60000,
        ANSWER[:-1] + b" " * module.LARGEST_BYTES + b"}",
    ],
)
def test_a_malformed_answer_is_no_answer(answer: bytes) -> None:
    with server(answer) as (url, _):
        found = compare("test", IMAGE, url)

    assert found.state is State.SILENT
    assert found.detail.startswith(f"{url}/version is malformed")


def test_a_redirect_is_not_followed() -> None:
    with server(ANSWER) as (there, asked), server(b"", headers={"Location": f"{there}version"}, status=302) as (url, _):
        assert compare("test", IMAGE, url) == Comparison(State.SILENT, f"{url} answers 302")

    assert asked == []


def test_an_answer_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.2)
    with server(ANSWER, slowly=True) as (url, _):
        before, began = set(threading.enumerate()), time.monotonic()
        found = compare("test", IMAGE, url)
        assert all(left.daemon for left in set(threading.enumerate()) - before), "it would keep the process alive"

    assert found == Comparison(State.SILENT, f"{url} did not finish its answer within 0.2 s")
    assert time.monotonic() - began < 5


def test_a_key_is_not_sent_unencrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIP_API_KEY_PROD", "secret")
    found = compare("prod", None, Url("http://prod.example.com"))

    assert found.state is State.SILENT
    assert found.detail.startswith("SHIP_API_KEY_PROD is not sent unencrypted to http://prod.example.com")
    assert "secret" not in found.detail

"""How what runs compares with what is recorded, from what a service and Docker say."""

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
from scripts.environments.drift import Answer, Container, Running, State, answering, project, running, started
from scripts.errors import Failure
from scripts.grammar import Url, Version, WorkTree, document
from scripts.oci.labels import Release
from scripts.process import Limit
from tests.unit.scripts.program import HANGS, Program, said
from tests.unit.scripts.repository import release

IMAGE, OTHER = release("1.0.0"), release("1.1.0")
HERE = Running(State.SAME)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What listens on this machine is asked itself, whatever network the tests are started in."""
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
def test_a_service_is_the_same_by_its_version_and_its_revision(version: str, revision: str, state: State) -> None:
    found = answering(Answer(Version(version), WorkTree(revision)), IMAGE)

    assert found.state == state
    assert found.detail == ("" if state is State.SAME else f"{version} from commit {revision[:12]}")


def test_a_service_where_nothing_is_recorded_is_another_one() -> None:
    assert answering(Answer(IMAGE.version, WorkTree(IMAGE.revision)), None).state is State.OTHER


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
def test_whatever_is_known_not_to_run_as_recorded_is_drift(state: State, *, drifted: bool) -> None:
    assert state.drifted is drifted


def described(image: str, *, up: bool = True, version: str | None = "1.1.0") -> dict[str, Any]:
    """What Docker says of a container."""
    labels = {"org.opencontainers.image.version": version} if version else None
    return {"Id": "0" * 64, "Config": {"Image": image, "Labels": labels}, "State": {"Running": up, "Pid": 7}}


def container(image: str, *, up: bool = True, version: str | None = "1.1.0") -> Container:
    """A container as Docker describes it, as far as it is read."""
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
def test_every_container_that_runs_has_to_be_the_recorded_digest(
    containers: list[Container], state: State, detail: str
) -> None:
    assert started(containers, IMAGE) == Running(state, detail)


def test_a_container_where_nothing_is_recorded_is_another_one() -> None:
    assert started([by_digest(IMAGE)], None).state is State.OTHER


@pytest.mark.parametrize("answer", [b"", b"{}", b'{"Config": {}, "State": {"Running": true}}', b"[]", b"\xff"])
def test_what_is_no_container_is_a_failure(answer: bytes) -> None:
    with pytest.raises(Failure):
        document(answer, Container, "what docker says")


def test_an_environment_is_a_project_of_its_own_for_compose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMPOSE_PROJECT_NAME", raising=False)
    assert project("test") == "shipshape-test"
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "mine")
    assert project("test") == "mine-test"


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """A docker that says what a test lets it say, and no other program."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("COMPOSE_PROJECT_NAME", raising=False)
    return Program(tmp_path / "bin" / "docker")


def test_without_a_url_docker_is_asked_for_every_container_of_the_service_in_the_project(docker: Program) -> None:
    other = json.dumps([described(f"ghcr.io/me/x@{IMAGE.digest}"), described(f"ghcr.io/me/x@{OTHER.digest}")])
    docker.answer({"ps": said("one\ntwo\n"), "container": said(other)})

    assert running("test", IMAGE, None) == Running(State.OTHER, f"1.1.0 ({OTHER.digest.short})")

    labels = ["label=com.docker.compose.project=shipshape-test", "label=com.docker.compose.service=service"]
    assert docker.calls == [
        ["ps", "--all", "--quiet", "--filter", labels[0], "--filter", labels[1]],
        ["container", "inspect", "--", "one", "two"],
    ]


def test_where_docker_has_no_container_of_it_none_is_looked_at(docker: Program) -> None:
    docker.answer({"ps": said("\n")})

    assert running("test", IMAGE, None) == Running(State.UNKNOWN, "no URL, not on this machine")


def test_a_container_of_the_recorded_digest_is_the_same(docker: Program) -> None:
    docker.answer({"ps": said("one\n"), "container": said(json.dumps([described(f"ghcr.io/me/x@{IMAGE.digest}")]))})

    assert running("test", IMAGE, None) == HERE


def test_what_docker_says_in_another_shape_leaves_it_unknown(docker: Program) -> None:
    docker.answer({"ps": said("one\n"), "container": said("{}")})

    found = running("test", IMAGE, None)

    assert found.state is State.UNKNOWN
    assert found.detail.startswith("no URL, and what docker container inspect says is not what it should be")


@pytest.mark.parametrize("answers", [{"ps": HANGS}, {"ps": said("one\n"), "container": HANGS}], ids=["ps", "inspect"])
def test_an_engine_that_does_not_answer_is_not_waited_for(
    docker: Program, monkeypatch: pytest.MonkeyPatch, answers: dict[str, str]
) -> None:
    monkeypatch.setattr(module, "ENGINE", Limit(0.1, "the Docker engine"))
    docker.answer(answers)

    found = running("test", IMAGE, None)

    assert found == Running(State.UNKNOWN, "no URL, and the Docker engine gave no answer within 0.1 s")


@contextmanager
def server(
    answer: bytes, *, slowly: bool = False, headers: dict[str, str] | None = None, status: int = 200, at: str = ""
) -> Iterator[tuple[Url, list[str | None]]]:
    """A server on this machine that says `answer` under `at`/version, and the keys that it was sent."""
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


SAID = json.dumps({"version": IMAGE.version, "revision": IMAGE.revision, "model": {"name": "x"}}).encode()


def test_a_service_is_asked_with_the_key_of_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIP_API_KEY_TEST", "secret")
    with server(SAID) as (url, keys):
        assert running("test", IMAGE, url) == HERE
        assert running("prod", IMAGE, url) == HERE

    assert keys == ["Bearer secret", None]


def test_a_url_may_have_a_path_and_a_slash_at_its_end() -> None:
    with server(SAID, at="/a/X") as (url, _):
        for path in ("a/X", "a/X/", "a/X//"):
            assert running("test", IMAGE, Url(f"{url}{path}")) == HERE


@pytest.mark.parametrize(("status", "words"), [(401, "401: set SHIP_API_KEY_TEST"), (403, "403"), (500, "500")])
def test_a_service_that_wants_a_key_says_which_one(status: int, words: str) -> None:
    with server(b"", status=status) as (url, _):
        assert running("test", IMAGE, url) == Running(State.SILENT, f"{url} says {words}")


def test_a_question_that_nobody_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The port takes connections and says nothing, and the thread that asks does not stay."""
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.05)
    before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as mute:
        found = running("test", IMAGE, Url(f"http://127.0.0.1:{mute.getsockname()[1]}"))
        for left in set(threading.enumerate()) - before:
            left.join(5)
            assert not left.is_alive()

    assert found.state is State.SILENT


@pytest.mark.parametrize("key", ["sec\nret", "sec ret", "sécret"])
def test_a_key_that_cannot_be_sent_is_not_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIP_API_KEY_TEST", key)

    found = running("test", IMAGE, Url("http://127.0.0.1:1"))

    assert found == Running(
        State.SILENT, "SHIP_API_KEY_TEST is no key: it has a space, or a character that is not ASCII"
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
        SAID[:-1] + b" " * module.LARGEST_BYTES + b"}",
    ],
)
def test_what_is_not_the_answer_of_this_service_is_no_answer(answer: bytes) -> None:
    with server(answer) as (url, _):
        found = running("test", IMAGE, url)

    assert found.state is State.SILENT
    assert found.detail.startswith(f"{url}/version is not what it should be")


def test_a_service_that_points_elsewhere_is_not_followed() -> None:
    with server(SAID) as (there, asked), server(b"", headers={"Location": f"{there}version"}, status=302) as (url, _):
        assert running("test", IMAGE, url) == Running(State.SILENT, f"{url} says 302")

    assert asked == []


def test_an_answer_that_drips_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.2)
    with server(SAID, slowly=True) as (url, _):
        before, began = set(threading.enumerate()), time.monotonic()
        found = running("test", IMAGE, url)
        assert all(left.daemon for left in set(threading.enumerate()) - before), "it keeps this process from its end"

    assert found == Running(State.SILENT, f"{url} gave no whole answer within 0.2 s")
    assert time.monotonic() - began < 5


def test_a_key_is_not_sent_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIP_API_KEY_PROD", "secret")
    found = running("prod", None, Url("http://prod.example.com"))

    assert found.state is State.SILENT
    assert found.detail.startswith("SHIP_API_KEY_PROD is not sent to http://prod.example.com in the clear")
    assert "secret" not in found.detail

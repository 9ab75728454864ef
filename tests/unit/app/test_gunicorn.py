"""What app.worker and app.server use of gunicorn beyond its documentation: a change fails here, by name."""

from __future__ import annotations

import ast
import inspect
import io
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from gunicorn import http  # type: ignore[import-untyped]
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]
from gunicorn.http import wsgi  # type: ignore[import-untyped]
from gunicorn.workers.gthread import PollableMethodQueue, TConn, ThreadWorker  # type: ignore[import-untyped]

from app import server, worker
from app.model import Predictor
from app.server import DrainingArbiter, Server, ServerLog
from app.settings import Settings
from app.worker import Worker

ADDRESS = ("127.0.0.1", 5000)

OVERRIDDEN = [
    (Worker, ThreadWorker, "enqueue_req", "(self, conn)"),
    (Worker, ThreadWorker, "handle", "(self, conn)"),
    (Worker, ThreadWorker, "finish_request", "(self, conn, fs)"),
    (Worker, ThreadWorker, "murder_pending", "(self)"),
    (Worker, ThreadWorker, "handle_quit", "(self, sig, frame)"),
    (Worker, ThreadWorker, "handle_error", "(self, req, client, addr, exc)"),
    (DrainingArbiter, Arbiter, "signal", "(self, sig, frame)"),
    (DrainingArbiter, Arbiter, "stop", "(self, graceful=True)"),
    (ServerLog, Logger, "setup", "(self, cfg)"),
]
CALLED = [
    (ThreadWorker, "__init__", "(self, *args, **kwargs)"),
    (ThreadWorker, "on_client_socket_readable", "(self, conn, client)"),
    (TConn, "__init__", "(self, cfg, sock, client, server)"),
    (TConn, "init", "(self)"),
    (TConn, "set_timeout", "(self)"),
    (TConn, "close", "(self, graceful=False)"),
    (PollableMethodQueue, "defer", "(self, callback, *args)"),
    (Arbiter, "reap_workers", "(self)"),
    (Arbiter, "manage_workers", "(self)"),
]
# Attributes, by the variable that has them in the source.
USED = {
    worker: {
        "self": {"app", "keepalived_conns", "method_queue", "nr_conns", "poller", "tpool", "on_client_socket_readable"},
        "conn": {"sock", "data_ready", "set_timeout", "parser", "close"},
    },
    server: {"self": {"app", "cfg", "error_log", "SIG_QUEUE", "WORKERS", "reap_workers", "manage_workers"}},
}


@pytest.fixture
def made(predictor: Predictor) -> Iterator[Worker]:
    """A worker as its arbiter makes it, which has not been forked."""
    service = Server(Settings(), predictor, 0)
    service.wsgi()
    made = Worker(1, os.getppid(), [], service, 30, service.cfg, ServerLog(service.cfg))
    yield made
    made.tmp.close()


@pytest.fixture
def conn(made: Worker) -> Iterator[TConn]:
    """A connection on which a client has sent a request."""
    client, connection = socket.socketpair()
    with client, connection:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        yield TConn(made.cfg, connection, ADDRESS, ADDRESS)


@pytest.mark.parametrize(("own", "base", "name", "signature"), OVERRIDDEN)
def test_an_overridden_method_has_the_signature_of_gunicorn(own: type, base: type, name: str, signature: str) -> None:
    override = inspect.signature(getattr(own, name)).parameters.values()

    assert str(inspect.signature(getattr(base, name))) == signature
    assert f"({', '.join(str(each.replace(annotation=each.empty)) for each in override)})" == signature


@pytest.mark.parametrize(("owner", "name", "signature"), CALLED)
def test_a_called_method_has_its_signature(owner: type, name: str, signature: str) -> None:
    assert str(inspect.signature(getattr(owner, name))) == signature


@pytest.mark.parametrize("own", {own: None for own, *_ in OVERRIDDEN})
def test_every_override_is_listed_and_no_other_name_is_taken_from_gunicorn(own: type) -> None:
    [base] = own.__bases__
    names = {name for name in vars(own) if not name.startswith("__")}

    assert names & {*dir(base)} == {name for owner, _, name, _ in OVERRIDDEN if owner is own}


@pytest.mark.parametrize("module", USED)
def test_every_attribute_in_the_source_is_listed(module: object) -> None:
    tree = ast.parse(Path(inspect.getfile(module)).read_bytes())  # type: ignore[arg-type]
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    own |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    for name, listed in USED[module].items():  # type: ignore[index]
        found = [node for node in attributes if isinstance(node.value, ast.Name) and node.value.id == name]
        set_here = {node.attr for node in found if name == "self" and isinstance(node.ctx, ast.Store)} - {"nr_conns"}
        assert {node.attr for node in found} - own - set_here == listed


def test_a_worker_and_an_arbiter_have_the_attributes(made: Worker) -> None:
    arbiter = Arbiter(made.app)

    assert not [name for name in USED[worker]["self"] if not hasattr(made, name)]
    assert not [name for name in USED[server]["self"] - {"error_log"} if not hasattr(arbiter, name)]
    assert hasattr(made.log, "error_log")


def test_a_worker_has_no_attribute_of_its_own_that_gunicorn_has(made: Worker) -> None:
    plain = ThreadWorker(1, os.getppid(), [], made.app, 30, made.cfg, made.log)
    plain.tmp.close()

    assert vars(made).keys() - vars(plain).keys() == {
        *("slot", "_seconds", "_busy_since", "_closing_since", "_next_check"),
    }


def test_a_connection_has_the_attributes(conn: TConn) -> None:
    assert (conn.data_ready, conn.parser) == (False, None)
    assert not [name for name in USED[worker]["conn"] if not hasattr(conn, name)]


def test_what_a_parser_has_read_ahead_is_in_the_buffer_of_its_unreader(conn: TConn) -> None:
    conn.init()
    next(conn.parser)

    assert isinstance(conn.parser, http.RequestParser)
    assert isinstance(conn.parser.unreader.buf, io.BytesIO)


def test_the_environment_of_a_request_has_its_socket(conn: TConn) -> None:
    conn.init()

    _, environ = wsgi.create(next(conn.parser), conn.sock, ADDRESS, ADDRESS, conn.cfg)

    assert environ["gunicorn.socket"] is conn.sock

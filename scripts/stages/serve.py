"""`./ship serve`: the service from the work tree, without Docker, started again after each change."""

import os
import shlex
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Literal

from scripts import ROOT, checkout, model, process, shipment
from scripts.console import say
from scripts.errors import Failure
from scripts.grammar import Port
from scripts.shipment import Shipment

HOST = "127.0.0.1"
START_SECONDS = 30
LOOK_SECONDS = 0.3


def serve(model_format: Literal["onnx", "joblib"] = "onnx") -> str:
    """Train the model, answer on PORT, and do so again with every change, until Ctrl-C.

    The service loads its model before it forks, which gunicorn's own reload is not made for; so all of it is started
    again. Raises Failure when it does not start; once it has answered, a mistake in a file is shown, and the next
    change is waited for.
    """
    port = Port.of(os.environ.get("PORT") or "5000", "PORT")
    _check_free(port)
    answered, what = False, None
    try:
        while True:
            seen = _state(what)
            try:
                what = shipment.shipment()
                seen = _state(what)
                model.train(what, model_format)
                with process.running(sys.executable, "-m", "app", env=_environment(what, port)) as service:
                    _await_answer(port, service)
                    _explain(port, again=answered)
                    answered = True
                    _await_change(seen, what, service)
            except Failure as failure:
                if not answered:
                    raise
                say(f"  why: {failure.reason}; waiting for the next change")
                _await_change(seen, what)
    except KeyboardInterrupt:
        return "stopped"


def _environment(what: Shipment, port: Port) -> dict[str, str | None]:
    """Return the settings of the service: one worker, which stops at once, unless they say otherwise."""
    return {
        "HOST": HOST,
        "PORT": port,
        "AIP_HTTP_PORT": None,
        "SAGEMAKER_BIND_TO_PORT": None,
        "MODEL_DIR": str(model.DIRECTORY),
        "WORKERS": os.environ.get("WORKERS") or "1",
        "DRAIN_SECONDS": os.environ.get("DRAIN_SECONDS") or "0",
        "IMAGE_VERSION": what.version,
        "IMAGE_REVISION": checkout.commit().work_tree,
    }


def _check_free(port: Port) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, int(port)))
        except OSError as taken:
            raise Failure(f"port {port} cannot be listened on: {taken.strerror}", "PORT=5005 ./ship serve") from taken


def _await_answer(port: Port, service: "subprocess.Popen[bytes]") -> None:
    """Wait until the service answers. Raises Failure when it ends, or after START_SECONDS."""
    deadline = time.monotonic() + START_SECONDS
    while service.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/readyz", timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise Failure("the service did not start: it says above why", "./ship serve, once that is mended")


def _explain(port: Port, *, again: bool) -> None:
    url = f"http://localhost:{port}"
    if again:
        say(f"  started again; {url}")
        return
    request = model.example((model.DIRECTORY / "card.json").read_bytes(), "the card in build/model")
    say(f"  curl -X POST {url}/predict -H 'Content-Type: application/json' -d {shlex.quote(request)}")
    say(f"  {url} answers from this work tree, and starts again when a file changes; Ctrl-C ends it")


def _await_change(
    seen: dict[Path, tuple[int, int]], what: Shipment | None, service: "subprocess.Popen[bytes] | None" = None
) -> None:
    """Wait until a file is not as it was `seen`, and say which. Raises Failure when the service ends before."""
    while (now := _state(what)) == seen:
        if service and service.poll() is not None:
            raise Failure("the service ended: it says above why")
        time.sleep(LOOK_SECONDS)
    changed = sorted({os.path.relpath(path, ROOT) for path, _ in seen.items() ^ now.items()})
    say(f"  changed: {', '.join(changed)}")


def _state(what: Shipment | None) -> dict[Path, tuple[int, int]]:
    """Return when each file was written that the service is made of, in ns since 1970 UTC, and its size in bytes."""
    files = [path for path in (ROOT / "app").rglob("*") if "__pycache__" not in path.parts]
    if what:
        files += [what.root / (os.environ.get("SHIP_FILE") or "ship.toml"), *model.sources(what)]
    found = {}
    for path in files:
        with suppress(OSError):  # an editor replaces it at this moment
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                found[path] = (status.st_mtime_ns, status.st_size)
    return found

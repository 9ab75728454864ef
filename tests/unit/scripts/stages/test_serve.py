"""`./ship serve`: what it refuses before anything is trained. Serving is tested by the integration tests."""

import socket
from pathlib import Path

import pytest

from scripts import model
from scripts.errors import Failure
from scripts.stages.serve import serve


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(model, "DIRECTORY", tmp_path / "model")
    monkeypatch.setattr(model, "_MADE_OF", tmp_path / "model.sha256")
    return tmp_path / "model"


def test_a_port_that_is_taken_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("PORT", str(port))

        with pytest.raises(Failure, match=f"port {port} cannot be listened on: Address already in use"):
            serve()
    assert not directory.exists()


@pytest.mark.parametrize("port", ["http", "0", "65536", "$(id)"])
def test_what_is_no_port_is_refused(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", port)

    with pytest.raises(Failure, match=r"PORT: .* is not a port"):
        serve()


def test_what_is_no_shipment_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PORT", str(free.getsockname()[1]))
    monkeypatch.setenv("SHIP_TARGET", "colour")

    with pytest.raises(Failure, match="has no column 'colour', the target"):
        serve()
    assert not directory.exists()

"""gunicorn around the application: the model is loaded once, before the workers are forked."""

from __future__ import annotations

import gc
import queue
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]

from app.drain import Drain
from app.factory import create_app
from app.worker import PromptWorker

if TYPE_CHECKING:
    from flask import Flask

    from app.model import Predictor
    from app.settings import Settings


class Server(BaseApplication):  # type: ignore[misc]
    """The service as one gunicorn application."""

    def __init__(self, settings: Settings, predictor: Predictor) -> None:
        self.settings = settings
        self.predictor = predictor
        self.drain = Drain()
        super().__init__()

    def load_config(self) -> None:
        """Translate the settings into gunicorn's."""
        settings = self.settings
        for name, value in {
            "bind": f"{settings.host}:{settings.port}",
            "workers": settings.workers,
            "worker_class": PromptWorker,
            "threads": settings.threads,
            "graceful_timeout": settings.graceful_seconds,
            "keepalive": 75,  # longer than load balancers keep a connection idle, so that they are the ones to close it
            "preload_app": True,
            "worker_tmp_dir": "/dev/shm" if Path("/dev/shm").is_dir() else None,  # noqa: S108 - memory, for heartbeats
            "control_socket_disable": True,
            "loglevel": "warning",
            "when_ready": lambda _arbiter: self._announce(),
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Give the application, once, to the process that forks the workers."""
        return create_app(self.settings, self.predictor, self.drain)

    def run(self) -> None:
        """Serve until a signal stops it."""
        DrainingArbiter(self).run()

    def _announce(self) -> None:
        # What exists now stays: the collector need not touch it, and so the workers go on sharing its memory.
        gc.collect()
        gc.freeze()
        card, settings = self.predictor.card, self.settings
        print(  # noqa: T201 - the one line that says it is up
            f"{card.name} {card.version} ({card.format}) answers on {settings.host}:{settings.port} "
            f"with {settings.workers} workers of {settings.threads} threads",
            flush=True,
        )


class DrainingArbiter(Arbiter):  # type: ignore[misc]
    """Reports not ready for a while before it stops, and answers everything meanwhile."""

    def stop(self, graceful: bool = True) -> None:  # noqa: FBT001, FBT002 - gunicorn's own signature
        """Drain, then stop the workers; a second signal cuts both short."""
        if graceful and self.WORKERS:
            self.app.drain.start()
            graceful = self._wait(self.app.settings.drain_seconds)
        super().stop(graceful)

    def _wait(self, seconds: float) -> bool:
        """Wait, minding the workers; false when a signal asks to stop at once."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                sent = self.SIG_QUEUE.get(timeout=left)
            except queue.Empty:
                break
            if sent in {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}:
                return False
            self.reap_workers()
            self.manage_workers()
        return True

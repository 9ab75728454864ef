"""gunicorn around the application: the model is loaded once, before the workers are forked."""

from __future__ import annotations

import gc
import queue
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from app import log
from app.drain import Drain
from app.factory import create_app
from app.worker import Worker

if TYPE_CHECKING:
    from types import FrameType

    from flask import Flask
    from gunicorn.config import Config  # type: ignore[import-untyped]

    from app.door import Door
    from app.model import Predictor
    from app.settings import Settings


class Server(BaseApplication):  # type: ignore[misc]
    """The service as one gunicorn application."""

    def __init__(self, settings: Settings, predictor: Predictor, began: float) -> None:
        """Take what to serve, and when (time.monotonic) the process began."""
        self.settings = settings
        self.predictor = predictor
        self.began = began
        self.drain = Drain()
        super().__init__()

    def load_config(self) -> None:
        """Translate the settings into gunicorn's."""
        settings = self.settings
        for name, value in {
            "bind": f"{settings.host}:{settings.port}",
            "workers": settings.workers,
            "worker_class": Worker,
            "threads": settings.threads,
            "graceful_timeout": settings.graceful_seconds,
            "keepalive": 75,  # longer than load balancers keep a connection idle, so that they are the ones to close it
            "preload_app": True,
            "worker_tmp_dir": "/dev/shm" if Path("/dev/shm").is_dir() else None,  # noqa: S108 - memory, for heartbeats
            "control_socket_disable": True,
            "logger_class": ServerLog,
            "errorlog": None,
            # What gunicorn calls info, such as each worker's start, is for debugging here.
            "loglevel": "warning" if settings.log_level == "info" else settings.log_level,
            "when_ready": lambda _arbiter: self._announce(),
            "pre_fork": self._give_slot,
            "post_fork": lambda _arbiter, worker: self.door.begin(worker.slot),
            "worker_exit": lambda _arbiter, _worker: self.door.end(),
            "child_exit": lambda _arbiter, worker: self.door.meter.release(worker.slot),
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Give the application, once, to the process that forks the workers."""
        application = create_app(self.settings, self.predictor, self.drain)
        self.door = cast("Door", application.wsgi_app)
        return application

    def run(self) -> None:
        """Serve until a signal stops it."""
        DrainingArbiter(self).run()

    def _announce(self) -> None:
        # What exists now stays: the collector need not touch it, and so the workers go on sharing its memory.
        gc.collect()
        gc.freeze()
        card, settings = self.predictor.card, self.settings
        seconds = round(time.monotonic() - self.began, 3)
        address = f"{settings.host}:{settings.port}"
        message = (
            f"{card.name} {card.version} ({card.format}, sha256 {card.sha256[:12]}) answers on {address} with "
            f"{settings.workers} x {settings.threads} threads: {settings.workers_because}; ready after {seconds} s"
        )
        log.write(
            log.Started(
                *(datetime.now(UTC), "info", message, card.name, card.version, card.format, card.sha256[:12]),
                *(settings.workers, settings.workers_because, settings.threads, address, seconds),
            )
        )

    def _give_slot(self, _arbiter: Arbiter, worker: Worker) -> None:
        worker.slot = self.door.meter.claim()


class ServerLog(Logger):  # type: ignore[misc]
    """Hands gunicorn's own messages on to the process's log."""

    def setup(self, cfg: Config) -> None:
        """Set up, also after a reload."""
        super().setup(cfg)
        self.error_log.propagate = True


class DrainingArbiter(Arbiter):  # type: ignore[misc]
    """Reports not ready for a while before it stops, and answers meanwhile; a second signal cuts that short."""

    _asked = False

    def signal(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal: SIGTERM asks to stop, and the second one to stop at once, for which gunicorn has SIGQUIT."""
        again = sig == signal.SIGTERM and self._asked
        self._asked = self._asked or sig == signal.SIGTERM
        super().signal(signal.SIGQUIT if again else sig, frame)

    def stop(self, graceful: bool = True) -> None:  # noqa: FBT001, FBT002 - gunicorn's own signature
        """Drain, then stop the workers."""
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
            if sent in {signal.SIGINT, signal.SIGQUIT}:
                return False
            self.reap_workers()
            self.manage_workers()
        return True

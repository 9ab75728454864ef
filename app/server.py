"""gunicorn with the application: the model is loaded once, before the workers are forked."""

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

    from app.middleware import Middleware
    from app.model import Predictor
    from app.settings import Settings


class Server(BaseApplication):  # type: ignore[misc]
    """The service as one gunicorn application."""

    def __init__(self, settings: Settings, predictor: Predictor, started: float) -> None:
        """Take what to serve, and when (time.monotonic) the process started."""
        self.settings = settings
        self.predictor = predictor
        self.started = started
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
            "keepalive": 75,  # load balancers close an idle connection sooner, so none is closed while they use it
            "preload_app": True,
            "worker_tmp_dir": "/dev/shm" if Path("/dev/shm").is_dir() else None,  # noqa: S108 - memory, for heartbeats
            "control_socket_disable": True,
            "logger_class": ServerLog,
            "errorlog": None,
            # What gunicorn logs as info, such as the start of each worker, is only for debugging.
            "loglevel": "warning" if settings.log_level == "info" else settings.log_level,
            "when_ready": lambda _arbiter: self._announce(),
            "post_fork": lambda _arbiter, worker: self.middleware.start_worker(worker.slot),
            "worker_exit": lambda _arbiter, _worker: self.middleware.stop_worker(),
            "child_exit": lambda _arbiter, worker: self.middleware.meter.release(worker.slot),
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Make the application, once, in the process that forks the workers."""
        application = create_app(self.settings, self.predictor, self.drain)
        self.middleware = cast("Middleware", application.wsgi_app)
        return application

    def run(self) -> None:
        """Serve until a signal stops the process."""
        DrainingArbiter(self).run()

    def _announce(self) -> None:
        # What exists now stays: the garbage collector must not touch it, or the workers stop sharing its memory.
        gc.collect()
        gc.freeze()
        card, settings = self.predictor.card, self.settings
        seconds = round(time.monotonic() - self.started, 3)
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


class ServerLog(Logger):  # type: ignore[misc]
    """Passes gunicorn's own messages on to the log."""

    def setup(self, cfg: Config) -> None:
        """Set up, at start and after a reload."""
        super().setup(cfg)
        self.error_log.propagate = True


class DrainingArbiter(Arbiter):  # type: ignore[misc]
    """Reports not ready for a while before it stops, and still answers; a second signal ends that at once."""

    _stopping = False

    def signal(self, sig: int, frame: FrameType | None) -> None:
        """Queue a signal: the first SIGTERM stops gracefully, the second one at once, which is gunicorn's SIGQUIT."""
        again = sig == signal.SIGTERM and self._stopping
        self._stopping = self._stopping or sig == signal.SIGTERM
        super().signal(signal.SIGQUIT if again else sig, frame)

    def stop(self, graceful: bool = True) -> None:  # noqa: FBT001, FBT002 - gunicorn's own signature
        """Drain, then stop the workers."""
        if graceful and self.WORKERS:
            self.app.drain.start()
            graceful = self._wait(self.app.settings.drain_seconds)
        super().stop(graceful)

    def _wait(self, seconds: float) -> bool:
        """Wait, and keep the workers running; false if a signal asks to stop at once."""
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

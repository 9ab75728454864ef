"""The service's configuration: read once, from the environment."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from app import cpu

if TYPE_CHECKING:
    from collections.abc import Mapping


class SettingsError(ValueError):
    """A variable is wrong; the message names it, what was found and what is wanted."""


@dataclass(frozen=True)
class Settings:
    """Everything that an operator can set; each field's variable has its name in capitals.

    `drain_seconds` and `graceful_seconds` come one after the other and fit together into the 10 s of `docker stop`.
    """

    host: str = "0.0.0.0"  # noqa: S104 - inside the container; which interface is published is docker's `-p`
    port: int = 5000
    model_dir: Path = Path("/model")
    workers: int = 1
    threads: int = 4
    max_body_bytes: int = 4 << 20
    max_rows: int = 10_000
    drain_seconds: float = 2.0
    graceful_seconds: int = 6
    image_version: str = "unknown"
    image_revision: str = "unknown"
    aip_health_route: str = ""
    aip_predict_route: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings; raises SettingsError. An empty variable counts as unset."""
        # The two platforms' names win: they also tell the platform where to connect.
        port = next((name for name in ("SAGEMAKER_BIND_TO_PORT", "AIP_HTTP_PORT") if environ.get(name)), "PORT")
        return cls(
            host=environ.get("HOST") or cls.host,
            port=int(_number(environ, port, cls.port, 1, 65_535)),
            model_dir=Path(environ.get("MODEL_DIR") or cls.model_dir),
            workers=int(_number(environ, "WORKERS", cpu.available(), 1, 256)),
            threads=int(_number(environ, "THREADS", cls.threads, 1, 256)),
            max_body_bytes=int(_number(environ, "MAX_BODY_BYTES", cls.max_body_bytes, 1, 1 << 30)),
            max_rows=int(_number(environ, "MAX_ROWS", cls.max_rows, 1, 10_000_000)),
            drain_seconds=_number(environ, "DRAIN_SECONDS", cls.drain_seconds, 0, 600, whole=False),
            graceful_seconds=int(_number(environ, "GRACEFUL_SECONDS", cls.graceful_seconds, 1, 600)),
            image_version=environ.get("IMAGE_VERSION") or cls.image_version,
            image_revision=environ.get("IMAGE_REVISION") or cls.image_revision,
            aip_health_route=_path(environ, "AIP_HEALTH_ROUTE"),
            aip_predict_route=_path(environ, "AIP_PREDICT_ROUTE"),
        )


def _path(environ: Mapping[str, str], name: str) -> str:
    path = environ.get(name, "")
    if path and not re.fullmatch(r"/[\w/:.~@%+-]*", path, re.ASCII):
        raise SettingsError(f"{name} is {path!r}, but a path is wanted, such as /predict.")
    return path


def _number(
    environ: Mapping[str, str], name: str, default: float, lowest: float, highest: float, *, whole: bool = True
) -> float:
    text = environ.get(name)
    if not text:
        return default
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = math.nan
    if not lowest <= value <= highest:
        kind = "a whole number" if whole else "a number"
        raise SettingsError(f"{name} is {text!r}, but {kind} from {lowest:g} to {highest:g} is wanted.")
    return value

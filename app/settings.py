"""The service's configuration: read once, from the environment. What a variable means stands beside it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from app import cpu, keys, log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class SettingsError(ValueError):
    """A variable is wrong; the message names it, what was found and what is wanted."""


class Variable(NamedTuple):
    """An environment variable, for people: its name, what holds without it, and what it means."""

    name: str
    default: str
    meaning: str


def _set_by(
    read: Callable[[str, str], Any],
    default: object,
    meaning: str,
    *,
    shown: str | None = None,
    before: tuple[str, ...] = (),
    secret: bool = False,
) -> Any:  # noqa: ANN401 - the field's own type says what it is, as with dataclasses.field
    """Make a field that `read` gives from its variable's name and text; variables in `before` win over its own."""
    metadata = {"read": read, "meaning": meaning, "shown": str(default) if shown is None else shown, "before": before}
    return field(default=default, repr=not secret, metadata=metadata)


def _number(lowest: float, highest: float, *, whole: bool = True) -> Callable[[str, str], float]:
    def read(name: str, text: str) -> float:
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            value = math.nan
        if not lowest <= value <= highest:
            kind = "a whole number" if whole else "a number"
            raise SettingsError(f"{name} is {text!r}, but {kind} from {lowest:g} to {highest:g} is wanted.")
        return value

    return read


def _choice(values: Mapping[str, object]) -> Callable[[str, str], object]:
    def read(name: str, text: str) -> object:
        if text.lower() not in values:
            raise SettingsError(f"{name} is {text!r}, but one of {', '.join(values)} is wanted.")
        return values[text.lower()]

    return read


def _text(_name: str, text: str) -> str:
    return text


def _path(_name: str, text: str) -> Path:
    return Path(text)


def _route(name: str, text: str) -> str:
    if not re.fullmatch(r"/[\w/:.~@%+-]*", text, re.ASCII):
        raise SettingsError(f"{name} is {text!r}, but a path is wanted, such as /predict.")
    return text


def _origins(name: str, text: str) -> tuple[str, ...]:
    origins = tuple(text.replace(",", " ").split())
    for origin in origins:
        if not re.fullmatch(r"\*|https?://[A-Za-z0-9.:\[\]-]+", origin):
            raise SettingsError(f"{name} has {origin!r}, but origins such as https://example.com, or *, are wanted.")
    return origins


def _keys(name: str, text: str) -> tuple[bytes, ...]:
    try:
        return keys.digests(text)
    except keys.KeyFormatError as error:
        raise SettingsError(f"{name} cannot be used: {error}.") from error


def _key_file(name: str, text: str) -> tuple[bytes, ...]:
    try:
        content = Path(text).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name} is {text!r}, but that file cannot be read: {error}.") from error
    return _keys(name, content)


@dataclass(frozen=True)
class Settings:
    """Everything that an operator can set; each field's variable has its name in capitals.

    `drain_seconds` and `graceful_seconds` come one after the other and fit together into the 10 s of `docker stop`.
    """

    host: str = _set_by(
        _text,
        "0.0.0.0",  # noqa: S104 - inside the container; which interface is published is docker's `-p`
        "address to listen on, inside the container",
    )
    port: int = _set_by(
        _number(1, 65_535),
        5000,
        "port to listen on; SAGEMAKER_BIND_TO_PORT and AIP_HTTP_PORT, which their platforms set, win over it",
        before=("SAGEMAKER_BIND_TO_PORT", "AIP_HTTP_PORT"),
    )
    model_dir: Path = _set_by(  # noqa: RUF009 - a dataclasses.field, and a Path cannot change
        _path, Path("/model"), "directory with the model and its card"
    )
    workers: int = _set_by(
        _number(1, 256),
        1,
        "processes that answer",
        shown="the whole processors in the container's CPU quota and affinity",
    )
    threads: int = _set_by(_number(1, 256), 4, "threads in each of them")
    max_body_bytes: int = _set_by(_number(1, 1 << 30), 4 << 20, "longest body that is read; a longer one is a 413")
    max_rows: int = _set_by(_number(1, 10_000_000), 10_000, "most rows in one request; more are a 413")
    request_seconds: float = _set_by(
        _number(0.1, 3600, whole=False),
        30,
        "time that a client has to send a request, and as much again to take the answer",
    )
    api_keys: tuple[bytes, ...] = _set_by(
        _keys,
        (),
        "keys, separated by commas or white space, one of which every request but probes must carry as "
        "`Authorization: Bearer KEY`; a key may be written as `sha256:` and its digest",
        shown="",
        secret=True,
    )
    api_keys_file: tuple[bytes, ...] = _set_by(
        _key_file, (), "file with such keys; both sources count", shown="", secret=True
    )
    cors_origins: tuple[str, ...] = _set_by(
        _origins, (), "origins whose web pages may ask, separated by commas; `*` for all", shown=""
    )
    log_level: str = _set_by(
        _choice({level: level for level in log.LEVELS}),
        "info",
        "least level to log: debug, info, warning or error; a request answered 4xx is a warning, 5xx an error",
    )
    access_log: bool = _set_by(
        _choice({"on": True, "off": False}), default=True, shown="on", meaning="whether requests are logged: on or off"
    )
    drain_seconds: float = _set_by(
        _number(0, 600, whole=False),
        2,
        "time between the stop signal, when /readyz turns to 503, and the end of new connections",
    )
    graceful_seconds: int = _set_by(_number(1, 600), 6, "time after that for requests under way")
    aip_health_route: str = _set_by(_route, "", "path of Vertex AI's health checks, which it sets")
    aip_predict_route: str = _set_by(_route, "", "path of Vertex AI's predictions, which it sets")
    image_version: str = _set_by(_text, "unknown", "what /version tells; set in the image")
    image_revision: str = _set_by(_text, "unknown", "what /version tells; set in the image")
    workers_because: str = "default"
    """Why there are so many workers; not a variable."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings; raises SettingsError. An empty variable counts as unset."""
        share = cpu.share()
        values: dict[str, Any] = {"workers": share.processors, "workers_because": share.because}
        for each in fields(cls):
            names = (*each.metadata.get("before", ()), each.name.upper())
            name = next((name for name in names if environ.get(name)), None)
            if name and each.metadata:
                values[each.name] = each.metadata["read"](name, environ[name])
                if each.name == "workers":
                    values["workers_because"] = "set by WORKERS"
        return cls(**values)

    @classmethod
    def variables(cls) -> list[Variable]:
        """Give every variable, in order."""
        return [
            Variable(each.name.upper(), each.metadata["shown"], each.metadata["meaning"])
            for each in fields(cls)
            if each.metadata
        ]

    @property
    def all_api_keys(self) -> tuple[bytes, ...]:
        """The digests from both sources."""
        return (*self.api_keys, *self.api_keys_file)

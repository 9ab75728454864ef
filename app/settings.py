"""The service's configuration, read once from the environment; each variable is described beside its field."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from app import api_keys, cpu_limit, log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class SettingsError(ValueError):
    """A variable is wrong; the message says which one, what was found and what is wanted."""


class Variable(NamedTuple):
    """An environment variable, as --help shows it."""

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
    """Make a field whose value `read` makes from a variable's name and text; those in `before` win over its own."""
    metadata = {"read": read, "meaning": meaning, "shown": str(default) if shown is None else shown, "before": before}
    return field(default=default, repr=not secret, metadata=metadata)


def _read_number(lowest: float, highest: float, *, whole: bool = True) -> Callable[[str, str], float]:
    def read(name: str, text: str) -> float:
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            value = math.nan
        if not lowest <= value <= highest:
            kind = "a whole number" if whole else "a number"
            raise SettingsError(f"{name} is {text!r}: set {kind} from {lowest:g} to {highest:g}.")
        return value

    return read


def _read_choice(values: Mapping[str, object]) -> Callable[[str, str], object]:
    def read(name: str, text: str) -> object:
        if text.lower() not in values:
            raise SettingsError(f"{name} is {text!r}: set one of {', '.join(values)}.")
        return values[text.lower()]

    return read


def _read_text(_name: str, text: str) -> str:
    return text


def _read_path(_name: str, text: str) -> Path:
    return Path(text)


def _read_route(name: str, text: str) -> str:
    if not re.fullmatch(r"/[\w/:.~@%+-]*", text, re.ASCII):
        raise SettingsError(f"{name} is {text!r}: set a path, such as /predict.")
    return text


def _read_origins(name: str, text: str) -> tuple[str, ...]:
    origins = tuple(text.replace(",", " ").split())
    for origin in origins:
        if not re.fullmatch(r"\*|https?://[A-Za-z0-9.:\[\]-]+", origin):
            raise SettingsError(f"{name} has {origin!r}: set origins such as https://example.com, or *.")
    return origins


def _read_keys(name: str, text: str) -> tuple[bytes, ...]:
    try:
        return api_keys.digest_keys(text)
    except api_keys.KeyFormatError as error:
        raise SettingsError(f"{name} cannot be used: {error}.") from error


def _read_key_file(name: str, text: str) -> tuple[bytes, ...]:
    try:
        content = Path(text).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name} is {text!r}, a file that cannot be read: {error}.") from error
    return _read_keys(name, content)


@dataclass(frozen=True)
class Settings:
    """Everything that an operator can set; the variable of a field is its name in capitals.

    `drain_seconds` and `graceful_seconds` follow each other, and together fit into the 10 s of `docker stop`.
    """

    host: str = _set_by(
        _read_text,
        "0.0.0.0",  # noqa: S104 - inside the container; which interface is published is docker's `-p`
        "address to listen on, inside the container",
    )
    port: int = _set_by(
        _read_number(1, 65_535),
        5000,
        "port to listen on; SAGEMAKER_BIND_TO_PORT and AIP_HTTP_PORT, which their platforms set, override it",
        before=("SAGEMAKER_BIND_TO_PORT", "AIP_HTTP_PORT"),
    )
    model_dir: Path = _set_by(  # noqa: RUF009 - a dataclasses.field, and a Path cannot change
        _read_path, Path("/model"), "directory with the model and its card"
    )
    workers: int = _set_by(
        _read_number(1, 256),
        1,
        "worker processes",
        shown="the whole processors in the container's CPU quota and affinity",
    )
    threads: int = _set_by(_read_number(1, 256), 4, "threads in each worker")
    max_body_bytes: int = _set_by(_read_number(1, 1 << 30), 4 << 20, "longest body accepted; a longer one is a 413")
    max_rows: int = _set_by(_read_number(1, 10_000_000), 10_000, "most rows accepted in one request; more are a 413")
    request_seconds: float = _set_by(
        _read_number(0.1, 3600, whole=False),
        30,
        "time that a client has to send a request, and again to receive the response",
    )
    api_keys: tuple[bytes, ...] = _set_by(
        _read_keys,
        (),
        "keys, separated by commas or white space; every request except probes must send one as "
        "`Authorization: Bearer KEY`; a key can be written as `sha256:` and its digest",
        shown="",
        secret=True,
    )
    api_keys_file: tuple[bytes, ...] = _set_by(_read_key_file, (), "file with more keys", shown="", secret=True)
    cors_origins: tuple[str, ...] = _set_by(
        _read_origins, (), "origins whose web pages may send requests, separated by commas; `*` for all", shown=""
    )
    log_level: str = _set_by(
        _read_choice({level: level for level in log.LEVELS}),
        "info",
        "lowest level to log: debug, info, warning or error; a 4xx response is a warning, a 5xx response an error",
    )
    access_log: bool = _set_by(
        _read_choice({"on": True, "off": False}), default=True, shown="on", meaning="log each request: on or off"
    )
    drain_seconds: float = _set_by(
        _read_number(0, 600, whole=False),
        2,
        "time from the stop signal, when /readyz turns to 503, until new connections are refused",
    )
    graceful_seconds: int = _set_by(_read_number(1, 600), 6, "time after that for requests in flight")
    aip_health_route: str = _set_by(_read_route, "", "path of the health checks; set by Vertex AI")
    aip_predict_route: str = _set_by(_read_route, "", "path of the predictions; set by Vertex AI")
    image_version: str = _set_by(_read_text, "unknown", "shown by /version; set in the image")
    image_revision: str = _set_by(_read_text, "unknown", "shown by /version; set in the image")
    workers_because: str = "default"
    """Why this number of workers; not a variable."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings; an empty variable counts as unset. Raises SettingsError."""
        limit = cpu_limit.find_limit()
        values: dict[str, Any] = {"workers": limit.processors, "workers_because": limit.reason}
        for each in fields(cls):
            names = (*each.metadata.get("before", ()), each.name.upper())
            name = next((name for name in names if environ.get(name)), None)
            if name and each.metadata:
                values[each.name] = each.metadata["read"](name, environ[name])
                if each.name == "workers":
                    values["workers_because"] = "set by WORKERS"
        return cls(**values)

    @classmethod
    def list_variables(cls) -> list[Variable]:
        """Return every variable, in order."""
        return [
            Variable(each.name.upper(), each.metadata["shown"], each.metadata["meaning"])
            for each in fields(cls)
            if each.metadata
        ]

    @property
    def all_api_keys(self) -> tuple[bytes, ...]:
        """The digests from API_KEYS and API_KEYS_FILE."""
        return (*self.api_keys, *self.api_keys_file)

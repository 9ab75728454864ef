"""`python -m app`, or `python -m app serve`: answer HTTP with the model in MODEL_DIR."""

from __future__ import annotations

import time

_started = time.monotonic()

import os  # noqa: E402
import sys  # noqa: E402
import textwrap  # noqa: E402

# The workers already use every processor: a thread pool in each would only slow them. Read when numpy is imported.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

from app import log  # noqa: E402
from app.model import ModelError, Predictor  # noqa: E402
from app.server import Server  # noqa: E402
from app.settings import Settings, SettingsError  # noqa: E402

USAGE = "usage: python -m app [serve | --help]"


def main(arguments: list[str]) -> str | int:
    """Serve; return the exit status, or a message that says why the service did not start."""
    if arguments in (["--help"], ["-h"]):
        print(_format_help())  # noqa: T201
        return 0
    if arguments not in ([], ["serve"]):
        print(USAGE, file=sys.stderr)  # noqa: T201
        return 2
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    try:
        predictor = Predictor.load(settings.model_dir)
    except ModelError as error:
        return f"Not started: {error}. Set MODEL_DIR to a directory that training made with these libraries."
    log.configure(settings.log_level)
    Server(settings, predictor, _started).run()
    return 0


def _format_help() -> str:
    lines = [USAGE, "", "Serves a model over HTTP. Environment variables:", ""]
    for name, default, meaning in Settings.list_variables():
        text = f"{meaning} (default: {default or 'none'})"
        lines += textwrap.wrap(text, 100, initial_indent=f"  {name:<17} ", subsequent_indent=" " * 20)
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

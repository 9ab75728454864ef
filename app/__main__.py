"""`python -m app`, or `python -m app serve`: answer HTTP with the model in MODEL_DIR."""

from __future__ import annotations

import time

_began = time.monotonic()

import os  # noqa: E402
import sys  # noqa: E402
import textwrap  # noqa: E402

# The workers share the processors already; a thread pool in each would only get in their way. Read at numpy's import.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

from app import log  # noqa: E402
from app.model import ModelError, Predictor  # noqa: E402
from app.server import Server  # noqa: E402
from app.settings import Settings, SettingsError  # noqa: E402

USAGE = "usage: python -m app [serve | --help]"


def main(arguments: list[str]) -> str | int:
    """Serve; gives what the process exits with: a status, or the sentence that says why it cannot."""
    if arguments in (["--help"], ["-h"]):
        print(_help())  # noqa: T201
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
        return f"Not started: {error}."
    log.configure(settings.log_level)
    Server(settings, predictor, _began).run()
    return 0


def _help() -> str:
    lines = [USAGE, "", "Answers HTTP with a model. Set by environment variables:", ""]
    for name, default, meaning in Settings.variables():
        text = f"{meaning} (default: {default or 'none'})"
        lines += textwrap.wrap(text, 100, initial_indent=f"  {name:<17} ", subsequent_indent=" " * 20)
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

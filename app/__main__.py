"""`python -m app`, or `python -m app serve`: answer HTTP with the model in MODEL_DIR."""

from __future__ import annotations

import os
import sys

# The workers share the processors already; a thread pool in each would only get in their way. Read at numpy's import.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

from app.model import ModelError, Predictor  # noqa: E402
from app.server import Server  # noqa: E402
from app.settings import Settings, SettingsError  # noqa: E402


def main(arguments: list[str]) -> str | int:
    """Serve; gives what the process exits with: a status, or the sentence that says why it cannot."""
    if arguments not in ([], ["serve"]):
        print("usage: python -m app [serve]", file=sys.stderr)  # noqa: T201
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
    Server(settings, predictor).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

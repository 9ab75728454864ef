"""The model directory `build/model/`: what `./ship serve` answers with, trained here and not in an image."""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from scripts import BUILD, ROOT, grammar, process
from scripts.errors import Failure
from scripts.shipment import Shipment

DIRECTORY = BUILD / "model"
_MADE_OF = BUILD / "model.sha256"
_TRAINER = ("training", "app/model")


class Golden(msgspec.Struct):
    """A row whose prediction is known."""

    features: dict[str, str | bool | int | float | None]


class Card(msgspec.Struct):
    """What a request is made of, of a model's card."""

    golden: Annotated[list[Golden], msgspec.Meta(min_length=1)]


def train(what: Shipment, model_format: Literal["onnx", "joblib"] = "onnx") -> bool:
    """Train the model of `what` is shipped, unless the one that is there is made of the same; return whether it was.

    Raises Failure when the trainer refuses the table or the model.
    """
    fingerprint = _fingerprint(what, model_format)
    if DIRECTORY.exists() and _MADE_OF.exists() and _MADE_OF.read_text() == fingerprint:
        return False
    _MADE_OF.unlink(missing_ok=True)
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    options = {"data": what.path, "target": what.target, "name": what.name, "version": what.version}
    options |= {"format": model_format, "out": DIRECTORY}
    try:
        process.run(
            sys.executable, "-m", "training", *(f"--{name}={value}" for name, value in options.items()), cwd=ROOT
        )
    except Failure as refused:
        raise Failure("there is no model: the trainer says above why", "./ship serve, once that is mended") from refused
    if _fingerprint(what, model_format) == fingerprint:  # nothing changed meanwhile
        _MADE_OF.write_text(fingerprint)
    return True


def sources(what: Shipment) -> Iterator[Path]:
    """Give each file that the model is made of: the table, its description, the trainer and its libraries' lock."""
    yield what.path
    if (description := what.path.with_suffix(".toml")).exists():
        yield description
    for folder in _TRAINER:
        yield from sorted((ROOT / folder).rglob("*.py"))
    yield ROOT / "requirements/dev.txt"


def example(card: bytes, whose: str) -> str:
    """Return a request for the very model that has `card`: the first golden row. Raises Failure, with `whose` it is."""
    return json.dumps({"features": grammar.document(card, Card, whose).golden[0].features})


def _fingerprint(what: Shipment, model_format: str) -> str:
    """Return a sha256 over all that the model is made of."""
    total = hashlib.sha256(f"{what.target}\0{what.name}\0{what.version}\0{model_format}\0".encode())
    for path in sources(what):
        total.update(f"{path}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()

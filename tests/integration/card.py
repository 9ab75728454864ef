"""Golden rows of a model card, and values that its features refuse."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Card = dict[str, Any]
Row = dict[str, Any]

NO_CATEGORY = "no such category"


@dataclass(frozen=True)
class Fault:
    """A value that a feature refuses, its name in the answer, and whether it has the type of the feature."""

    name: str
    value: Any
    found: str
    typed: bool = False


def golden_rows(card: Card) -> list[Row]:
    """Return the golden rows, as objects by feature name."""
    return [golden["features"] for golden in card["golden"]]


def golden_predictions(card: Card) -> list[float]:
    return [golden["prediction"] for golden in card["golden"]]


def faults(card: Card) -> list[Fault]:
    """Return wrong values of every kind for each feature."""
    return [fault for feature in card["features"] for fault in _faults(feature)]


def _faults(feature: dict[str, Any]) -> Iterator[Fault]:
    name = feature["name"]
    yield Fault(name, value=True, found="true")
    yield Fault(name, [80], "a list")
    yield Fault(name, {}, "an object")
    if not feature["missing"]:
        yield Fault(name, None, "null")
    if feature["type"] == "category":
        yield Fault(name, NO_CATEGORY, NO_CATEGORY, typed=True)
        yield Fault(name, 3, "3")
        return
    yield Fault(name, "large", "large")
    if feature["type"] == "integer":
        yield Fault(name, 2.5, "2.5")
        yield Fault(name, 10**400, "a very large integer")
    if feature["range"]:
        lowest = feature["range"][0]
        below = int(lowest - max(1, abs(lowest)))
        yield Fault(name, below, str(below), typed=True)

"""The model in an image: its card, checked against the model file, and what CycloneDX says of it.

Source of the format: https://cyclonedx.org/docs/1.6/json/#components_items_modelCard
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.component_evidence import ComponentEvidence, Occurrence
from cyclonedx.model.license import License

from scripts.errors import Failure

CARD = "model/card.json"
# The names by which a bill refers to the two components.
MODEL, DATA = "model", "data"
# Sections of the card that CycloneDX has no place for: each value is a property `shipshape:SECTION:KEY`.
SECTIONS = ("split", "gate", "cross_validation", "interval", "training", "runtime")


@dataclass(frozen=True)
class ModelCard:
    """What `card.json` says, as it stands there."""

    card: Mapping[str, Any]

    @property
    def file(self) -> str:
        return f"model/model.{self.card['format']}"

    @property
    def runtime(self) -> list[str]:
        """The Python packages that answer with it."""
        return sorted(self.card["runtime"])

    def model(self, licences: list[License]) -> Component:
        """Return the model as a component; `licences` are the image's, which has no other for its model."""
        return Component(
            type=ComponentType.MACHINE_LEARNING_MODEL,
            bom_ref=MODEL,
            name=self.card["name"],
            version=self.card["version"],
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=self.card["sha256"])],
            licenses=licences,
            evidence=ComponentEvidence(occurrences=[Occurrence(location=f"/{self.file}")]),
        )

    def data(self) -> Component:
        """Return the table that it was trained on, which is not in the image, as a component."""
        data = self.card["data"]
        return Component(
            type=ComponentType.DATA,
            bom_ref=DATA,
            name=data["source"],
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=data["sha256"])],
            properties=[Property(name="shipshape:rows", value=str(data["rows"]))],
        )

    def cyclonedx(self) -> dict[str, Any]:
        """Return the `modelCard` of CycloneDX: what it was trained on, what it takes and gives, and how well.

        Written by hand, because cyclonedx-python-lib 11.12 has no class for it (its issue 912).
        """
        card, target = self.card, self.card["target"]
        return {
            "modelParameters": {
                "approach": {"type": "supervised"},
                "task": "regression",
                "datasets": [{"ref": DATA}],
                "inputs": [{"format": _value(one["name"], one["type"], one["unit"])} for one in card["features"]],
                "outputs": [{"format": _value(target["name"], "number", target["unit"])}],
            },
            "quantitativeAnalysis": {
                "performanceMetrics": [
                    {"type": metric, "value": str(value), "slice": part}
                    for part, who in (("hold-out", "model"), ("hold-out, baseline", "baseline"))
                    for metric, value in card["metrics"][who].items()
                ]
            },
            "properties": [
                {"name": f"shipshape:{section}:{key}", "value": value if isinstance(value, str) else json.dumps(value)}
                for section in SECTIONS
                for key, value in card[section].items()
            ],
        }


def read(files: Mapping[str, bytes]) -> ModelCard:
    """Return the card among the `files` of an image. Raises Failure when it or its model is not there."""
    try:
        found = ModelCard(json.loads(files[CARD]))
        model = files[found.file]
        digest = found.card["sha256"]
    except (KeyError, ValueError, TypeError) as missing:
        raise Failure(f"the image has no /{CARD} with the model that it describes") from missing
    if hashlib.sha256(model).hexdigest() != digest:
        raise Failure(f"/{CARD} in the image is of another model than the one beside it")
    return found


def _value(name: str, kind: str, unit: str | None) -> str:
    return f"{name}: {kind}, {unit}" if unit else f"{name}: {kind}"

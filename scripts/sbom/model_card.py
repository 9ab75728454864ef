"""The model in an image: its card, checked against the model file, and its form in CycloneDX.

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
# The references of the two components in a bill.
MODEL, DATA = "model", "data"
# Card sections without a counterpart in CycloneDX: each value becomes a property `shipshape:SECTION:KEY`.
SECTIONS = ("split", "gate", "cross_validation", "interval", "training", "runtime")


@dataclass(frozen=True)
class ModelCard:
    """The content of `card.json`."""

    card: Mapping[str, Any]

    @property
    def file(self) -> str:
        return f"model/model.{self.card['format']}"

    @property
    def runtime(self) -> list[str]:
        """The Python packages that the model runs on."""
        return sorted(self.card["runtime"])

    def model(self, licences: list[License]) -> Component:
        """Return the model as a component; `licences` are those of the image."""
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
        """Return the training table, which is not in the image, as a component."""
        data = self.card["data"]
        return Component(
            type=ComponentType.DATA,
            bom_ref=DATA,
            name=data["source"],
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=data["sha256"])],
            properties=[Property(name="shipshape:rows", value=str(data["rows"]))],
        )

    def cyclonedx(self) -> dict[str, Any]:
        """Return CycloneDX's `modelCard`: training data, inputs, outputs and metrics.

        Built by hand, because cyclonedx-python-lib 11.12 has no class for it (its issue 912).
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
    """Return the card among the `files` of an image. Raises Failure when it or its model is missing."""
    try:
        found = ModelCard(json.loads(files[CARD]))
        model = files[found.file]
        digest = found.card["sha256"]
    except (KeyError, ValueError, TypeError) as missing:
        raise Failure(f"the image has no /{CARD} with its model") from missing
    if hashlib.sha256(model).hexdigest() != digest:
        raise Failure(f"/{CARD} in the image describes another model than the one beside it")
    return found


def _value(name: str, kind: str, unit: str | None) -> str:
    return f"{name}: {kind}, {unit}" if unit else f"{name}: {kind}"

"""The joblib format: the fitted scikit-learn pipeline itself."""

from pathlib import Path

import pytest

from tests.integration.checkout import Checkout, build, clone
from tests.integration.registry import Registry, pulled
from tests.integration.service import started_service


def test_the_joblib_image_gives_the_golden_predictions(checkout: Checkout, registry: Registry, tmp_path: Path) -> None:
    other = build(clone(checkout, tmp_path / "joblib"), "--model-format", "joblib")

    with pulled(registry, other.layout, other.image["digest"]) as reference, started_service(reference) as service:
        card = service.card
        answer = service.predict([golden["features"] for golden in card["golden"]]).json()

    assert card["format"] == other.image["model_format"] == "joblib"
    assert answer["prediction"] == pytest.approx([golden["prediction"] for golden in card["golden"]], rel=1e-6)

"""Anyone can rebuild the image, bit for bit, from its commit."""

from pathlib import Path
from typing import Any

from tests.integration.checkout import Checkout, build, clone
from tests.integration.container import native_platform


def test_two_builds_without_cache_from_two_directories_are_one_digest(
    built_checkout: Checkout, built: dict[str, Any], tmp_path: Path
) -> None:
    second = build(clone(built_checkout, tmp_path / "elsewhere"), "--no-cache")

    assert second.image["digest"] == built_checkout.image["digest"]
    if built["revision"] == built_checkout.image["revision"]:  # nothing was uncommitted when ./ship build ran
        assert built["platforms"][native_platform()] == built_checkout.image["digest"]

"""`./ship integration`: the built image, by digest, tested from outside."""

from scripts import images
from scripts.build import built
from scripts.suite import run_suite


def integration() -> str:
    """Run the integration tests against what `build/image.json` names; return how many passed and the digest."""
    image = built()
    environment = {
        "REGISTRY_IMAGE": images.reference(images.REGISTRY),
        "PYTHON_IMAGE": images.reference(images.PYTHON),
        # Ryuk, which cleans up behind testcontainers, is an image of its own; the fixtures clean up themselves.
        "TESTCONTAINERS_RYUK_DISABLED": "true",
    }
    return f"{run_suite('tests/integration', environment)}, {image.digest}"

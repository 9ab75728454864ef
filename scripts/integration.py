"""`./ship integration`: the built image, by digest, tested from outside."""

import json

from scripts import images
from scripts.build import built
from scripts.project import BUILD
from scripts.suite import run_suite

RECORD = BUILD / "tested.json"


def integration() -> str:
    """Run the integration tests against what `build/image.json` names; return how many passed and the digest."""
    image = built()
    environment = {
        "REGISTRY_IMAGE": images.reference(images.REGISTRY),
        "PYTHON_IMAGE": images.reference(images.PYTHON),
        # Ryuk, which cleans up behind testcontainers, is an image of its own; the fixtures clean up themselves.
        "TESTCONTAINERS_RYUK_DISABLED": "true",
    }
    RECORD.unlink(missing_ok=True)
    counts = run_suite("tests/integration", environment)
    RECORD.write_text(json.dumps({"digest": image.digest, "result": counts}, indent=2) + "\n")
    return f"{counts}, {image.digest}"


def tested() -> str:
    """Return the digest that passed the integration tests last; nothing when none did."""
    return str(json.loads(RECORD.read_bytes())["digest"]) if RECORD.exists() else ""

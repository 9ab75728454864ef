"""`./ship integration`: the built image, by digest, tested from outside."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts import images
from scripts.build import built
from scripts.failure import Failure
from scripts.process import output
from scripts.project import BUILD
from scripts.source import source
from scripts.suite import Counts, run_suite

RECORDS = BUILD / "tested"
SUITES = {"all": "tests/integration", "image": "tests/integration/image"}


@dataclass(frozen=True)
class Passed:
    """That a digest passed a suite on one platform: what `build/tested/OS-ARCHITECTURE.json` says."""

    digest: str
    platform: str
    suite: str
    counts: Counts


def integration(*, only: str = "all") -> str:
    """Run the integration tests against what `build/image.json` names; return how many passed and the digest.

    They run on this machine's platform. `only="image"` leaves out the tests of the pipeline, which build images of
    their own from the example: they say nothing new on a second platform, nor of another model.
    """
    image, platform = built(), output("docker", "version", "--format", "{{.Server.Os}}/{{.Server.Arch}}")
    if platform not in image.platforms:
        raise Failure(f"the image is for {', '.join(image.platforms)}, and this machine is {platform}", "./ship build")
    model = source()
    if (image.name, image.data, image.target) != (model.name, model.data, model.target):
        raise Failure(
            f"the image predicts {image.target} from {image.data} as {image.name}, "
            f"not {model.target} from {model.data} as {model.name}",
            "set SOURCE, DATA, TARGET and NAME as they were for it, or ./ship build",
        )
    suite = SUITES[only if model.is_example else "image"]
    environment = {
        "REGISTRY_IMAGE": images.reference(images.REGISTRY),
        "PYTHON_IMAGE": images.reference(images.PYTHON),
        # Ryuk, which cleans up behind testcontainers, is an image of its own; the fixtures clean up themselves.
        "TESTCONTAINERS_RYUK_DISABLED": "true",
        "TABLE": str(model.table),  # the model is trained from it once more, beside the image
    }
    record = _record(platform)
    record.unlink(missing_ok=True)
    counts = run_suite(suite, environment)
    RECORDS.mkdir(exist_ok=True)
    record.write_text(json.dumps(asdict(Passed(image.digest, platform, suite, counts)), indent=2) + "\n")
    return f"{counts}, {image.digest}"


def tested() -> list[Passed]:
    """Return a record for each platform of the built image. Raises Failure when this digest did not pass on one."""
    image, found = built(), []
    for platform in image.platforms:
        try:
            fields = json.loads(_record(platform).read_bytes())
            record = Passed(**{**fields, "counts": Counts(**fields["counts"])})
        except (OSError, ValueError, TypeError, KeyError):
            record = None
        if record is None or record.digest != image.digest:
            raise Failure(
                f"{image.digest} has not passed the integration tests on {platform}",
                f"./ship integration, on a {platform} machine",
            )
        found.append(record)
    return found


def _record(platform: str) -> Path:
    return RECORDS / f"{platform.replace('/', '-')}.json"

"""`./ship integration`: the built image, by digest, tested from outside."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts import BUILD
from scripts.errors import Failure
from scripts.grammar import Digest, Platform, document
from scripts.host import images
from scripts.oci import platforms
from scripts.shipment import source
from scripts.stages.build import built
from scripts.suite import Counts, run_suite

RECORDS = BUILD / "tested"
SUITES = {"all": "tests/integration", "image": "tests/integration/image"}
NIGHTLY = "tests/integration/nightly"
# What is asked of an image under emulation: what it predicts. How long it takes, how it stops and what it needs say
# something about QEMU there, not about the image.
EMULATED = "tests/integration/image/test_predict.py"


@dataclass(frozen=True)
class Passed:
    """That a digest passed a suite on one platform: what `build/tested/OS-ARCHITECTURE.json` says."""

    digest: Digest
    platform: Platform
    suite: str
    counts: Counts


def integration(*, only: str = "all", platform: Platform | None = None) -> str:
    """Run the integration tests against what `build/image.json` names; return how many passed and the digest.

    They run on this machine's platform. `only="image"` leaves out the tests of the pipeline, which build images of
    their own from the example: they say nothing new on a second platform, nor of another model. `only="nightly"` runs
    those that take too long for every change; they say nothing of the built image, so nothing is recorded. Another
    `platform` is emulated, and only EMULATED is run and recorded. Raises Failure when the image is not for that
    platform or not of that model, or when the engine cannot run it.
    """
    image, native = built(), platforms.native()
    platform = platform or native
    if platform not in image.platforms:
        raise Failure(
            f"the image is for {', '.join(image.platforms)}, and {platform} is to be tested",
            f"./ship build --platform {platform}",
        )
    if platform not in platforms.runnable():
        raise Failure(
            f"this machine cannot run {platform}",
            f"./ship setup --platform {platform} --emulate, or ./ship integration --only image on such a machine",
        )
    model = source()
    if (image.name, image.data, image.target) != (model.name, model.data, model.target):
        raise Failure(
            f"the image predicts {image.target} from {image.data} as {image.name}, "
            f"not {model.target} from {model.data} as {model.name}",
            "set SOURCE, DATA, TARGET and NAME as they were for it, or ./ship build",
        )
    environment = {
        "REGISTRY_IMAGE": images.reference(images.REGISTRY),
        "PYTHON_IMAGE": images.reference(images.PYTHON),
        "IMAGE_PLATFORM": platform,
        # Ryuk, which cleans up behind testcontainers, is an image of its own; the fixtures clean up themselves.
        "TESTCONTAINERS_RYUK_DISABLED": "true",
        "TABLE": str(model.table),  # the model is trained from it once more, beside the image
    }
    if only == "nightly":
        return str(run_suite(NIGHTLY, environment))
    suite = SUITES[only if model.is_example else "image"] if platform == native else EMULATED
    record = _record(platform)
    record.unlink(missing_ok=True)
    counts = run_suite(suite, environment)
    RECORDS.mkdir(exist_ok=True)
    record.write_text(json.dumps(asdict(Passed(image.digest, platform, suite, counts)), indent=2) + "\n")
    emulated = "" if platform == native else f" on an emulated {platform} ({suite})"
    return f"{counts}{emulated}, {image.digest}"


def tested() -> list[Passed]:
    """Return a record for each platform of the built image. Raises Failure when this digest did not pass on one."""
    image, found = built(), []
    for platform in image.platforms:
        again = f"./ship integration on a {platform} machine, or ./ship integration --platform {platform}"
        try:
            record = document(_record(platform).read_bytes(), Passed, f"{_record(platform)}", again)
        except OSError:
            record = None
        if record is None or (record.digest, record.platform) != (image.digest, platform):
            raise Failure(f"{image.digest} has not passed the integration tests on {platform}", again)
        if record.suite not in {*SUITES.values(), EMULATED} or record.counts.failed or not record.counts.passed:
            raise Failure(f"{image.digest} was tested with {record.suite}: {record.counts}", again)
        found.append(record)
    return found


def _record(platform: str) -> Path:
    return RECORDS / f"{platform.replace('/', '-')}.json"

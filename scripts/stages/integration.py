"""`./ship integration`: the built image, by digest, tested from outside."""

from scripts import artifacts
from scripts.artifacts import EMULATED, SUITES, Passed, built
from scripts.errors import Failure
from scripts.grammar import Platform
from scripts.host import engine, images
from scripts.shipment import shipment
from scripts.suite import run_suite

NIGHTLY = "tests/integration/nightly"


def integration(*, only: str = "all", platform: Platform | None = None) -> str:
    """Run the integration tests against what `build/image.json` names; return how many passed and the digest.

    They run on this machine's platform. `only="image"` leaves out the tests of the pipeline, which build images of
    their own from the example: they say nothing new on a second platform, nor of another model. `only="nightly"` runs
    those that take too long for every change; they say nothing of the built image, so nothing is recorded. Another
    `platform` is emulated, and only EMULATED is run and recorded. Raises Failure when the image is not for that
    platform or not of that model, or when the engine cannot run it.
    """
    image, native = built(), engine.platform()
    platform = platform or native
    if platform not in image.platforms:
        raise Failure(
            f"the image is for {', '.join(image.platforms)}, and {platform} is to be tested",
            f"./ship build --platform {platform}",
        )
    if platform not in engine.runnable():
        raise Failure(
            f"this machine cannot run {platform}",
            f"./ship setup --platform {platform} --emulate, or ./ship integration --only image on such a machine",
        )
    what = shipment()
    if (image.name, image.data, image.target) != (what.name, what.table, what.target):
        raise Failure(
            f"the image predicts {image.target} from {image.data} as {image.name}, "
            f"not {what.target} from {what.table} as {what.name}",
            "./ship build",
        )
    environment = {
        "SHIP_REGISTRY_IMAGE": images.reference(images.REGISTRY),
        "SHIP_PYTHON_IMAGE": images.reference(images.PYTHON),
        "IMAGE_PLATFORM": platform,
        # Ryuk, which cleans up behind testcontainers, is an image of its own; the fixtures clean up themselves.
        "TESTCONTAINERS_RYUK_DISABLED": "true",
        "TABLE": str(what.path),  # the model is trained from it once more, beside the image
    }
    if only == "nightly":
        return str(run_suite(NIGHTLY, environment, by_module=True))
    suite = SUITES[only if what.is_example else "image"] if platform == native else EMULATED
    artifacts.forget_tests(platform)
    counts = run_suite(suite, environment, by_module=True)
    artifacts.keep(Passed(image.digest, platform, suite, counts))
    emulated = "" if platform == native else f" on an emulated {platform} ({suite})"
    return f"{counts}{emulated}, {image.digest}"

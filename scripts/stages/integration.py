"""`./ship integration`: the built image, by digest, tested from outside."""

from collections.abc import Mapping, Sequence

from scripts import artifacts
from scripts.artifacts import EMULATED, SUITES, Built, Passed, built
from scripts.checkout import commit
from scripts.console import say
from scripts.errors import Failure
from scripts.grammar import Platform
from scripts.host import engine, images
from scripts.shipment import shipment
from scripts.suite import run_selected, run_suite

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
    _check(image, platform)
    suite, environment = _suite(only, platform), _environment(platform)
    if suite == NIGHTLY:
        return str(run_suite(suite, environment, by_module=True))
    artifacts.forget_tests(platform)
    counts = run_suite(suite, environment, by_module=True)
    artifacts.keep(Passed(image.digest, platform, suite, counts))
    emulated = "" if platform == native else f" on an emulated {platform} ({suite})"
    return f"{counts}{emulated}, {image.digest}"


def integration_of(arguments: Sequence[str], *, only: str = "all", platform: Platform | None = None) -> int:
    """Run pytest with `arguments` against the built image, on this terminal, and return its exit status.

    What was selected says nothing of the rest: no result is kept, and one that is there stays.
    """
    image, platform = built(), platform or engine.platform()
    _check(image, platform)
    if (here := commit().work_tree) != image.pipeline:
        say(f"  the image is of {image.pipeline}, and the work tree is {here}: ./ship build makes a new one")
    return run_selected(_suite(only, platform), arguments, _environment(platform))


def _check(image: Built, platform: Platform) -> None:
    """Raise Failure where `image` is not for `platform` or not of what is shipped, or cannot be run here."""
    if platform not in image.platforms:
        raise Failure(
            f"the image is for {', '.join(image.platforms)}, and {platform} is to be tested",
            f"./ship build --platform {platform}",
        )
    if platform not in engine.runnable_platforms():
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


def _suite(only: str, platform: Platform) -> str:
    if only == "nightly":
        return NIGHTLY
    return SUITES[only if shipment().is_example else "image"] if platform == engine.platform() else EMULATED


def _environment(platform: Platform) -> Mapping[str, str]:
    """Return the variables for the tests."""
    return {
        "SHIP_REGISTRY_IMAGE": images.reference(images.REGISTRY),
        "SHIP_PYTHON_IMAGE": images.reference(images.PYTHON),
        "IMAGE_PLATFORM": platform,
        # Ryuk, which cleans up behind testcontainers, is an image of its own; the fixtures clean up themselves.
        "TESTCONTAINERS_RYUK_DISABLED": "true",
        "TABLE": str(shipment().path),  # the model is trained from it once more, beside the image
    }

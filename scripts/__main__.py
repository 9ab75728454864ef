"""The command line: `./ship [STAGE]`."""

# ruff: noqa: PLC0415 - each command imports its own stage: `./ship --help` and `./ship down` need no other.
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import click

from scripts import platforms, terminal
from scripts.failure import Failure
from scripts.project import BUILD


def _platforms(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[str, ...]:
    try:
        return platforms.parse(text) if text is not None else ()
    except ValueError as wrong:
        raise click.BadParameter(str(wrong)) from wrong


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--again", is_flag=True, help="Run lint, unit and integration even where nothing changed.")
@click.pass_context
def ship(context: click.Context, *, again: bool) -> None:
    r"""From a table of data to one tested image in every registry.

    Without a STAGE, the whole way: setup, lint, unit, build, integration, publish. What passed for the same files and
    the same image is not repeated. Each stage can be run by its name, and is what the workflows on GitHub run.

    \b
    Environment:
      REGISTRIES      repositories to publish to, separated by spaces, such as
                      "docker.io/me/house-price ghcr.io/me/house-price"
                      (default: two local registries that stand for these)
      PYTHON_IMAGE    base image, instead of the one pinned in the Dockerfile
      REGISTRY_IMAGE  image of the local registries
      PORT            port of ./ship up (default: 5000)
    """
    if context.invoked_subcommand:
        return
    from scripts import pipeline
    from scripts.publish import check_publishable, published

    check_publishable()
    pipeline.pipeline(pipeline.SHIP, again=again)
    terminal.say(f"Shipped. To run it: ./ship up, or docker run --rm -p 5000:5000 {published()}")


@ship.command()
def test() -> None:
    """Set up, lint, unit tests, build, and the image's integration tests: all of it, every time."""
    from scripts import pipeline

    pipeline.pipeline(pipeline.TEST, again=True)


@ship.command()
@click.option("--platform", "wanted", callback=_platforms, help="To build for, as in linux/amd64,linux/arm64.")
@click.option("--emulate", is_flag=True, help="Install QEMU, to also run images for these platforms.")
def setup(wanted: tuple[str, ...], *, emulate: bool) -> None:
    """Provide the Docker engine, its tools and the images to start from; keeps what is there."""
    from scripts.setup import setup as work

    _stage("setup", lambda: work(wanted=wanted, emulate=emulate))


@ship.command()
def lint() -> None:
    """Read every file with the linter made for it."""
    from scripts.lint import lint as work

    _stage("lint", work)


@ship.command()
def unit() -> None:
    """Run the unit tests: no network, no Docker."""
    from scripts.unit import unit as work

    _stage("unit", work)


@ship.command()
@click.option("--model-format", type=click.Choice(["onnx", "joblib"]), default="onnx", show_default=True)
@click.option(
    "--platform", "wanted", callback=_platforms, help="As in linux/amd64,linux/arm64 (default: this machine's)."
)
@click.option("--no-cache", is_flag=True, help="Run every step again, as on a machine that never built before.")
def build(model_format: str, wanted: tuple[str, ...], *, no_cache: bool) -> None:
    """Build the image into build/image/ (an OCI layout) and describe it in build/image.json."""
    from scripts.build import build as work

    _stage("build", lambda: work(model_format=model_format, wanted=wanted, cache=not no_cache))


@ship.command()
@click.option(
    "--only",
    type=click.Choice(["all", "image"]),
    default="all",
    show_default=True,
    help="image: without the tests of the pipeline itself, which say nothing new on a second platform.",
)
@click.option(
    "--platform",
    type=click.Choice(platforms.SUPPORTED),
    help="Another than this machine's is emulated, and only asked for predictions.",
)
def integration(only: str, platform: str | None) -> None:
    """Start the built image by its digest and test it from outside."""
    from scripts.integration import integration as work

    _stage("integration", lambda: work(only=only, platform=platform))


@ship.command()
@click.option("--unless-released", is_flag=True, help="Where the version is out already, tag sha-<commit> only.")
def publish(*, unless_released: bool) -> None:
    """Copy the built image to every registry under its version; never moves a version."""
    from scripts.publish import publish as work

    _stage("publish", lambda: work(unless_released=unless_released))


@ship.command()
def up() -> None:
    """Run the published image on this machine."""
    from scripts.environment import up as work

    _stage("up", work)


@ship.command()
def down() -> None:
    """Stop what `up` started."""
    from scripts.environment import down as work

    _stage("down", work)


@ship.command()
@click.option("--peers", type=click.Choice(["default", "all"]), default="default", show_default=True)
@click.option("--quick", is_flag=True, help="A minute or two, to see that it works; the figures mean little.")
def bench(peers: str, *, quick: bool) -> None:
    """Measure the built image beside its peers, and write docs/benchmarks.md."""
    from scripts.bench import bench as work

    _stage("bench", lambda: work(everyone=peers == "all", quick=quick))


@ship.command()
@click.option("--upgrade", is_flag=True, help="Take the newest versions that pyproject.toml allows.")
def lock(*, upgrade: bool) -> None:
    """Write the hash-locked requirements files from pyproject.toml."""
    from scripts.lock import lock as work

    _stage("lock", lambda: work(upgrade=upgrade))


def _stage(name: str, work: Callable[[], str]) -> None:
    """Run one stage in the open, and keep its result for the table of `./ship` and the summary of a workflow."""
    try:
        with terminal.stage(name) as result:
            result.append(work())
    except Failure as failure:
        _keep(name, f"failed: {failure.reason}")
        raise
    _keep(name, result[0])


def _keep(name: str, result: str) -> None:
    BUILD.mkdir(exist_ok=True)
    (BUILD / f"{name}.result").write_text(result)
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(path).open("a") as summary:
            summary.write(f"**{name}**: {result}\n\n")


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run the command line and return the exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _terminated)
    try:
        ship(prog_name="./ship", standalone_mode=False)
    except Failure as failure:
        terminal.report(failure)
        return 1
    except click.ClickException as wrong:
        wrong.show()
        return wrong.exit_code
    except (KeyboardInterrupt, click.Abort):
        terminal.say("Interrupted. What was begun has been cleaned up; run it again to go on.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

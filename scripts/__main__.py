"""The command line: `./ship [STAGE]`."""

# ruff: noqa: PLC0415 - each command imports its own stage: `./ship --help` and `./ship down` need no other.
import errno
import io
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Literal

import click
from click.shell_completion import CompletionItem

from scripts import BUILD, artifacts, completion, console, pipeline, variables
from scripts.environments.record import ENVIRONMENTS
from scripts.errors import Failure
from scripts.github import actions
from scripts.grammar import Digest, Platform
from scripts.oci import platforms

ENVIRONMENT = click.Choice(ENVIRONMENTS)
# Debian 12, whose engine is too old and is replaced; Debian 13; and testing, which has the newest.
SUITES = ("bookworm", "trixie", "forky")


SECTIONS = {
    "Ship it": ("setup", "build", "scan", "publish", "release"),
    "Check it": ("test", "format", "lint", "unit", "integration", "verify", "reproduce", "mutate", "bench"),
    "Run it": ("serve", "up", "shell", "down", "promote", "submit", "rollback", "status"),
    "Keep it": ("shipment", "doctor", "lock", "completion"),
}
"""The commands as `--help` groups them."""


class Commands(click.Group):
    """The commands of `./ship`, grouped, with the variables that they read."""

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what `--help` says of the commands and variables."""
        for title, names in SECTIONS.items():
            with formatter.section(title):
                found = [(name, self.get_command(context, name)) for name in names]
                formatter.write_dl([(name, command.get_short_help_str(90)) for name, command in found if command])
        with formatter.section("Variables"):
            formatter.write_dl(list(variables.MEANINGS.items()))


def _platforms(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[Platform, ...]:
    try:
        return platforms.parse(text) if text is not None else ()
    except ValueError as wrong:
        raise click.BadParameter(str(wrong)) from wrong


def _files(_context: click.Context, _argument: click.Parameter, typed: str) -> list[CompletionItem[str]]:
    return [CompletionItem(typed, type="file")]


# What is typed is pytest's, option or not. `-h` too, since `-kheader` has one in it.
PYTEST = {"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": ["--help"]}
PYTEST_ARGUMENTS = click.argument(
    "arguments", metavar="[PYTEST_ARGS]...", nargs=-1, type=click.UNPROCESSED, shell_complete=_files
)


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--again", is_flag=True, help="Run lint, unit and integration even where nothing changed.")
@click.pass_context
def ship(context: click.Context, *, again: bool) -> None:
    """From a table of data to one tested image in every registry.

    Without a COMMAND, the whole way: setup, lint, unit, build, scan, integration, publish, release. What passed for the
    same files and the same image is not repeated, but the scan is. Each stage can be run by its name, and is what the
    workflows on GitHub run.

    ship.toml says what is shipped, and a variable overrides it. What belongs to other programs keeps its name:
    COSIGN_*, DOCKER_*, NO_COLOR, and PORT, where ./ship up and ./ship serve listen.
    """
    variables.check()
    if context.invoked_subcommand:
        return
    from scripts import shipment
    from scripts.artifacts import published
    from scripts.stages.publish import check_publishable

    check_publishable()
    pipeline.run(pipeline.ship(shipment.platforms()), again=again)
    console.say(f"Shipped. To run it: ./ship up, or docker run --rm -p 5000:5000 {published()}")


@ship.command()
@click.option(
    "--on", type=click.Choice(SUITES), help="Test the image on a bare machine of this Debian release instead."
)
def test(on: str | None) -> None:
    """Set up, lint, unit tests, build, and the integration tests: all of it, every time.

    With --on, the commit is built and its image is tested in a container that starts as a bare machine of another
    Debian release, with the Docker engine of that release: bookworm and trixie have 26.1 with buildx 0.13, forky has
    the newest that Debian has. The digest must be the one that is built here.
    """
    if not on:
        pipeline.run(pipeline.TEST, again=True)
        return
    from scripts.stages import elsewhere

    elsewhere.check()
    pipeline.run((("setup",), ("build",)), again=True)
    _stage("test", lambda: elsewhere.test_on(on))


@ship.command()
@click.option("--platform", "wanted", callback=_platforms, help="To build for, as in linux/amd64,linux/arm64.")
@click.option("--emulate", is_flag=True, help="Install QEMU, to also run images for these platforms.")
def setup(wanted: tuple[Platform, ...], *, emulate: bool) -> None:
    """Provide the Docker engine, its tools and the images to start from; keeps what is there."""
    from scripts.stages.setup import setup as work

    _stage("setup", lambda: work(wanted=wanted, emulate=emulate))


@ship.command("format")
def format_code() -> None:
    """Write Python as ruff does, and apply its safe fixes. ./ship lint shows what is left."""
    from scripts.stages.format import format_code as work

    _stage("format", work)


@ship.command()
@click.argument("files", nargs=-1, shell_complete=_files)
def lint(files: tuple[str, ...]) -> None:
    """Read every file with the linter made for it, or these FILES alone.

    \b
      ./ship lint
      ./ship lint Dockerfile app/predict.py
    """  # noqa: D301 - click wants the character \b, not two
    from scripts.stages.lint import lint as work

    _stage("lint", lambda: work(files))


@ship.command(context_settings=PYTEST)
@PYTEST_ARGUMENTS
def unit(arguments: tuple[str, ...]) -> None:
    """Run the unit tests: no network, no Docker. PYTEST_ARGS select some of them.

    With arguments it is pytest that runs: its output, its exit status, and nothing is written down.

    \b
      ./ship unit
      ./ship unit tests/unit/app -k header -x
      ./ship unit --last-failed --pdb
    """  # noqa: D301 - click wants the character \b, not two
    from scripts.stages import unit as work

    if arguments:
        sys.exit(work.unit_of(arguments))
    _stage("unit", work.unit)


@ship.command()
@click.argument("path", metavar="[PATH]", default="")
@click.option("--write", is_flag=True, help="Write the score and the survivors into docs/testing.md, too.")
def mutate(path: str, *, write: bool) -> None:
    """Change the code in small wrong ways, and see that a unit test fails each time.

    All of it takes a quarter of an hour on four cores. PATH limits it to a file or a folder; even then all unit tests
    run once first. docs/testing.md says what to do with what survives.
    """
    if path and write:
        raise click.UsageError("docs/testing.md has the score of everything: --write takes no PATH")
    from scripts.stages.mutate import mutate as work

    _stage("mutate", lambda: work(path, write=write))


@ship.command()
@click.option("--model-format", type=click.Choice(["onnx", "joblib"]), default="onnx", show_default=True)
@click.option(
    "--platform", "wanted", callback=_platforms, help="As in linux/amd64,linux/arm64 (default: this machine's)."
)
@click.option("--no-cache", is_flag=True, help="Run every step again, as on a machine that never built before.")
def build(model_format: Literal["onnx", "joblib"], wanted: tuple[Platform, ...], *, no_cache: bool) -> None:
    """Build the image into build/image/ (an OCI layout) and describe it in build/image.json."""
    from scripts.stages.build import build as work

    _stage("build", lambda: work(model_format=model_format, wanted=wanted, cache=not no_cache))


@ship.command()
@click.option("--allow-unchecked", is_flag=True, help="In CI, go on where advisories cannot be asked for.")
def scan(*, allow_unchecked: bool) -> None:
    """Write the image's bill of materials, and look for known vulnerabilities of what is in it."""
    from scripts.stages.scan import scan as work

    _stage("scan", lambda: work(allow_unchecked=allow_unchecked))


@ship.command(context_settings=PYTEST)
@click.option(
    "--only",
    type=click.Choice(["all", "image", "nightly"]),
    default="all",
    show_default=True,
    help="all: image and pipeline. image: without the tests of the pipeline itself, which say nothing new on a second "
    "platform. "
    "nightly: those that take too long for every change.",
)
@click.option(
    "--platform",
    type=click.Choice(platforms.SUPPORTED),
    help="Another than this machine's is emulated, and only asked for predictions.",
)
@PYTEST_ARGUMENTS
def integration(only: str, platform: str | None, arguments: tuple[str, ...]) -> None:
    """Start the built image by its digest and test it from outside. PYTEST_ARGS select some of the tests.

    With arguments it is pytest that runs: its output, its exit status. What was tested before still counts, and what is
    selected does not.

    \b
      ./ship integration --only image
      ./ship integration tests/integration/image/test_predict.py -k batch
    """  # noqa: D301 - click wants the character \b, not two
    from scripts.stages import integration as work

    on = Platform(platform) if platform else None
    if arguments:
        sys.exit(work.integration_of(arguments, only=only, platform=on))
    _stage("integration", lambda: work.integration(only=only, platform=on))


@ship.command()
@click.option("--commit-only", is_flag=True, help="Tag it sha-<commit> and nothing else; a release comes later.")
@click.option("--digest", metavar="DIGEST", help="Refuse to publish unless build/image/ holds this one.")
@click.option("--check", is_flag=True, help="Publish nothing; refuse now what would be refused after build and tests.")
def publish(*, commit_only: bool, digest: str | None, check: bool) -> None:
    """Copy the built image to every registry, sign it, attach its evidence, and release it."""
    from scripts.stages import publish as work
    from scripts.stages.release import release

    if check:
        _stage("publish", work.check)
        return
    expected = Digest.of(digest, "--digest") if digest is not None else None
    _stage("publish", lambda: work.publish(commit_only=commit_only, expected=expected))
    if not commit_only:
        _stage("release", release)


@ship.command()
@click.argument("reference", metavar="[REF]", default="")
@click.option("--commit", metavar="REV", default="", help="Build this commit, not the one that the image names.")
@click.option("--last", is_flag=True, help="Without REF: the newest release, as the tags of this clone have it.")
def reproduce(reference: str, *, commit: str, last: bool) -> None:
    """Rebuild a published image from its commit, compare, and name every file that differs.

    It is rebuilt in a clean checkout. REF is a version, sha-<commit> or sha256:…, looked up in every registry, or one
    repository:tag. Without it, the version in ship.toml.
    """
    from scripts.stages.reproduce import reproduce as work

    _stage("reproduce", lambda: work(reference, commit=commit, last=last))


@ship.command()
@click.argument("version", required=False)
@click.option("--unless-taken", is_flag=True, help="Where another digest has the version, say so, and do not fail.")
def release(version: str | None, *, unless_taken: bool) -> None:
    """Give the published image of this commit its version tags. Builds nothing; never moves a version.

    VERSION, such as v1.4.0, must be the one in ship.toml.
    """
    from scripts.stages.release import release as work

    _stage("release", lambda: work(version, unless_taken=unless_taken))


@ship.command()
@click.argument("reference")
def verify(reference: str) -> None:
    """Show the evidence for REFERENCE in every registry; fails where any is missing or false.

    REFERENCE is a tag (1.4.0, sha-<commit>) or a digest (sha256:…) in every repository that is published to, or one
    full reference (ghcr.io/me/house-price:1.4.0).

    \b
    Whose signature counts (default: for registries on this machine its own key,
    else the workflows of this repository on GitHub, run for main):
      COSIGN_PUBLIC_KEY, COSIGN_KEY   the key
      COSIGN_IDENTITY                 another repository's publish.yml, as its certificate has it
      SHIP_CALLER                     who called it (default: the repository of the image's source, for main)
    With a Sigstore of one's own: SHIP_TRUSTED_ROOT, SHIP_OIDC_ISSUER (docs/evidence.md).
    """  # noqa: D301 - click wants the character \b, not two
    from scripts.stages.verify import verify as work

    _stage("verify", lambda: work(reference))


@ship.command()
@click.argument("version")
@click.argument("environment", type=ENVIRONMENT)
@click.option("--forward", is_flag=True, help="Change nothing where ENVIRONMENT has a later commit: for workflows.")
def promote(version: str, environment: str, *, forward: bool) -> None:
    """Record a verified VERSION as what ENVIRONMENT shall run.

    A release goes through dev, test and prod in this order: what was not in the environment before is refused, and so
    is what ./ship verify refuses. dev also takes sha-<commit>. The record is deploy/environments/ENVIRONMENT.env, and
    each promotion is one commit of that file. Nothing is deployed: push the commit, and deploy what the record says.

    \b
      ./ship promote 1.4.0 dev
      ./ship promote 1.4.0 test
    """  # noqa: D301 - click wants the character \b, not two
    from scripts.stages.promote import promote as work

    _stage("promote", lambda: work(version, environment, forward=forward))


@ship.command()
@click.argument("environment", type=ENVIRONMENT)
@click.option("--pull-request", is_flag=True, help="Open a pull request even where main takes a push.")
def submit(environment: str, *, pull_request: bool) -> None:
    """Push the committed promotion of ENVIRONMENT to main, or open a pull request.

    For workflows: SHIP_DEPLOY_KEY is a key that main's ruleset lets through, GH_TOKEN the workflow's own token. Where
    main takes no push, a pull request is opened.
    """
    from scripts.stages.submit import submit as work

    _stage("submit", lambda: work(environment, pull_request=pull_request))


@ship.command()
@click.argument("environment", type=ENVIRONMENT)
def rollback(environment: str) -> None:
    """Record for ENVIRONMENT what it had before.

    As promote does: verified, and in one commit. Twice goes back by two, never to what was rolled back from.
    """
    from scripts.stages.rollback import rollback as work

    _stage("rollback", lambda: work(environment))


@ship.command()
@click.option("--json", "as_json", is_flag=True, help="For programs: the same as JSON, and nothing else.")
@click.option("--check", is_flag=True, help="Exit with 1 when an environment does not run what is recorded.")
def status(*, as_json: bool, check: bool) -> None:
    """Show what each environment shall run, since when, by whom, and whether it does.

    What runs is asked of the URL in the record (with SHIP_API_KEY_TEST and the like, where the service wants a key),
    else of the Docker engine of this machine.
    """
    from scripts.stages import status as work

    if as_json:
        found = work.statuses()
        click.echo(work.as_json(found))
        if check and any(row.running.state.drifted for row in found):
            sys.exit(1)
        return
    _stage("status", lambda: work.status(check=check))


@ship.command()
def shipment() -> None:
    """Show what is shipped and where it is published: ship.toml with its overrides."""
    from scripts.stages.shipment import show

    _stage("shipment", show)


@ship.command()
@click.option("--json", "as_json", is_flag=True, help="For programs: the same as JSON, and nothing else.")
def doctor(*, as_json: bool) -> None:
    """Say what is missing here, or on GitHub, before a release can work.

    Looks at the tools of this machine, at the logins for the registries and, where gh is logged in, at how the
    repository is set up on GitHub. Nothing is changed. Exits with 1 when something that is needed is missing.
    """
    from scripts.check import State
    from scripts.stages import doctor as work

    if as_json:
        found = work.checks()
        click.echo(work.as_json(found))
        if any(check.state is State.MISSING for check in found):
            sys.exit(1)
        return
    _stage("doctor", work.doctor)


@ship.command()
@click.option("--model-format", type=click.Choice(["onnx", "joblib"]), default="onnx", show_default=True)
def serve(model_format: Literal["onnx", "joblib"]) -> None:
    """Train the model and answer from the work tree, without Docker, again after each change.

    It answers on this machine alone, at port 5000; PORT names another one. The model is in build/model and is trained
    again when its table, its lines in ship.toml, training/ or the lock changed. Ctrl-C ends it.

    \b
      PORT=5005 ./ship serve
    """  # noqa: D301 - click wants the character \b, not two
    from scripts.stages.serve import serve as work

    _stage("serve", lambda: work(model_format))


@ship.command()
@click.argument("environment", type=ENVIRONMENT, required=False)
def shell(environment: str | None) -> None:
    """Open a shell in the published image, or in the one that ENVIRONMENT has.

    In a new container, of the same user and with the same limits as that of ./ship up: read-only, without capabilities.
    It has sh, python3 and coreutils.

    \b
      ./ship shell
      echo 'cat /model/card.json' | ./ship shell test
    """  # noqa: D301 - click wants the character \b, not two
    from scripts.stages.up import shell as work

    sys.exit(work(environment))


@ship.command()
@click.argument("environment", type=ENVIRONMENT, required=False)
def up(environment: str | None) -> None:
    """Run the published image on this machine, or the one that ENVIRONMENT has.

    At port 5000; dev at 5010, test at 5020, prod at 5030; PORT names another one.
    """
    from scripts.stages.up import up as work

    _stage("up", lambda: work(environment))


@ship.command()
@click.argument("environment", type=ENVIRONMENT, required=False)
def down(environment: str | None) -> None:
    """Stop what `up` started."""
    from scripts.stages.up import down as work

    _stage("down", lambda: work(environment))


@ship.command()
@click.option("--peers", type=click.Choice(["default", "all"]), default="default", show_default=True)
@click.option("--quick", is_flag=True, help="A minute or two, to see that it works; the figures mean little.")
def bench(peers: str, *, quick: bool) -> None:
    """Measure the built image beside its peers, and write docs/benchmarks.md."""
    from scripts.stages.bench import bench as work

    _stage("bench", lambda: work(everyone=peers == "all", quick=quick))


@ship.command()
@click.option("--upgrade", is_flag=True, help="Take the newest versions that pyproject.toml allows.")
def lock(*, upgrade: bool) -> None:
    """Write the hash-locked requirements files from pyproject.toml."""
    from scripts.stages.lock import lock as work

    _stage("lock", lambda: work(upgrade=upgrade))


@ship.command("completion")
@click.argument("shell", type=click.Choice(completion.SHELLS))
def complete(shell: str) -> None:
    """Print what lets SHELL complete the commands of ./ship with Tab. Type one of these lines, or put it into its file.

    \b
      eval "$(./ship completion bash)"         # ~/.bashrc
      eval "$(./ship completion zsh)"          # ~/.zshrc, after compinit
      ./ship completion fish | source          # ~/.config/fish/config.fish
    """  # noqa: D301 - click wants the character \b, not two
    click.echo(completion.script(ship, shell), nl=False)


def _stage(name: str, work: Callable[[], str]) -> None:
    """Run one stage in the open, and keep its result for the table of `./ship` and the summary of a workflow."""
    try:
        with console.stage(name) as result:
            result.append(work())
    except Failure as failure:
        _keep(name, f"failed: {failure.reason}")
        raise
    _keep(name, result[0])


def _keep(name: str, result: str) -> None:
    """Write down how a stage ended; where that cannot be done, its own end counts all the same."""
    text = console.plain(result)
    try:
        artifacts.result(name).parent.mkdir(exist_ok=True)
        artifacts.result(name).write_text(text, encoding="utf-8")
        actions.summarize(f"**{name}**: ", text)
    except OSError as broken:
        console.say(f"  the result could not be written down: {broken.filename}: {broken.strerror}")


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end(broken: OSError) -> int:
    """Say which file, folder or disk could not be used, where anybody can still hear it; return the exit status."""
    remedy = ""
    if broken.errno in {errno.ENOSPC, errno.EDQUOT}:
        remedy = "make room, as with docker buildx prune; then run it again"
    elif BUILD.exists() and not BUILD.is_dir():
        remedy = f"{BUILD} is where the stages keep what they make: move away the file of that name"
    place = f"{broken.filename}: " if broken.filename else ""
    failure = Failure(f"{place}{broken.strerror or broken}", remedy)
    try:
        console.report(failure)
    except OSError:  # it is standard output itself: a closed pipe, a full disk
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(broken, BrokenPipeError):
            click.echo(f"./ship: standard output: {failure.reason}", err=True)
    return 1


def main() -> int:
    """Run the command line and return the exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # one that knows no ✓ shows a question mark
            stream.reconfigure(errors="replace")
    # A shell that starts this in the background lets it ignore Ctrl-C, and with it all that it starts: none of them
    # would hear `process.stop`.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(ending) is not signal.SIG_IGN:  # as under nohup
            signal.signal(ending, _terminated)
    try:
        ship(prog_name="./ship", standalone_mode=False, complete_var=completion.VARIABLE)
    except Failure as failure:
        console.report(failure)
        return 1
    except OSError as broken:
        return _end(broken)
    except click.ClickException as wrong:
        wrong.show()
        return wrong.exit_code
    except (KeyboardInterrupt, click.Abort):
        console.say("Interrupted. What was begun has been cleaned up; run it again to go on.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

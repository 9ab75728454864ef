"""`./ship publish`, killed at random: no version ever points to an untested image, and a second run completes.

Nothing can be cleaned up after a SIGKILL, so only the order of the steps can make this true.
"""

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tests.integration.checkout import Checkout
from tests.integration.program import run
from tests.integration.registry import Registry, started_registry

REPOSITORY = "killed/house-price"
KILLS = 10
# A run may end before its moment comes, when it is faster than the one that was measured: then another is killed.
TRIES = 2 * KILLS


def test_a_killed_publish_leaves_no_untested_version_and_can_be_repeated(project: Checkout) -> None:
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**6))
    dice = random.Random(seed)  # noqa: S311 - for the moments of a test
    whole, killed = measured(project), 0
    print(f"SEED={seed} repeats these moments; a whole run takes {whole:.1f} s")  # noqa: T201 - shown on failure

    for turn in range(TRIES):
        moment = whole * (killed + dice.random()) / KILLS  # one in each tenth
        with started_registry() as first, started_registry() as second:
            places = (first, second)
            hit = kill_after(moment, project, places, everything=turn % 2 == 0)
            print(f"turn {turn}: after {moment:.2f} s, {'killed' if hit else 'too late'}: {shown(places)}")  # noqa: T201
            killed += hit
            whole = whole if hit else min(whole, moment)  # it ended sooner than that: the machine is faster by now
            again = project.ship("publish", SHIP_REGISTRIES=registries(places))
            assert again.returncode == 0, again.stdout + again.stderr
            assert_in_order(project, places)
            assert_proven(project, places)
            assert all(set(all_tags(project)) <= set(place.tags(REPOSITORY)) for place in places)
        if killed == KILLS:
            return
    raise AssertionError(f"only {killed} of {TRIES} runs lasted until their moment")


def measured(project: Checkout) -> float:
    """Return the seconds that an undisturbed publication takes."""
    with started_registry() as first, started_registry() as second:
        started = time.monotonic()
        done = project.ship("publish", SHIP_REGISTRIES=registries((first, second)))
        assert done.returncode == 0, done.stdout + done.stderr
        return time.monotonic() - started


def kill_after(moment: float, project: Checkout, places: Sequence[Registry], *, everything: bool) -> bool:
    """Start `./ship publish`, kill its process group after `moment` seconds, and check every registry.

    With `everything`, what it started dies with it, as when the machine does; otherwise that ends in its own time, and
    the registries are looked at again. Return whether it still ran when it was killed.
    """
    mark = f"{uuid.uuid4()}"
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts", "publish"],
        cwd=project.path,
        env={**os.environ, "SHIP_REGISTRIES": registries(places), "KILLED_BY": mark},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    ended = process.wait()
    deadline = time.monotonic() + 60
    while orphans := list(started_by(mark)):
        assert_in_order(project, places)
        for orphan in orphans if everything else []:
            with suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGKILL)
        assert time.monotonic() < deadline, f"{orphans} go on"
        time.sleep(0.02)
    assert_in_order(project, places)
    assert_proven(project, places)
    return ended == -signal.SIGKILL


def started_by(mark: str) -> Iterator[int]:
    """Yield the running processes of the publication with `mark` in its environment."""
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it ended meanwhile, or it is somebody else's
            if f"KILLED_BY={mark}".encode() in environment.read_bytes().split(b"\0"):
                yield int(environment.parent.name)


def assert_in_order(project: Checkout, places: Sequence[Registry]) -> None:
    """Every tag has the tested digest, and no step began before the previous one was done everywhere.

    The bytes first, as `sha-<commit>`; then the version; then the tags that follow the newest version.
    """
    commit, version, *moving = all_tags(project)
    for earlier, later in ((commit, [version]), (version, moving)):
        for tag in later:  # asked first: what comes meanwhile of the earlier ones is no lie
            if any(place.digest(REPOSITORY, tag) for place in places):
                assert all(place.digest(REPOSITORY, earlier) for place in places), f"{tag} before {earlier}"
    found = {f"{place.host}:{tag}": place.digest(REPOSITORY, tag) for place in places for tag in all_tags(project)}
    assert set(found.values()) <= {project.image["digest"], None}, found


def assert_proven(project: Checkout, places: Sequence[Registry]) -> None:
    """Every version has all its evidence in its registry."""
    version = project.image["version"]
    for place in places:
        if place.digest(REPOSITORY, version):
            done = project.ship("verify", f"{place.host}/{REPOSITORY}:{version}")
            assert done.returncode == 0, done.stdout


def all_tags(project: Checkout) -> list[str]:
    """Return the tags of a publication in order."""
    version = project.image["version"]
    major, minor, _ = version.split(".")
    revision = run("git", "rev-parse", "HEAD", cwd=project.path)
    return [f"sha-{revision}", version, f"{major}.{minor}", major, "latest"]


def registries(places: Sequence[Registry]) -> str:
    return " ".join(f"{place.host}/{REPOSITORY}" for place in places)


def shown(places: Sequence[Registry]) -> str:
    return ", ".join(f"{place.host} has {' '.join(place.tags(REPOSITORY)) or 'nothing'}" for place in places)

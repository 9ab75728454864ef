"""`./ship promote`: a verified release becomes what an environment shall run, after the environment before it."""

import re
from collections.abc import Callable

from scripts.failure import Failure
from scripts.grammar import Version
from scripts.record import ENVIRONMENTS, Record, Release, short
from scripts.terminal import say
from scripts.verify import Verified, verified

COMMIT = re.compile(r"sha-[0-9a-f]{40}")


def promote(version: str, environment: str, *, verified: Callable[[str], Verified] = verified) -> str:
    """Record `version` for `environment`, in a commit of its own, and return what that did.

    `version` is a release; for dev also `sha-<commit>`. Raises Failure, and changes nothing, when it is neither, when
    the record could not be committed, when `verified` refuses the image, and when its digest was never recorded for
    the environment before. What is recorded already is left as it is.
    """
    _require_fixed(version, environment)
    record = Record(environment)
    record.require_writable()
    image = verified(version)
    release, before = Release(image.version, image.digest, image.revision), record.release
    if release == before:
        return f"{environment} has {release} already; nothing was changed"
    trailers = {**_after(environment, release), "Verified": f"{version} in {' and '.join(image.repositories)}"}
    record.commit(release, f"Promote {version[:16]} to {environment}", trailers)
    return f"{environment} shall run {release}, committed here: push it, then deploy"


def _require_fixed(version: str, environment: str) -> None:
    if Version.matches(version) or (COMMIT.fullmatch(version) and environment == ENVIRONMENTS[0]):
        return
    if COMMIT.fullmatch(version):
        raise Failure(f"{environment} runs releases, and {version} is a commit", "./ship release, then promote that")
    raise Failure(f"{version!r} is no version such as 1.4.0, nor sha-<commit> with all 40 digits; other tags can move")


def _after(environment: str, release: Release) -> dict[str, str]:
    """Return the trailer that says when the environment before had `release`. Raises Failure when it never did."""
    place = ENVIRONMENTS.index(environment)
    if not place:
        return {}
    earlier = Record(ENVIRONMENTS[place - 1])
    had = [entry for entry in earlier.history() if entry.release.digest == release.digest]
    if not had:
        raise Failure(
            f"{short(release.digest)}, which is {release.version}, was never in {earlier.environment}",
            f"./ship promote {release.version} {earlier.environment}",
        )
    now = earlier.release
    if now and now.digest != release.digest:
        say(f"  {earlier.environment} had {release}, and has {now} now")
    return {"After": f"{earlier.environment}, by {had[-1].commit}"}

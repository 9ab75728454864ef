"""`./ship promote`: a verified release becomes what an environment shall run, after the environment before it."""

from collections.abc import Callable

from scripts.console import say
from scripts.environments.record import ENVIRONMENTS, Record
from scripts.errors import Failure
from scripts.evidence.verification import Verified, verified
from scripts.grammar import Revision, Version, shown
from scripts.oci.labels import Release

COMMIT = "sha-"


def promote(
    version: str, environment: str, *, forward: bool = False, verified: Callable[[str], Verified] = verified
) -> str:
    """Record `version` for `environment`, in a commit of its own, and return what that did.

    `version` is a release; for dev also `sha-<commit>`. What is recorded already is left as it is; with `forward` also
    what was built from a later commit, so that a workflow run again takes nothing back.

    Raises Failure, and changes nothing, when it is neither, when the record could not be committed, when `verified`
    refuses the image or finds another one, and when that was never recorded for the environment before.
    """
    _require_fixed(version, environment)
    record = Record(environment)
    record.require_writable()
    image, before = verified(version), record.fields.release
    release = image.release
    if version not in {release.version, f"{COMMIT}{release.revision}"}:
        raise Failure(f"{version} is an image that says it is {release.version} of commit {release.revision}")
    if release == before:
        return f"{environment} has {release} already; nothing was changed"
    if forward and before and record.follows(before.revision, release.revision):
        return f"{environment} has {before}, of a later commit than {release}; nothing was changed"
    trailers = {**_after(environment, release), "Verified": f"{version} in {' and '.join(image.repositories)}"}
    record.commit(release, f"Promote {version[:16]} to {environment}", trailers)
    return f"{environment} shall run {release}, committed here: push it, then deploy"


def _require_fixed(version: str, environment: str) -> None:
    commit = version.startswith(COMMIT) and Revision.matches(version.removeprefix(COMMIT))
    if Version.matches(version) or (commit and environment == ENVIRONMENTS[0]):
        return
    if commit:
        raise Failure(f"{environment} runs releases, and {version} is a commit", "./ship release, then promote that")
    raise Failure(
        f"{shown(version)} is no version such as 1.4.0, nor sha-<commit> with all 40 digits; other tags can move"
    )


def _after(environment: str, release: Release) -> dict[str, str]:
    """Return the trailer that says when the environment before had `release`. Raises Failure when it never did."""
    place = ENVIRONMENTS.index(environment)
    if not place:
        return {}
    earlier = Record(ENVIRONMENTS[place - 1])
    had = [entry for entry in earlier.history() if entry.release == release]
    if not had:
        raise Failure(
            f"{release.digest.short}, which is {release.version}, was never in {earlier.environment}",
            f"./ship promote {release.version} {earlier.environment}",
        )
    now = earlier.fields.release
    if now and now != release:
        say(f"  {earlier.environment} had {release}, and has {now} now")
    return {"After": f"{earlier.environment}, by {had[-1].commit}"}

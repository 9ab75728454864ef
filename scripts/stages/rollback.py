"""`./ship rollback`: what an environment had before becomes what it shall run again."""

from collections.abc import Callable

from scripts.environments.record import Record
from scripts.errors import Failure
from scripts.evidence.verification import Verified, verified


def rollback(environment: str, *, verified: Callable[[str], Verified] = verified) -> str:
    """Record the release before the current one for `environment`, in a commit of its own; return what that did.

    It is verified again. Doing this twice goes back by two. Raises Failure, and changes nothing, when there is
    nothing to go back to, when the record could not be committed, and when `verified` refuses the image or finds that
    it is not what was recorded.
    """
    record = Record(environment)
    record.require_writable()
    current, held = record.fields.release, record.stack()
    if current is None:
        raise Failure(f"nothing was promoted to {environment} yet", f"./ship promote VERSION {environment}")
    if len(held) < 2:
        raise Failure(f"{environment} has had no release before this one", f"./ship promote VERSION {environment}")
    earlier = held[-2]
    target = earlier.release
    try:
        image = verified(target.digest)
    except Failure as refused:
        raise Failure(
            f"{environment} would go back to {target}, and that was not verified: {refused.reason}",
            "if only a registry is down and it cannot wait, go back unverified: "
            f"git checkout {earlier.commit.short} -- {record.path} && "
            f"git commit --message 'Roll back {environment} to {target.version}, not verified' -- {record.path}",
        ) from refused
    found = image.release
    if found != target:
        raise Failure(
            f"{environment} would go back to {target} of commit {target.revision.short}, as {earlier.commit.short} has "
            f"it, and the image says that it is {found} of commit {found.revision.short}",
            f"./ship promote {found.version} {environment}",
        )
    verified_in = {"Verified": f"{target.digest} in {' and '.join(image.repositories)}"}
    record.commit(target, f"Roll back {environment} to {target.version}", verified_in)
    return f"{environment} shall run {target} again, after {current}, committed here: push it, then deploy"

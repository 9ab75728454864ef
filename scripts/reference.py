"""What a person types to name a published image, and where that is."""

import re
from dataclasses import dataclass

from scripts import registry
from scripts.failure import Failure

# https://github.com/distribution/reference: a repository with its registry, then a tag, a digest, or both.
FULL = re.compile(r"(?P<repository>.+?)(?::(?P<tag>[\w.-]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?")


@dataclass(frozen=True)
class Located:
    """One image in every repository that was asked."""

    repositories: tuple[str, ...]
    digest: str

    @property
    def reference(self) -> str:
        """The image by digest, in the first of them."""
        return f"{self.repositories[0]}@{self.digest}"


def repositories(reference: str) -> dict[str, str]:
    """Return the repositories in which to look for `reference`, each with the full reference there.

    `reference` is a tag (`1.4.0`, `sha-<commit>`) or a digest, in every repository that REGISTRIES names, or a full
    `repository:tag` or `repository@digest`. Raises Failure when it names neither tag nor digest.
    """
    if "/" not in reference:
        join = "@" if reference.startswith("sha256:") else ":"
        return {repository: f"{repository}{join}{reference}" for repository in registry.repositories()}
    found = FULL.fullmatch(reference)
    if not found or not (found["tag"] or found["digest"]):
        raise Failure(f"{reference} names no tag and no digest", f"name one, such as {reference}:1.0.0")
    return {found["repository"]: f"{found['repository']}@{found['digest']}" if found["digest"] else reference}


def locate(reference: str) -> Located:
    """Return the one image that `reference` is everywhere.

    Raises Failure when it is missing in a registry, when two have different ones, and when one does not answer.
    """
    places = repositories(reference)
    found = {full: registry.digest(full) for full in places.values()}
    missing = [full for full, digest in found.items() if digest is None]
    if missing:
        raise Failure(f"there is no {' and no '.join(missing)}", "./ship publish")
    if len(set(found.values())) > 1:
        raise Failure(
            f"the registries disagree: {'; '.join(f'{full} is {digest}' for full, digest in found.items())}",
            "find out who moved it: ./ship verify sha256:… shows which of them has the evidence",
        )
    return Located(tuple(places), str(next(iter(found.values()))))

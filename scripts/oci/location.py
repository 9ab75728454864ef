"""What a person types to name a published image, and where that is."""

from collections.abc import Iterable
from dataclasses import dataclass

from scripts.errors import Failure
from scripts.grammar import Digest, Reference, Repository, Tag
from scripts.oci import registry

FORMS = "name a tag (1.4.0), a digest (sha256:…), or either in one repository (ghcr.io/me/house-price:1.4.0)"


@dataclass(frozen=True)
class Located:
    """One image in every repository that was asked."""

    repositories: tuple[Repository, ...]
    digest: Digest
    tag: Tag | None = None
    """The name that it was asked for by, where that was one."""

    @property
    def reference(self) -> Reference:
        """The image by digest, in the first of them."""
        return self.repositories[0].at(self.digest)


def references(text: str, repositories: Iterable[Repository]) -> list[Reference]:
    """Return what `text` names, in each repository in which to look for it.

    `text` is a tag (`1.4.0`, `sha-<commit>`), a digest, or `tag@digest`, in each of `repositories`; or all of that
    behind one repository of its own. Raises Failure when it is none of these.
    """
    if "/" in text:
        return [Reference.of(text, "what to look for", FORMS)]
    name, at, digest = text.rpartition("@")
    if at:
        behind = f":{Tag.of(name, 'what to look for', FORMS)}@{Digest.of(digest, 'what to look for', FORMS)}"
    elif text.startswith("sha256:"):
        behind = f"@{Digest.of(text, 'what to look for', FORMS)}"
    else:
        behind = f":{Tag.of(text, 'what to look for', FORMS)}"
    return [Reference(f"{repository}{behind}") for repository in repositories]


def locate(text: str, repositories: Iterable[Repository]) -> Located:
    """Return the one image that `text` (see `references`) names everywhere.

    Raises Failure when it is missing in a registry, when two have different ones, when a registry does not answer, and
    when the image is not the digest that `text` has, be it behind a tag or alone.
    """
    asked = references(text, repositories)
    found = {reference: registry.digest(reference) for reference in asked}
    missing = [reference for reference, digest in found.items() if digest is None]
    if missing:
        raise Failure(f"there is no {' and no '.join(missing)}", "" if "/" in text else "./ship publish")
    digests = {reference: digest for reference, digest in found.items() if digest}
    for reference, digest in digests.items():
        if reference.digest not in {None, digest}:
            raise Failure(f"{reference} does not exist: what is there is {digest}", "ask by the tag, or by the digest")
    if len(set(digests.values())) > 1:
        raise Failure(
            f"the registries disagree: {'; '.join(f'{one} is {digest}' for one, digest in digests.items())}",
            "find out who moved it: ./ship verify sha256:… shows which of them has the evidence",
        )
    return Located(tuple(one.repository for one in asked), next(iter(digests.values())), asked[0].tag)

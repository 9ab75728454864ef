"""From what a person types to the published image that it names."""

from collections.abc import Iterable
from dataclasses import dataclass

from scripts.errors import Failure
from scripts.grammar import Digest, Reference, Repository, Tag
from scripts.oci import registry

FORMS = "name a tag (1.4.0), a digest (sha256:…), or either in one repository (ghcr.io/me/house-price:1.4.0)"


@dataclass(frozen=True)
class Located:
    """An image, and the repositories that hold it."""

    repositories: tuple[Repository, ...]
    digest: Digest
    tag: Tag | None = None
    """The tag that the person typed, if any."""

    @property
    def reference(self) -> Reference:
        """The image by digest, in the first repository."""
        return self.repositories[0].at(self.digest)


def parse_references(text: str, repositories: Iterable[Repository]) -> list[Reference]:
    """Return the references that `text` stands for.

    A tag (`1.4.0`, `sha-<commit>`), a digest or `tag@digest` stands for one reference in each of `repositories`; with a
    repository in front, for that reference alone. Raises Failure when it is none of these.
    """
    if "/" in text:
        return [Reference.of(text, "the image", FORMS)]
    name, at, digest = text.rpartition("@")
    if at:
        suffix = f":{Tag.of(name, 'the image', FORMS)}@{Digest.of(digest, 'the image', FORMS)}"
    elif text.startswith("sha256:"):
        suffix = f"@{Digest.of(text, 'the image', FORMS)}"
    else:
        suffix = f":{Tag.of(text, 'the image', FORMS)}"
    return [Reference(f"{repository}{suffix}") for repository in repositories]


def locate(text: str, repositories: Iterable[Repository]) -> Located:
    """Return the image that `text` (see `parse_references`) names in every repository.

    Raises Failure when a registry lacks it or does not answer, when two registries hold different images, and when the
    image does not have the digest in `text`.
    """
    asked = parse_references(text, repositories)
    found = {reference: registry.digest(reference) for reference in asked}
    missing = [reference for reference, digest in found.items() if digest is None]
    if missing:
        raise Failure(f"not found: {' and '.join(missing)}", "" if "/" in text else "./ship publish")
    digests = {reference: digest for reference, digest in found.items() if digest}
    for reference, digest in digests.items():
        if reference.digest not in {None, digest}:
            raise Failure(f"{reference} does not exist: the registry has {digest}", "name the tag or the digest alone")
    if len(set(digests.values())) > 1:
        raise Failure(
            f"the registries disagree: {'; '.join(f'{one} is {digest}' for one, digest in digests.items())}",
            "./ship verify sha256:… shows which of them has its evidence; find out who moved the tag",
        )
    return Located(tuple(one.repository for one in asked), next(iter(digests.values())), asked[0].tag)

"""Tags: which never move, which follow the newest release, and what each must point to.

The OCI distribution-spec v1.1 has no conditional write of a tag. So each tag that never moves is read again right
before it is written. A tag that somebody else writes in between is overwritten; their own final check then fails.
Registries that make tags immutable close that gap: docs/publishing.md.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from packaging.version import Version as Ordered

from scripts.console import Rows, console, say
from scripts.errors import Failure
from scripts.grammar import Digest, Reference, Repository, Revision, Tag, Version
from scripts.oci import registry
from scripts.oci.labels import Release

# What people read as a version, the newest release or a commit, in any spelling.
LIKE_A_VERSION = re.compile(r"v?[0-9]+([.-]|$)|latest$|sha-", re.IGNORECASE)
# Tags that follow the newest release: of a line, such as 1.4 and 1, or of all lines.
ALIAS = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))?|latest")


class Taken(Failure):
    """A tag that never moves already has another digest."""


def of_commit(revision: Revision) -> Tag:
    """Return the tag under which the image of a commit is published."""
    return Tag(f"sha-{revision}")


def check(tag: Tag, release: Release) -> None:
    """Raise Failure when `tag` promises another image than `release`.

    A version or a commit promises exactly that one; `1.4` and `1` a release of that line, `latest` any release.
    """
    points = f"{tag} points to an image whose labels say"
    if LIKE_A_VERSION.match(tag) and not (Version.matches(tag) or ALIAS.fullmatch(tag) or tag.startswith("sha-")):
        raise Failure(f"{tag} looks like a version or a commit, but ./ship writes no tag of that form")
    if Version.matches(tag) and Version(tag) != release.version:
        raise Failure(f"{points} version {release.version}")
    if tag.startswith("sha-") and tag != f"sha-{release.revision}":
        raise Failure(f"{points} commit {release.revision}")
    if ALIAS.fullmatch(tag):
        if Ordered(release.version).is_prerelease:
            raise Failure(f"{points} version {release.version}, a pre-release")
        if tag != "latest" and not release.version.startswith(f"{tag}."):
            raise Failure(f"{points} version {release.version}")


def find_newer(tag: str, version: Version, tags: Iterable[str]) -> str:
    """Return the newest release among `tags` for the alias `tag`; empty when none is newer than `version`."""
    line = "" if tag == "latest" else f"{tag}."
    releases = [Ordered(one) for one in tags if Version.matches(one) and one.startswith(line)]
    newest = max((one for one in releases if not one.is_prerelease), default=Ordered(version))
    return str(newest) if newest > Ordered(version) else ""


def find_keepers(released: Version, tags: Iterable[Tag]) -> dict[Tag, str]:
    """Return the aliases of `released`, each with the newer release among `tags` that keeps it, if any."""
    number, listed = Ordered(released), list(tags)
    aliases = (f"{number.major}.{number.minor}", f"{number.major}", "latest")
    return {Tag(alias): find_newer(alias, released, listed) for alias in aliases}


def refuse_to_move(
    repositories: Iterable[Repository], tags: Iterable[Tag], digest: Digest, *, may_be_new: bool = False
) -> None:
    """Raise Failure when any registry has one of `tags`, which never move, under another digest.

    `may_be_new`: see `scripts.oci.registry.digest`.
    """
    names = list(tags)
    for repository in repositories:
        for name in names:
            _points_to(repository.at(name), digest, may_be_new=may_be_new)


def place(repositories: Iterable[Repository], name: Tag, digest: Digest) -> None:
    """Write the tag `name`, which never moves, for `digest` in each of `repositories`, which hold its bytes already.

    Raises Failure when the tag has another digest by now.
    """
    for repository in repositories:
        if not _points_to(repository.at(name), digest):
            say(f"  {repository.at(name)}")
            again = partial(_points_to, repository.at(name), digest)
            registry.tag(repository, digest, name, before_again=again)


def confirm(tags: Mapping[Repository, Sequence[Tag]], digest: Digest) -> bool:
    """Read every tag back, print what each registry has, and return whether all of them have `digest`."""
    rows, right = Rows("registry", "tag", "digest", ""), True
    for repository, names in tags.items():
        silent = False  # after one time-out, skip the rest of this registry
        for name in names:
            found, shown = None, "no answer"
            try:
                if not silent:
                    found = registry.digest(repository.at(name))
                    shown = found.short if found else "missing"
            except Failure:
                silent = True
            right = right and found == digest
            rows.row(repository, name, shown, "same" if found == digest else "WRONG")
    console.print(rows)
    return right


def move_aliases(repository: Repository, version: Version, existing: Sequence[Tag], digest: Digest) -> list[Tag]:
    """Move the aliases for which `version` is the newest release to `digest`, and return them.

    The list of tags is read right before and right after: of two concurrent releases, the one that writes last sees
    the version of the other. Raises Failure when the other one is newer, and when the list lacks one of the `existing`
    tags.
    """
    if Ordered(version).is_prerelease:
        return []
    kept = find_keepers(version, _list_tags(repository, existing))
    for name, keeper in kept.items():
        if keeper:
            say(f"  {repository}:{name} stays as it is: {keeper} is newer than {version}")
    moving = [name for name, keeper in kept.items() if not keeper]
    written = [name for name in moving if registry.digest(repository.at(name)) != digest]
    for name in written:
        say(f"  {repository.at(name)}")
        registry.tag(repository, digest, name)
    for name, keeper in find_keepers(version, _list_tags(repository, existing)).items() if written else ():
        if keeper and name in written:
            raise Failure(
                f"{keeper} was released to {repository} meanwhile, and {name} may now point to the older {version}",
                f"./ship release, in a checkout of {keeper}",
            )
    return moving


def _points_to(reference: Reference, digest: Digest, *, may_be_new: bool = False) -> bool:
    """Return whether `reference` exists and is `digest`. Raises Failure when it has another digest."""
    taken = registry.digest(reference, may_be_new=may_be_new)
    if taken not in {None, digest}:
        raise Taken(
            f"{reference} is already {taken}, this image is {digest}, and that tag never moves",
            "raise the version in ship.toml and commit, then ./ship",
        )
    return taken is not None


def _list_tags(repository: Repository, existing: Iterable[Tag]) -> list[Tag]:
    listed = registry.tags(repository)
    if lacking := [name for name in existing if name not in listed]:
        raise Failure(
            f"the tag list of {repository} lacks {' and '.join(lacking)}, which {repository.registry} has: it cannot "
            "show which release is the newest, so latest and the other aliases stay as they are",
            "./ship release, once the list is complete",
        )
    return listed

"""Tags: which never move, which follow the newest release, and what each must point to.

No registry can be told to write a tag only where it still is what it was (the OCI distribution-spec v1.1 has no
condition for it). So each tag that never moves is asked for again right before it is written. What somebody else writes
in the moment between question and answer is overwritten, and that one's own last look says so. Registries that can make
tags immutable close that gap: docs/publishing.md.
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

# What a person reads as a version, as the newest release or as a commit, however it is spelt.
LIKE_A_VERSION = re.compile(r"v?[0-9]+([.-]|$)|latest$|sha-", re.IGNORECASE)
# Tags that follow the newest release: of a line, such as 1.4 and 1, or of all.
ALIAS = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))?|latest")


class Taken(Failure):
    """A tag that never moves is another digest."""


def of_commit(revision: Revision) -> Tag:
    """Return the tag that the image of a commit has before it is a release."""
    return Tag(f"sha-{revision}")


def check(tag: Tag, release: Release) -> None:
    """Raise Failure when a tag that says what it points to points to something else.

    A version and a commit are of that very image; `1.4`, `1` and `latest` of a release, the first two of their line.
    """
    says = f"{tag} points to an image that says it is"
    if LIKE_A_VERSION.match(tag) and not (Version.matches(tag) or ALIAS.fullmatch(tag) or tag.startswith("sha-")):
        raise Failure(f"{tag} reads like a version or a commit, and ./ship gives no tag of that form")
    if Version.matches(tag) and Version(tag) != release.version:
        raise Failure(f"{says} version {release.version}")
    if tag.startswith("sha-") and tag != f"sha-{release.revision}":
        raise Failure(f"{says} of commit {release.revision}")
    if ALIAS.fullmatch(tag):
        if Ordered(release.version).is_prerelease:
            raise Failure(f"{says} {release.version}, which is no release")
        if tag != "latest" and not release.version.startswith(f"{tag}."):
            raise Failure(f"{says} version {release.version}")


def newer(tag: str, version: Version, tags: Iterable[str]) -> str:
    """Return the newest release among `tags` that the alias `tag` could point to, nothing when `version` is that."""
    line = "" if tag == "latest" else f"{tag}."
    releases = [Ordered(one) for one in tags if Version.matches(one) and one.startswith(line)]
    newest = max((one for one in releases if not one.is_prerelease), default=Ordered(version))
    return str(newest) if newest > Ordered(version) else ""


def following(released: Version, tags: Iterable[Tag]) -> dict[Tag, str]:
    """Return the tags that follow the newest release, each with what keeps `released` from having it, if anything.

    That is the newest of the releases among `tags`, those of the repository, that it could point to.
    """
    mine, there = Ordered(released), list(tags)
    aliases = (f"{mine.major}.{mine.minor}", f"{mine.major}", "latest")
    return {Tag(alias): newer(alias, released, there) for alias in aliases}


def refuse_to_move(
    repositories: Iterable[Repository], tags: Iterable[Tag], digest: Digest, *, may_be_new: bool = False
) -> None:
    """Raise Failure when a tag that must never move is taken by another digest, in any registry.

    `may_be_new`: see `scripts.oci.registry.digest`.
    """
    names = list(tags)
    for repository in repositories:
        for name in names:
            _is_there(repository.at(name), digest, may_be_new=may_be_new)


def place(repositories: Iterable[Repository], name: Tag, digest: Digest) -> None:
    """Let the tag `name`, which never moves, be `digest` in each of `repositories`, which hold that already.

    Raises Failure when it is another one by now.
    """
    for repository in repositories:
        if not _is_there(repository.at(name), digest):
            say(f"  {repository.at(name)}")
            again = partial(_is_there, repository.at(name), digest)
            registry.tag(repository, digest, name, before_again=again)


def arrival(tags: Mapping[Repository, Sequence[Tag]], digest: Digest) -> bool:
    """Ask every registry again, show what is where, and return whether all `tags` are `digest`."""
    rows, right = Rows("registry", "tag", "digest", ""), True
    for repository, names in tags.items():
        silent = False  # after one time-out, this registry is not asked again
        for name in names:
            found, shown = None, "no answer"
            try:
                if not silent:
                    found = registry.digest(repository.at(name))
                    shown = found.short if found else "not there"
            except Failure:
                silent = True
            right = right and found == digest
            rows.row(repository, name, shown, "same" if found == digest else "MISSING OR OTHER")
    console.print(rows)
    return right


def follow(repository: Repository, version: Version, there: Sequence[Tag], digest: Digest) -> list[Tag]:
    """Let the tags that follow the newest release be `digest`, as far as that is `version`, and return those.

    The list of tags is read right before, and once more right after: of two releases at the same time, the one that
    wrote last has seen the other's version, which was there before. Raises Failure when that one is the newer; and
    when the list is not to be believed, as it lacks what is `there`.
    """
    if Ordered(version).is_prerelease:
        return []
    kept = following(version, _listed(repository, there))
    for name, keeper in kept.items():
        if keeper:
            say(f"  {repository}:{name} stays where it is: {keeper}, which is there, is newer than {version}")
    mine = [name for name, keeper in kept.items() if not keeper]
    written = [name for name in mine if registry.digest(repository.at(name)) != digest]
    for name in written:
        say(f"  {repository.at(name)}")
        registry.tag(repository, digest, name)
    for name, keeper in following(version, _listed(repository, there)).items() if written else ():
        if keeper and name in written:
            raise Failure(
                f"{keeper} was released into {repository} meanwhile, and {name} may point to {version}, which is older",
                f"./ship release, in a checkout of {keeper}",
            )
    return mine


def _is_there(reference: Reference, digest: Digest, *, may_be_new: bool = False) -> bool:
    """Return whether `reference` is `digest`, and not missing. Raises Failure when it is another one."""
    taken = registry.digest(reference, may_be_new=may_be_new)
    if taken not in {None, digest}:
        raise Taken(
            f"{reference} is {taken} already, and this image is {digest}; that tag never moves",
            "raise the version in ship.toml and commit, then ./ship",
        )
    return taken is not None


def _listed(repository: Repository, there: Iterable[Tag]) -> list[Tag]:
    listed = registry.tags(repository)
    if lacking := [name for name in there if name not in listed]:
        raise Failure(
            f"the list of the tags of {repository} lacks {' and '.join(lacking)}, which {repository.registry} has: "
            "it does not say which release is the newest, so latest and its like stay where they are",
            "./ship release, once the list is whole",
        )
    return listed

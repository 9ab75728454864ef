"""`./ship release`: version tags for a digest that is published and proven already. Nothing is built.

No registry can be told to write a tag only where it still is what it was (the OCI distribution-spec v1.1 has no
condition for it). So each tag that never moves is asked for again right before it is written, and all tags once more in
the end. What somebody else writes in the moment between question and answer is overwritten, and that one's own last
look says so. Registries that can make tags immutable close that gap: docs/publishing.md.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

from packaging import version as pep440

from scripts import BUILD, shipment
from scripts.console import Rows, console, say
from scripts.errors import Failure
from scripts.evidence import cosign, referrers, signer, statements
from scripts.github import actions
from scripts.grammar import Digest, Reference, Repository, Revision, Tag, Version, document
from scripts.oci import registry
from scripts.stages.verify import Verified, newer, verified

RECORD = BUILD / "published.json"
# What a release on GitHub shows and carries.
NOTES = BUILD / "release" / "notes.md"
BILL = BUILD / "release" / "bill.cdx.json"
PROVENANCE = BUILD / "release" / "provenance.intoto.jsonl"


@dataclass(frozen=True)
class Published:
    """What was published from here last: what `build/published.json` says."""

    version: Version
    digest: Digest
    tags: dict[Repository, list[Tag]]


def release(wanted: str | None = None) -> str:
    """Give the image of the checked-out commit its version tags in every registry, and return version and digest.

    The image is the one that is published as `sha-<commit>`. `wanted` is the version to release, as a check, with or
    without a leading `v`. What a release page shows and carries is written to `build/release/`: the notes, the bill of
    materials, and the provenance as Sigstore bundles, one a line. GitHub's later steps can read the outputs `latest`,
    whether this is the newest release everywhere, and `prerelease`.

    Raises Failure when the version is another, when `./ship verify` does not trust the image, when the version is
    tagged with another digest already, in any registry, and when a registry's list of tags does not say which release
    is the newest.
    """
    version, revision = shipment.version(), shipment.commit().revision
    if wanted is not None and Version.of(wanted.removeprefix("v"), "the version to release") != version:
        raise Failure(f"{wanted} is to be released, and this commit is version {version}", f"tag the commit v{version}")
    image = verified(of_commit(revision))
    if image.version != version:
        raise Failure(f"the image of commit {revision.short} is version {image.version}, not {version}")
    refuse_to_move(image.repositories, [Tag(version)], image.digest)
    tags = {repository: [of_commit(revision), Tag(version)] for repository in image.repositories}
    try:
        place(image.repositories, Tag(version), image.digest)
        for repository, names in tags.items():
            names.extend(_follow(repository, version, names, image.digest))
    except Failure:
        arrival(tags, image.digest)
        raise
    if not arrival(tags, image.digest):
        raise Failure("a registry does not give back the digest that was tagged", "./ship release")
    _describe(image, image.repositories)
    actions.output("latest", str(all("latest" in names for names in tags.values())).lower())
    actions.output("prerelease", str(pep440.Version(version).is_prerelease).lower())
    RECORD.write_text(json.dumps(asdict(Published(version, image.digest, tags)), indent=2) + "\n", encoding="utf-8")
    return f"{version} is {image.digest} in {' and '.join(image.repositories)}"


def published() -> Reference:
    """Return, by digest, what was published from here last. Raises Failure when nothing was."""
    try:
        data = RECORD.read_bytes()
    except OSError as missing:
        raise Failure("nothing was published from here yet", "./ship") from missing
    record = document(data, Published, f"build/{RECORD.name}", "./ship publish")
    if not record.tags:
        raise Failure(f"build/{RECORD.name} names no repository", "./ship publish")
    return next(iter(record.tags)).at(record.digest)


def of_commit(revision: Revision) -> Tag:
    """Return the tag that the image of a commit has before it is a release."""
    return Tag(f"sha-{revision}")


def following(released: Version, tags: Iterable[Tag]) -> dict[Tag, str]:
    """Return the tags that follow the newest release, each with what keeps `released` from having it, if anything.

    That is the newest of the releases among `tags`, those of the repository, that it could point to.
    """
    mine, there = pep440.Version(released), list(tags)
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


def _is_there(reference: Reference, digest: Digest, *, may_be_new: bool = False) -> bool:
    """Return whether `reference` is `digest`, and not missing. Raises Failure when it is another one."""
    taken = registry.digest(reference, may_be_new=may_be_new)
    if taken not in {None, digest}:
        raise Failure(
            f"{reference} is {taken} already, and this image is {digest}; that tag never moves",
            "raise the version in pyproject.toml and commit, then ./ship",
        )
    return taken is not None


def _follow(repository: Repository, version: Version, there: Sequence[Tag], digest: Digest) -> list[Tag]:
    """Let the tags that follow the newest release be `digest`, as far as that is `version`, and return those.

    The list of tags is read right before, and once more right after: of two releases at the same time, the one that
    wrote last has seen the other's version, which was there before. Raises Failure when that one is the newer; and
    when the list is not to be believed, as it lacks what is `there`.
    """
    if pep440.Version(version).is_prerelease:
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


def _listed(repository: Repository, there: Iterable[Tag]) -> list[Tag]:
    listed = registry.tags(repository)
    if lacking := [name for name in there if name not in listed]:
        raise Failure(
            f"the list of the tags of {repository} lacks {' and '.join(lacking)}, which {repository.registry} has: "
            "it does not say which release is the newest, so latest and its like stay where they are",
            "./ship release, once the list is whole",
        )
    return listed


def _describe(image: Verified, repositories: Sequence[Repository]) -> None:
    path = shipment.root() / "CHANGELOG.md"
    changelog = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    section = rf"^## \[{re.escape(image.version)}\][^\n]*\n(.*?)(?=^## \[|\Z)"
    changes = re.search(section, changelog, re.MULTILINE | re.DOTALL)
    pulls = "\n".join(f"docker pull {repository}:{image.version}@{image.digest}" for repository in repositories)
    NOTES.parent.mkdir(parents=True, exist_ok=True)
    BILL.write_text(json.dumps(image.bill, indent=2) + "\n", encoding="utf-8")
    notes = f"""{changes[1].strip() if changes else "No entry in CHANGELOG.md."}

### The image

`{image.digest}`, built from {image.revision} and the same in every registry:

```sh
{pulls}
REGISTRIES="{" ".join(repositories)}" ./ship verify {image.version}   # in a clone of this repository
```

Its bill of materials and its provenance are attached to it, and here: `{BILL.name}`, `{PROVENANCE.name}`.
"""
    NOTES.write_text(notes, encoding="utf-8")
    PROVENANCE.write_bytes(b"".join(bundle.strip() + b"\n" for bundle in _provenance(image)))


def _provenance(image: Verified) -> list[bytes]:
    """Return the Sigstore bundles with the provenance of `image`, by who must have built it."""
    said = referrers.read(image.repositories[0], image.digest)
    builder = signer.builder(signer.verifying(image.repositories))
    # Each by itself, because of several cosign does not say which was right.
    alone = {bundle: replace(said, bundles=(bundle,)) for bundle in said.bundles}
    return [bundle for bundle, one in alone.items() if cosign.statements(one, builder, statements.PROVENANCE)]

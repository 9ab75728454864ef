"""`./ship release`: version tags for a digest that is published and proven already. Nothing is built."""

import json
import re
from collections.abc import Callable, Iterable

from packaging.version import Version
from rich.table import Table

from scripts import BUILD, grammar, registry, source
from scripts.failure import Failure
from scripts.terminal import console, say
from scripts.verify import Verified, verified

RECORD = BUILD / "published.json"
# What a release on GitHub shows and carries.
NOTES = BUILD / "release" / "notes.md"
BILL = BUILD / "release" / "bill.cdx.json"


def release(wanted: str | None = None) -> str:
    """Give the image of the checked-out commit its version tags in every registry, and return version and digest.

    The image is the one that is published as `sha-<commit>`. `wanted` is the version to release, as a check, with or
    without a leading `v`. The notes and the bill of materials of the release are written to `build/release/`.

    Raises Failure when the version is another, when `./ship verify` does not trust the image, and when the version is
    tagged with another digest already, in any registry.
    """
    version, revision = source.version(), source.commit().revision
    if wanted is not None and wanted.removeprefix("v") != version:
        raise Failure(f"{wanted} is to be released, and this commit is version {version}", f"tag the commit v{version}")
    image = verified(f"sha-{revision}")
    if image.version != version:
        raise Failure(f"the image of commit {revision[:12]} is version {image.version}, not {version}")
    refuse_to_move(image.repositories, [version], image.digest)
    tags = {
        repository: [version, *moving_tags(version, registry.tags(repository))] for repository in image.repositories
    }
    try:
        place(tags, image.digest, lambda repository, name: registry.tag(repository, image.digest, name))
    finally:
        arrived = arrival({repository: [f"sha-{revision}", *names] for repository, names in tags.items()}, image.digest)
    if not arrived:
        raise Failure("a registry does not give back the digest that was tagged", "./ship release")
    _describe(image, tags)
    RECORD.write_text(json.dumps({"version": version, "digest": image.digest, "tags": tags}, indent=2) + "\n")
    return f"{version} is {image.digest} in {' and '.join(image.repositories)}"


def moving_tags(released: str, tags: Iterable[str]) -> list[str]:
    """Return the tags that follow the newest release, as far as `released` is the newest they could point to.

    `tags` are those of the repository. A pre-release moves none.
    """
    mine = Version(released)
    if mine.is_prerelease:
        return []
    others = [other for other in map(Version, filter(grammar.Version.matches, tags)) if not other.is_prerelease]
    aliases = {f"{mine.major}.{mine.minor}": 2, f"{mine.major}": 1, "latest": 0}
    return [
        alias
        for alias, shared in aliases.items()
        if all(other <= mine for other in others if other.release[:shared] == mine.release[:shared])
    ]


def published() -> str:
    """Return the reference, by digest, of what was published from here last. Raises Failure when nothing was."""
    try:
        record = json.loads(RECORD.read_bytes())
    except OSError as missing:
        raise Failure("nothing was published from here yet", "./ship") from missing
    return f"{next(iter(record['tags']))}@{record['digest']}"


def refuse_to_move(repositories: Iterable[str], tags: Iterable[str], digest: str) -> None:
    """Raise Failure when a tag that must never move is taken by another digest, in any registry."""
    for repository in repositories:
        for tag in tags:
            taken = registry.digest(f"{repository}:{tag}")
            if taken not in {None, digest}:
                raise Failure(
                    f"{repository}:{tag} is {taken} already, and this image is {digest}; nothing was pushed",
                    "raise the version in pyproject.toml and commit, then ./ship",
                )


def arrival(tags: dict[str, list[str]], digest: str) -> bool:
    """Ask every registry again, show what is where, and return whether all `tags` are `digest`."""
    table = Table("registry", "tag", "digest", "")
    right = True
    for repository, names in tags.items():
        for name in names:
            try:
                found = registry.digest(f"{repository}:{name}") or "not there"
            except Failure:
                found = "no answer"
            right = right and found == digest
            table.add_row(repository, name, found[:26], "same" if found == digest else "MISSING OR OTHER")
    console.print(table)
    return right


def place(tags: dict[str, list[str]], digest: str, write: Callable[[str, str], None]) -> None:
    """Let every one of `tags` be `digest`: `write(repository, name)` makes one so.

    Tag by tag, each in every registry before the next; one that is right already costs a question.
    """
    for position in range(max(map(len, tags.values()))):
        for repository, names in tags.items():
            for name in names[position : position + 1]:
                if registry.digest(f"{repository}:{name}") != digest:
                    say(f"  {repository}:{name}")
                    write(repository, name)


def _describe(image: Verified, tags: dict[str, list[str]]) -> None:
    path = source.root() / "CHANGELOG.md"
    changelog = path.read_text() if path.exists() else ""
    section = rf"^## \[{re.escape(image.version)}\][^\n]*\n(.*?)(?=^## \[|\Z)"
    changes = re.search(section, changelog, re.MULTILINE | re.DOTALL)
    pulls = "\n".join(f"docker pull {repository}:{image.version}@{image.digest}" for repository in tags)
    NOTES.parent.mkdir(parents=True, exist_ok=True)
    BILL.write_text(json.dumps(image.bill, indent=2) + "\n")
    NOTES.write_text(f"""{changes[1].strip() if changes else "No entry in CHANGELOG.md."}

### The image

`{image.digest}`, built from {image.revision} and the same in every registry:

```sh
{pulls}
REGISTRIES="{" ".join(tags)}" ./ship verify {image.version}   # in a clone of this repository
```

Its bill of materials is attached to it, and here: `{BILL.name}`.
""")

"""`./ship publish`: the tested digest, byte for byte, in every registry under its version tags.

Order is what makes it safe to break off. Every registry is asked first, and nothing is pushed while one of them is
down or holds the version with another digest. Then the bytes go everywhere under `sha-<commit>`, then the version
tag, and only then the tags that move. Wherever it stops, running it again goes on from there.
"""

import json
import re
from collections.abc import Iterable

from packaging.version import Version
from rich.table import Table

from scripts import registry
from scripts.build import IMAGE, Built, built
from scripts.failure import Failure
from scripts.integration import tested
from scripts.layout import Layout
from scripts.project import BUILD
from scripts.source import commit, version
from scripts.terminal import console, say

RECORD = BUILD / "published.json"
# Of the versions that Python knows (PEP 440), those that are also a tag and have three numbers to make tags of.
RELEASE = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")


def publish(*, unless_released: bool = False) -> str:
    """Publish what `build/image/` holds, and return its version and digest.

    With `unless_released`, a version that every registry holds with one and the same other digest is left alone, and
    the image goes out under `sha-<commit>` only: a branch may move on without a new version.

    Raises Failure when the work tree is dirty or is not what was built, when the tests did not pass for this very
    digest, when a registry is down, when the version or
    the commit is tagged with another digest already, and when a registry does not answer with the digest afterwards.
    """
    check_publishable()
    image = built()
    revision = commit().revision
    if image.revision != revision:
        raise Failure(f"the image was built from {image.revision[:12]}, and {revision[:12]} is checked out", "./ship")
    Layout(IMAGE).check()
    tested()
    repositories = registry.repositories()
    if repositories == registry.local_repositories():
        registry.start_local()
    fixed = [f"sha-{revision}"]
    if not (unless_released and _released(repositories, image)):
        fixed.append(image.version)
    _refuse_to_move(repositories, fixed, image.digest)
    wanted = {
        repository: [*fixed, *(moving_tags(image.version, registry.tags(repository)) if image.version in fixed else [])]
        for repository in repositories
    }
    try:
        _push(wanted, image.digest)
    finally:
        arrived = _show(wanted, image.digest)
    if not arrived:
        raise Failure("a registry does not give back the digest that was pushed", "./ship publish")
    record = {"version": image.version, "digest": image.digest, "tags": wanted}
    RECORD.write_text(json.dumps(record, indent=2) + "\n")
    return f"{fixed[-1]} is {image.digest} in {' and '.join(repositories)}"


def moving_tags(released: str, tags: Iterable[str]) -> list[str]:
    """Return the tags that follow the newest release, as far as `released` is the newest they could point to.

    `tags` are those of the repository. A pre-release moves none.
    """
    mine = Version(released)
    if mine.is_prerelease:
        return []
    others = [other for other in map(Version, filter(RELEASE.fullmatch, tags)) if not other.is_prerelease]
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


def check_publishable() -> None:
    """Raise Failure when this checkout cannot publish: uncommitted changes, or a version that is none."""
    if commit().dirty:
        raise Failure(
            "the work tree has uncommitted changes, so no commit would rebuild this image",
            "git commit them; ./ship test builds and tests without publishing",
        )
    if not RELEASE.fullmatch(version()):
        raise Failure(
            f"the version {version()!r} is not MAJOR.MINOR.PATCH, or that with a1, b1 or rc1",
            "mend it in pyproject.toml, or in VERSION where that is set",
        )


def _refuse_to_move(repositories: Iterable[str], fixed: Iterable[str], digest: str) -> None:
    """Raise Failure when a tag that must never move is taken by another digest, in any registry."""
    for repository in repositories:
        for tag in fixed:
            taken = registry.digest(f"{repository}:{tag}")
            if taken not in {None, digest}:
                raise Failure(
                    f"{repository}:{tag} is {taken} already, and this image is {digest}; nothing was pushed",
                    "raise the version in pyproject.toml and commit, then ./ship",
                )


def _released(repositories: Iterable[str], image: Built) -> bool:
    """Return whether every registry holds this version with one digest, and it is that of another commit."""
    found = {registry.digest(f"{repository}:{image.version}") for repository in repositories}
    return len(found) == 1 and not found & {None, image.digest}


def _push(wanted: dict[str, list[str]], digest: str) -> None:
    """Push tag by tag, each to every registry before the next; a tag that is right already costs one question."""
    for place in range(max(len(tags) for tags in wanted.values())):
        for repository, tags in wanted.items():
            for tag in tags[place : place + 1]:
                reference = f"{repository}:{tag}"
                if registry.digest(reference) == digest:
                    continue
                say(f"  {reference}")
                registry.push(IMAGE, reference)


def _show(wanted: dict[str, list[str]], digest: str) -> bool:
    """Ask every registry again, show what is where, and return whether all of it is `digest`."""
    table = Table("registry", "tag", "digest", "")
    right = True
    for repository, tags in wanted.items():
        for tag in tags:
            try:
                found = registry.digest(f"{repository}:{tag}") or "not there"
            except Failure:
                found = "no answer"
            right = right and found == digest
            table.add_row(repository, tag, found[:26], "same" if found == digest else "MISSING OR OTHER")
    console.print(table)
    return right

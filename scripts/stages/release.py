"""`./ship release`: version tags for a digest that is published and proven already. Nothing is built."""

import json
import re
from dataclasses import replace

from packaging.version import Version as Ordered

from scripts import artifacts, shipment
from scripts.artifacts import NOTES, PROVENANCE, RELEASED_SBOM, Published
from scripts.errors import Failure
from scripts.evidence import cosign, referrers, signer, statements
from scripts.evidence.verification import Verified, verified
from scripts.github import actions
from scripts.grammar import Tag, Version
from scripts.oci import registry, tags


def release(wanted: str | None = None, *, unless_taken: bool = False) -> str:
    """Give the image of the checked-out commit its version tags in every registry, and return version and digest.

    The image is the one that is published as `sha-<commit>`. `wanted` is the version to release, as a check, with or
    without a leading `v`. What a release page shows and carries is written to `build/release/`: the notes, the bill of
    materials, and the provenance as Sigstore bundles, one a line. GitHub's later steps can read the outputs `latest`,
    whether this is the newest release everywhere, and `prerelease`. With `unless_taken`, a version that is tagged with
    another digest, and in no registry with this one, is left as it is, and what is returned says so.

    Raises Failure when the version is another, when `./ship verify` does not trust the image, when the version is
    tagged with another digest already, in any registry, and when a registry's list of tags does not say which release
    is the newest.
    """
    version, revision = shipment.version(), shipment.commit().revision
    if wanted is not None and Version.of(wanted.removeprefix("v"), "the version to release") != version:
        raise Failure(f"{wanted} is to be released, and this commit is version {version}", f"tag the commit v{version}")
    image = verified(tags.of_commit(revision))
    digest, repositories = image.release.digest, image.repositories
    if image.release.version != version:
        raise Failure(f"the image of commit {revision.short} is version {image.release.version}, not {version}")
    try:
        tags.refuse_to_move(repositories, [Tag(version)], digest)
    except tags.Taken as taken:
        # One that has this digest already began to release it: now they disagree about what the version is.
        if not unless_taken or any(registry.digest(one.at(Tag(version))) == digest for one in repositories):
            raise
        return f"not released: {taken.reason}. It is published as {tags.of_commit(revision)}; {taken.remedy}"
    given = {repository: [tags.of_commit(revision), Tag(version)] for repository in repositories}
    try:
        tags.place(repositories, Tag(version), digest)
        for repository, names in given.items():
            names.extend(tags.move_aliases(repository, version, names, digest))
    except Failure:
        tags.confirm(given, digest)
        raise
    if not tags.confirm(given, digest):
        raise Failure("a registry does not give back the digest that was tagged", "./ship release")
    _describe(image)
    actions.output("latest", str(all("latest" in names for names in given.values())).lower())
    actions.output("prerelease", str(Ordered(version).is_prerelease).lower())
    artifacts.keep(Published(version, digest, given))
    return f"{version} is {digest} in {' and '.join(repositories)}"


def _describe(image: Verified) -> None:
    """Write what a release page shows and carries."""
    release, repositories = image.release, image.repositories
    pulls = "\n".join(f"docker pull {repository}:{release.version}@{release.digest}" for repository in repositories)
    NOTES.parent.mkdir(parents=True, exist_ok=True)
    RELEASED_SBOM.write_text(json.dumps(image.sbom, indent=2) + "\n", encoding="utf-8")
    notes = f"""{_changes(release.version)}

### The image

`{release.digest}`, built from {release.revision} and the same in every registry:

```sh
{pulls}
SHIP_REGISTRIES="{" ".join(repositories)}" ./ship verify {release.version}   # in a clone of this repository
```

Its bill of materials and its provenance are attached to it, and here: `{RELEASED_SBOM.name}`, `{PROVENANCE.name}`.
"""
    NOTES.write_text(notes, encoding="utf-8")
    PROVENANCE.write_bytes(b"".join(bundle.strip() + b"\n" for bundle in _provenance(image)))


def _changes(version: Version) -> str:
    """Return what CHANGELOG.md says of `version`."""
    path = shipment.root() / "CHANGELOG.md"
    changelog = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    section = rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## \[|\Z)"
    found = re.search(section, changelog, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else "No entry in CHANGELOG.md."


def _provenance(image: Verified) -> list[bytes]:
    """Return the Sigstore bundles with the provenance of `image`, by who must have built it."""
    said = referrers.read(image.repositories[0], image.release.digest)
    builder = signer.provenance_signer(signer.require_verifier(image.repositories))
    # Each by itself, because of several cosign does not say which was right.
    alone = {bundle: replace(said, bundles=(bundle,)) for bundle in said.bundles}
    return [bundle for bundle, one in alone.items() if cosign.statements(one, builder, statements.PROVENANCE)]

"""`./ship publish`: the tested digest, byte for byte, in every registry, with its evidence, and under its version.

Order is what makes it safe to break off. Every registry is asked first, and nothing is pushed while one of them is
down or holds the version with another digest. Then the bytes go everywhere under `sha-<commit>`, then the evidence,
and only what `./ship verify` then trusts gets the version tags (`./ship release`). Wherever it stops, running it again
goes on from there.
"""

import json
import os

from scripts import ROOT
from scripts.errors import Failure
from scripts.evidence import cosign, signer
from scripts.evidence.attestation import attest
from scripts.github import actions
from scripts.grammar import Digest, Tag, Version
from scripts.oci import registry
from scripts.oci.layout import Layout
from scripts.shipment import commit, version
from scripts.stages.build import IMAGE, built
from scripts.stages.integration import tested
from scripts.stages.release import arrival, of_commit, place, refuse_to_move, release
from scripts.stages.scan import scanned


def publish(*, commit_only: bool = False, expected: Digest | None = None) -> str:
    """Publish what `build/image/` holds, with its evidence, and return its version and digest.

    With `commit_only` it gets the tag `sha-<commit>` alone, for `./ship release` to find. `expected` is what was built,
    where that was in another place: what came from there by way of a store is compared with it.

    Raises Failure when the work tree is dirty or is not what was built, when the image is not `expected`, when tests or
    scan did not pass for this very digest, when this machine cannot sign, when a registry is down, when the version or
    the commit is tagged with another digest already, and when a registry does not answer with the digest afterwards.
    """
    stated, image, at = check_publishable(), built(), commit()
    revision, digest = at.revision, image.digest
    if expected and digest != expected:
        raise Failure(
            f"{expected} was built, and {IMAGE.relative_to(ROOT)} is {digest}",
            "somebody or something changed it on its way: build it again, and find out what did",
        )
    if image.revision != at.work_tree:
        raise Failure(f"the image was built from {image.revision[:12]}, and {revision.short} is checked out", "./ship")
    if image.version != stated:
        raise Failure(f"the image was built as version {image.version}, and this is {stated}", "./ship")
    Layout(IMAGE).check()
    tested()
    scanned()
    repositories = registry.repositories()
    cosign.require()
    who = signer.signing(repositories)
    if repositories == registry.local_repositories():
        registry.start_local()
    name = of_commit(revision)
    refuse_to_move(repositories, [name] if commit_only else [name, Tag(stated)], digest, may_be_new=True)
    tags = {repository: [name] for repository in repositories}
    try:
        for repository in repositories:
            if registry.digest(repository.at(name), may_be_new=True) != digest:
                # By its digest: however long it takes, no tag is written before it has been asked for once more.
                registry.push(IMAGE, repository.at(digest))
            place([repository], name, digest)
        attest(repositories, image, who)
    except Failure:
        arrival(tags, digest)
        raise
    if not commit_only:
        return release()
    if not arrival(tags, digest):
        raise Failure("a registry does not give back the digest that was pushed", "./ship publish")
    actions.output("repositories", json.dumps(repositories))
    return f"{name} is {digest} in {' and '.join(repositories)}"


def check() -> str:
    """Refuse now what publishing would be refused for after the build and the tests; return what may be published.

    Raises Failure as `check_publishable` does, when REGISTRIES names no repository, and in a private repository.
    """
    stated, repositories = check_publishable(), registry.repositories()
    if not all(map(registry.is_local, repositories)):
        actions.require_public()
    if "GITHUB_ACTIONS" not in os.environ:  # there, a job that publishes nothing may not sign
        cosign.require()
        signer.signing(repositories)
    return f"{stated} may go to {' and '.join(repositories)}"


def check_publishable() -> Version:
    """Return the version to publish.

    Raises Failure when this checkout cannot publish: uncommitted changes, or a version that is none.
    """
    if commit().dirty:
        raise Failure(
            "the work tree has uncommitted changes, so no commit would rebuild this image",
            "git commit them; ./ship test builds and tests without publishing",
        )
    return version()

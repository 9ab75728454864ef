"""`./ship publish`: the tested digest, byte for byte, in every registry, with its evidence, under `sha-<commit>`.

Order is what makes it safe to break off. Every registry is asked first, and nothing is pushed while one of them is
down or holds the tag with another digest. Then the bytes go everywhere, then the evidence; version tags come later, and
for what `./ship verify` trusts alone (`./ship release`). Wherever it stops, running it again goes on from there.
"""

import json
import os

from scripts import ROOT, artifacts, shipment
from scripts.artifacts import IMAGE, Built, Published, built, scanned, tested
from scripts.errors import Failure
from scripts.evidence import signer
from scripts.evidence.attestation import attest
from scripts.github import actions
from scripts.grammar import Digest, Tag, Version
from scripts.host import registries
from scripts.host.cosign import require_cosign
from scripts.oci import registry, tags
from scripts.oci.layout import Layout


def publish(*, commit_only: bool = False, expected: Digest | None = None) -> str:
    """Publish what `build/image/` holds, with its evidence, as `sha-<commit>`, and return that and its digest.

    Unless `commit_only`, a version follows, and one that is tagged with another digest is refused before anything is
    pushed. `expected` is what was built, where that was in another place: what came from there by way of a store is
    compared with it.

    Raises Failure when the work tree is dirty or is not what was built, when the image is not `expected`, when tests or
    scan did not pass for this very digest, when this machine cannot sign, when a registry is down, when the version or
    the commit is tagged with another digest already, and when a registry does not answer with the digest afterwards.
    """
    stated, image = check_publishable(), _checked(expected)
    digest, name = image.digest, tags.of_commit(shipment.commit().revision)
    repositories = shipment.repositories()
    require_cosign()
    who = signer.require_signer(repositories)
    if repositories == shipment.local_repositories():
        registries.start()
    tags.refuse_to_move(repositories, [name] if commit_only else [name, Tag(stated)], digest, may_be_new=True)
    given = {repository: [name] for repository in repositories}
    try:
        for repository in repositories:
            if registry.digest(repository.at(name), may_be_new=True) != digest:
                # By its digest: however long it takes, no tag is written before it has been asked for once more.
                registry.push(IMAGE, repository.at(digest))
            tags.place([repository], name, digest)
        attest(repositories, image, who)
    except Failure:
        tags.confirm(given, digest)
        raise
    if not tags.confirm(given, digest):
        raise Failure("a registry does not give back the digest that was pushed", "./ship publish")
    artifacts.keep(Published(stated, digest, given))
    actions.output("repositories", json.dumps(repositories))
    return f"{name} is {digest} in {' and '.join(repositories)}"


def check() -> str:
    """Refuse now what publishing would be refused for after the build and the tests; return what may be published.

    Raises Failure as `check_publishable` does, when SHIP_REGISTRIES names no repository, on GitHub when nothing does,
    and in a private repository. Elsewhere, also when this machine cannot sign, and when a registry does not answer.
    """
    stated, repositories = check_publishable(), shipment.repositories()
    if "GITHUB_ACTIONS" in os.environ and repositories == shipment.local_repositories():
        raise Failure(
            "nothing says where to publish, and a registry on this runner ends with it",
            f'registries = ["ghcr.io/{os.environ.get("GITHUB_REPOSITORY", "me/house-price").lower()}"] in ship.toml',
        )
    if not all(map(registry.is_local, repositories)):
        actions.require_public()
    if "GITHUB_ACTIONS" not in os.environ:  # there, a job that publishes nothing may not sign
        require_cosign()
        signer.require_signer(repositories)
        if repositories != shipment.local_repositories():  # those are started when they are needed
            for repository in repositories:
                registry.digest(repository.at(Tag(stated)), may_be_new=True)
    return f"{stated} may go to {' and '.join(repositories)}"


def check_publishable() -> Version:
    """Return the version to publish.

    Raises Failure when this checkout cannot publish: uncommitted changes, a version or a repository that is none.
    """
    if shipment.commit().dirty:
        raise Failure(
            "the work tree has uncommitted changes, so no commit would rebuild this image",
            "git commit them; ./ship test builds and tests without publishing",
        )
    shipment.repositories()
    return shipment.version()


def _checked(expected: Digest | None) -> Built:
    """Return what was built. Raises Failure when it is not of this commit, not tested, not scanned, or damaged."""
    image, at, stated = built(), shipment.commit(), shipment.version()
    if expected and image.digest != expected:
        raise Failure(
            f"{expected} was built, and {IMAGE.relative_to(ROOT)} is {image.digest}",
            "somebody or something changed it on its way: build it again, and find out what did",
        )
    if image.revision != at.work_tree:
        raise Failure(
            f"the image was built from {image.revision[:12]}, and {at.revision.short} is checked out", "./ship"
        )
    if image.version != stated:
        raise Failure(f"the image was built as version {image.version}, and this is {stated}", "./ship")
    Layout(IMAGE).check()
    tested()
    scanned()
    return image

"""What hangs beside an image in a registry: Sigstore bundles, as OCI 1.1 referrers. Read once, and not verified here.

Whoever may push can attach anything, and as much of it: what is read has an end.

Sources: https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-referrers and
https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from scripts.console import say
from scripts.errors import Failure
from scripts.grammar import Digest, Reference, Repository, Tag, document
from scripts.oci import registry
from scripts.oci.manifest import INDEX, MANIFEST, Manifest
from scripts.process import Ended, Limit, attempt

# What a release has are four. Beyond this nothing is read: each one costs two requests.
MOST = 100
SECONDS = 60
LARGEST = 64 << 20
"""Bytes of all of them. A bill of materials has about a fifth of one MiB."""
BUNDLE = "application/vnd.dev.sigstore.bundle"
# The digest of a referrer; those of its layers stand alone, and are no manifests to ask for.
_DIGEST = re.compile(rb"(?<=@)sha256:[0-9a-f]{64}")
# How cosign tree says that there is one, and how that it could not be read.
_LISTED, _UNREADABLE = " artifacts via OCI referrer: ", "Error fetching "


class _Typed(msgspec.Struct):
    media_type: str = msgspec.field(default="", name="mediaType")


class _Entry(msgspec.Struct):
    digest: Digest


class _Index(msgspec.Struct):
    manifests: list[msgspec.Raw]


@dataclass(frozen=True)
class Referrers:
    """What is said of one image in one repository, by whomever."""

    repository: Repository
    digest: Digest
    bundles: tuple[bytes, ...]
    unread: int = 0
    """Referrers that are listed, and are gone, or are no bundles."""

    @contextmanager
    def layout(self) -> Iterator[Path]:
        """Give a folder in which cosign finds the bundles, as it does in one that `cosign save` wrote."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            blobs = path / "blobs" / "sha256"
            blobs.mkdir(parents=True)
            layers = [_put(blobs, bundle, f"{BUNDLE}.v0.3+json") for bundle in self.bundles]
            subject = {"mediaType": MANIFEST, "digest": self.digest, "size": 0}
            manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": subject, "layers": layers}
            _put(blobs, json.dumps({**manifest, "subject": subject}).encode(), MANIFEST)
            image = {**subject, "annotations": {"kind": "dev.cosignproject.cosign/image"}}
            (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
            (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [image]}))
            yield path


def read(repository: Repository, digest: Digest) -> Referrers:
    """Return what is said of the image `digest` in `repository`.

    Raises Failure when the registry cannot be asked, and when there are more than MOST.
    """
    reference = repository.at(digest)
    # Listed first: where that is refused, `download` says that there are none.
    tree = _ask("tree", reference=reference)
    if tree.returncode:
        raise _refused(reference, tree)
    listed = tree.stdout.count(_LISTED.encode())
    unreadable = tree.stderr.count(_UNREADABLE)
    _check_number(reference, listed + unreadable)
    _check_size(reference, tree.stdout)
    done = _ask("download", "attestation", reference=reference)
    if done.returncode and "found no attestations" not in done.stderr:
        raise _refused(reference, done)
    lines = [line for line in done.stdout.split(b"\n") if line]
    # What is older than bundles comes out in another form.
    bundles = tuple(one for one in lines if document(one, _Typed, "cosign's output").media_type.startswith(BUNDLE))
    return Referrers(repository, digest, bundles, max(0, listed + unreadable - len(bundles)))


def mend(repository: Repository, digest: Digest) -> bool:
    """Take out of the list of referrers what `repository` does not hold any more; return whether there was any.

    A registry without the API for referrers has that list under a tag, and some take none with a gap: after somebody
    has deleted a referrer, nothing can be attached any more.
    """
    tag = repository.at(Tag(digest.replace(":", "-")))
    try:
        listed = registry.manifest(tag)
    except registry.Absent:
        return False
    entries = document(listed, _Index, f"the list of referrers {tag}").manifests
    _check_number(tag, len(entries))
    kept = [entry for entry in entries if registry.digest(repository.at(_digest(entry, tag)))]
    if len(kept) == len(entries):
        return False
    say(f"  {tag} lists {len(entries) - len(kept)} referrers that are gone: taken out")
    with tempfile.TemporaryDirectory() as folder:
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": kept}
        Path(folder, "manifest.json").write_bytes(msgspec.json.encode(index))
        registry.push_index(Path(folder), tag)
    return True


def limit(repository: Repository) -> Limit:
    """Return how long a question about `repository` may take."""
    return Limit(SECONDS, repository.registry)


def _check_number(reference: str, number: int) -> None:
    if number > MOST:
        raise Failure(
            f"{reference} has {number} referrers, and no more than {MOST} are read",
            "delete those that none of yours attached: cosign tree lists them",
        )


def _check_size(reference: Reference, tree: bytes) -> None:
    """Raise Failure when what the referrers in `tree` name is more than is read: one blob can be named by many."""
    size = 0
    for digest in {Digest(name.decode()) for name in _DIGEST.findall(tree)} - {reference.digest}:
        try:
            manifest = registry.manifest(reference.repository.at(digest))
            size += sum(layer.size for layer in document(manifest, Manifest, f"the referrer {digest}").layers)
        except Failure:  # it is gone, or is none: cosign does not read it either
            continue
    if size > LARGEST:
        raise Failure(
            f"the referrers of {reference} are {size >> 20} MiB, and no more than {LARGEST >> 20} are read",
            "delete those that none of yours attached: cosign tree lists them",
        )


def _put(blobs: Path, content: bytes, kind: str) -> dict[str, str | int]:
    digest = Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")
    (blobs / digest.encoded).write_bytes(content)
    return {"mediaType": kind, "digest": digest, "size": len(content)}


def _ask(*verb: str, reference: Reference) -> Ended:
    return attempt("cosign", *verb, "--", reference, limit=limit(reference.repository))


def _digest(entry: msgspec.Raw, tag: Reference) -> Digest:
    return document(bytes(entry), _Entry, f"the list of referrers {tag}").digest


def _refused(reference: Reference, done: Ended) -> Failure:
    why = done.words.rpartition(" | ")[2].removeprefix("error during command execution: ")
    host = reference.repository.registry
    return Failure(f"{host} cannot be asked what is said of {reference}: {why}", "try again later")

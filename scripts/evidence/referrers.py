"""The referrers of an image in a registry: Sigstore bundles, as OCI 1.1 has them. Read here, not verified.

Anyone who may push can attach anything, so what is read has a limit.

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

# A release has four. Each one costs two requests.
MAX_REFERRERS = 100
SECONDS = 60
MAX_BYTES = 64 << 20
"""Bytes of all of them together. A bill of materials has about 0.2 MiB."""
BUNDLE = "application/vnd.dev.sigstore.bundle"
# The digest of a referrer: those of its layers have no @ in front, and are not manifests.
_DIGEST = re.compile(rb"(?<=@)sha256:[0-9a-f]{64}")
# How `cosign tree` lists a referrer, and how it reports one that it could not read.
_LISTED, _UNREADABLE = " artifacts via OCI referrer: ", "Error fetching "


class _Typed(msgspec.Struct):
    media_type: str = msgspec.field(default="", name="mediaType")


class _Entry(msgspec.Struct):
    digest: Digest


class _Index(msgspec.Struct):
    manifests: list[msgspec.Raw]


@dataclass(frozen=True)
class Referrers:
    """What is attached to one image in one repository, by anyone."""

    repository: Repository
    digest: Digest
    bundles: tuple[bytes, ...]
    unread: int = 0
    """Listed referrers that are gone or are not bundles."""

    @contextmanager
    def layout(self) -> Iterator[Path]:
        """Yield a folder in which cosign finds the bundles, in the form that `cosign save` writes."""
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
    """Return what is attached to the image `digest` in `repository`.

    Raises Failure when the registry does not answer, and when there is more than the limits allow.
    """
    reference = repository.at(digest)
    # `tree` comes first: when a registry refuses to list referrers, `download` reports none.
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
    # Attestations from before bundles have another form.
    bundles = tuple(one for one in lines if document(one, _Typed, "cosign's output").media_type.startswith(BUNDLE))
    return Referrers(repository, digest, bundles, max(0, listed + unreadable - len(bundles)))


def prune(repository: Repository, digest: Digest) -> bool:
    """Remove referrers that `repository` no longer holds from its list; return whether there were any.

    A registry without the referrers API keeps that list under a tag. Some refuse a list that names a deleted manifest,
    so that nothing can be attached any more.
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
    say(f"  {tag} lists {len(entries) - len(kept)} deleted referrers: removed")
    with tempfile.TemporaryDirectory() as folder:
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": kept}
        Path(folder, "manifest.json").write_bytes(msgspec.json.encode(index))
        registry.push_index(Path(folder), tag)
    return True


def limit(repository: Repository) -> Limit:
    """Return how long a query about `repository` may take."""
    return Limit(SECONDS, repository.registry)


def _check_number(reference: str, number: int) -> None:
    if number > MAX_REFERRERS:
        raise Failure(
            f"{reference} has {number} referrers, and the limit is {MAX_REFERRERS}",
            "delete those that are not yours: cosign tree lists them",
        )


def _check_size(reference: Reference, tree: bytes) -> None:
    """Raise Failure when the referrers in `tree` name more bytes than the limit: many can name one blob."""
    size = 0
    for digest in {Digest(name.decode()) for name in _DIGEST.findall(tree)} - {reference.digest}:
        try:
            manifest = registry.manifest(reference.repository.at(digest))
            size += sum(layer.size for layer in document(manifest, Manifest, f"the referrer {digest}").layers)
        except Failure:  # gone, or not a manifest: cosign does not read it either
            continue
    if size > MAX_BYTES:
        raise Failure(
            f"the referrers of {reference} have {size >> 20} MiB, and the limit is {MAX_BYTES >> 20}",
            "delete those that are not yours: cosign tree lists them",
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
    return Failure(f"{host} does not list the referrers of {reference}: {why}", "try again later")

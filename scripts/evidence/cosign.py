"""Signing and attesting a digest, and reading back what a trusted signer said of it, with cosign.

What cosign 3 writes are Sigstore bundles, kept beside the image as OCI 1.1 referrers, so the image's own digest stays
what it was.

Source: https://docs.sigstore.dev/cosign/verifying/verify/ and
https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md
"""

import json
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import msgspec

from scripts.errors import Failure
from scripts.evidence import referrers
from scripts.evidence.referrers import Referrers
from scripts.evidence.signer import KeyPair, Signer, Workflow, password
from scripts.grammar import Digest, Repository, document
from scripts.process import Ended, Limit, attempt, output

SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
# Neither asked for a time stamp nor told a transparency log: what a key pair on a machine of one's own needs.
ALONE = {
    "signing-config": {
        "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "rekorTlogConfig": {},
        "tsaConfig": {},
    },
    "trusted-root": {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"},
}


def sign(repository: Repository, digest: Digest, who: Signer) -> None:
    """Sign the image `digest` in `repository`."""
    _write("sign", repository, digest, who)


def attest(repository: Repository, digest: Digest, who: Signer, kind: str, predicate: bytes) -> None:
    """Attach a signed in-toto statement of predicate type `kind` about the image `digest` in `repository`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "predicate.json")
        path.write_bytes(predicate)
        _write("attest", repository, digest, who, f"--type={kind}", f"--predicate={path}")


def signed(said: Referrers, who: Signer) -> bool:
    """Return whether `who` signed the image that `said` is about."""
    # An attestation is signed, too; only what is made by signing says "this is the image".
    return bool(statements(said, who, SIGNATURE))


def statements(said: Referrers, who: Signer, kind: str) -> list[bytes]:
    """Return the predicates, JSON, of all statements of type `kind` in `said` that `who` signed about its image.

    Raises Failure when cosign could not check that.
    """
    return _verify(said, who, kind)[0]


def refusal(said: Referrers, who: Signer, kind: str) -> str:
    """Return why cosign takes none of the statements of type `kind` in `said` as one by `who`.

    Nothing when there are none, or when it takes one. Raises Failure when cosign could not check that.
    """
    return _verify(said, who, kind)[1]


def _verify(said: Referrers, who: Signer, kind: str) -> tuple[list[bytes], str]:
    """Return the predicates that cosign finds right and, where it finds none, why not."""
    # What says of itself that it is something else cannot be found right, and would be the reason for nothing.
    of_kind = replace(said, bundles=tuple(bundle for bundle in said.bundles if _kind(bundle) == kind))
    if not of_kind.bundles:
        return [], ""
    with of_kind.layout() as folder:
        options = (f"--type={kind}", "--local-image=true", *who.options)
        # Who is asked over a network, if anybody: Sigstore for the keys of its own, or the service that keeps a key.
        limit = Limit(referrers.SECONDS, str(who) if isinstance(who, KeyPair) else "Sigstore")
        done = attempt("cosign", "verify-attestation", *options, "--", str(folder), limit=limit)
    if done.returncode:
        return [], _why_not(done, who)
    envelopes = [document(line, _Envelope, "cosign's output") for line in done.stdout.split(b"\n") if line]
    return [bytes(document(one.payload, _Statement, f"a statement by {who}").predicate) for one in envelopes], ""


def _why_not(done: Ended, who: Signer) -> str:
    """Return what cosign has against all that it was shown. Raises Failure when it could not tell."""
    if found := _NOTHING.match(done.stderr):
        # One line for each bundle, and often the same.
        return " | ".join(dict.fromkeys(filter(None, map(str.strip, found[1].splitlines()))))
    raise Failure(f"cosign cannot tell what {who} signed: {done.words.rpartition(' | ')[2]}")


# What cosign says in the end when nothing there is from the signer in question, or of that type.
_NOTHING = re.compile(
    r".*error during command execution: "
    r"(?:no matching attestations: |(?=none of the attestations matched|no valid bundles found))(.*)",
    re.DOTALL,
)


class _Envelope(msgspec.Struct):
    """https://github.com/secure-systems-lab/dsse/blob/v1.0.0/envelope.md."""

    payload: bytes


class _Statement(msgspec.Struct):
    """https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md."""

    predicate: msgspec.Raw
    type: str = msgspec.field(default="", name="predicateType")


class _Bundle(msgspec.Struct):
    """https://github.com/sigstore/protobuf-specs/blob/v0.5.0/protos/sigstore_bundle.proto."""

    envelope: _Envelope = msgspec.field(name="dsseEnvelope")


def _kind(bundle: bytes) -> str | None:
    """Return of what type a bundle says that its statement is, which nobody has checked; nothing when it has none."""
    try:
        payload = document(bundle, _Bundle, "a bundle").envelope.payload
        return document(payload, _Statement, "a statement").type
    except Failure:
        return None


def _write(verb: str, repository: Repository, digest: Digest, who: Signer, *arguments: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        where = _alone(who, Path(folder)) if isinstance(who, KeyPair) else _sigstore(who)
        arguments = (*where, *arguments, "--yes", "--", repository.at(digest))
        output("cosign", verb, *arguments, env=password(), limit=referrers.limit(repository))


def _alone(who: KeyPair, folder: Path) -> list[str]:
    """Return with what a key pair signs, in files in `folder`."""
    options = [f"--key={who.private}"]
    for option, content in ALONE.items():
        path = folder / option
        path.write_text(json.dumps(content))
        options.append(f"--{option}={path}")
    return options


def _sigstore(who: Workflow) -> list[str]:
    """Return with which Sigstore a workflow signs: none is named for the public one."""
    named = {"signing-config": who.signing_config, "trusted-root": who.trusted_root}
    return [f"--{option}={path}" for option, path in named.items() if path]

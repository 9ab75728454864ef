"""Signs and attests a digest with cosign, and reads back the statements of a trusted signer.

cosign 3 writes Sigstore bundles as OCI 1.1 referrers, so the digest of the image itself does not change.

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
# For a key pair: no timestamp and no transparency log, so signing needs no network.
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
    """Attach a signed in-toto statement with predicate type `kind` to the image `digest` in `repository`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "predicate.json")
        path.write_bytes(predicate)
        _write("attest", repository, digest, who, f"--type={kind}", f"--predicate={path}")


def is_signed(attached: Referrers, who: Signer) -> bool:
    """Return whether `who` signed the image with the referrers `attached`."""
    # Attestations are signed too, but only `cosign sign` states "this is the image".
    return bool(statements(attached, who, SIGNATURE))


def statements(attached: Referrers, who: Signer, kind: str) -> list[bytes]:
    """Return the predicates (JSON) of all statements of type `kind` in `attached` that `who` signed.

    Raises Failure when cosign could not check them.
    """
    return _verify(attached, who, kind)[0]


def explain_refusal(attached: Referrers, who: Signer, kind: str) -> str:
    """Return why cosign rejects every statement of type `kind` in `attached` as one by `who`.

    Empty when there is none, or when it accepts one. Raises Failure when cosign could not check them.
    """
    return _verify(attached, who, kind)[1]


def _verify(attached: Referrers, who: Signer, kind: str) -> tuple[list[bytes], str]:
    """Return the predicates that cosign accepts or, if there are none, why it rejects them."""
    # Bundles that claim another type would only add reasons that do not matter.
    of_kind = replace(attached, bundles=tuple(bundle for bundle in attached.bundles if _kind(bundle) == kind))
    if not of_kind.bundles:
        return [], ""
    with of_kind.layout() as folder:
        options = (f"--type={kind}", "--local-image=true", *who.options)
        # Whom cosign may query over the network: Sigstore for its own keys, or the KMS that keeps a key.
        limit = Limit(referrers.SECONDS, str(who) if isinstance(who, KeyPair) else "Sigstore")
        done = attempt("cosign", "verify-attestation", *options, "--", str(folder), limit=limit)
    if done.returncode:
        return [], _why_not(done, who)
    envelopes = [document(line, _Envelope, "cosign's output") for line in done.stdout.split(b"\n") if line]
    return [bytes(document(one.payload, _Statement, f"a statement by {who}").predicate) for one in envelopes], ""


def _why_not(done: Ended, who: Signer) -> str:
    """Return why cosign rejected every bundle. Raises Failure when it could not check them."""
    if found := _NOTHING.match(done.stderr):
        # One line for each bundle, often the same.
        return " | ".join(dict.fromkeys(filter(None, map(str.strip, found[1].splitlines()))))
    raise Failure(f"cosign could not check what {who} signed: {done.words.rpartition(' | ')[2]}")


# cosign's last message when no bundle is from the signer or of the type in question.
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
    """Return the type that a bundle claims for its statement, unchecked; None when it claims none."""
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
    """Return cosign's options for signing with a key pair, with their files in `folder`."""
    options = [f"--key={who.private}"]
    for option, content in ALONE.items():
        path = folder / option
        path.write_text(json.dumps(content))
        options.append(f"--{option}={path}")
    return options


def _sigstore(who: Workflow) -> list[str]:
    """Return cosign's options for signing as a workflow; the public Sigstore needs none."""
    named = {"signing-config": who.signing_config, "trusted-root": who.trusted_root}
    return [f"--{option}={path}" for option, path in named.items() if path]

"""Signing and attesting a digest, and reading back what a trusted signer said of it, with cosign.

What cosign 3 writes are Sigstore bundles, kept beside the image as OCI 1.1 referrers, so the image's own digest stays
what it was. Two signers are known, and the rest of the pipeline does not care which:

- on GitHub, the workflow itself: a certificate for its identity, and an entry in the public transparency log;
- anywhere else, a key pair: COSIGN_KEY, or for the local registries one that is made on first use.

Source: https://docs.sigstore.dev/cosign/verifying/verify/ and
https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md
"""

import json
import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from scripts import debian, project, referrers, registry
from scripts.failure import Failure
from scripts.grammar import Digest, Identity, Key, Repository, document
from scripts.process import Limit, attempt, output, succeeds
from scripts.referrers import Referrers

MANUAL = "https://docs.sigstore.dev/cosign/system_config/installation/"
ISSUER = "https://token.actions.githubusercontent.com"
# A certificate names the file that its job is written in. Only pinned actions can get one in the builder's name; in the
# publisher's this project's own code signs.
BUILDER, PUBLISHER = "image.yml", "publish.yml"
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


@dataclass(frozen=True)
class KeyPair:
    """A signer known by a key: a file, or what cosign takes as a key of a KMS."""

    private: Key | None
    public: Key

    def __str__(self) -> str:
        return f"the key {self.public}"

    @property
    def options(self) -> tuple[str, ...]:
        return (f"--key={self.public}", "--insecure-ignore-tlog=true")


@dataclass(frozen=True)
class Workflow:
    """A signer known by the identity that GitHub gave to a workflow."""

    identity: Identity

    def __str__(self) -> str:
        return self.identity

    def as_file(self, name: str) -> "Workflow":
        """Return the same workflow as it signs from its file `name`, of the same repository and commit."""
        return Workflow(Identity(re.sub(r"(?<=/\.github/workflows/)[^/@]+(?=@)", name, self.identity)))

    @property
    def options(self) -> tuple[str, ...]:
        return (f"--certificate-identity={self.identity}", f"--certificate-oidc-issuer={ISSUER}")


Signer = KeyPair | Workflow


def builder(who: Signer) -> Signer:
    """Return whose provenance counts where the rest is signed by `who`: a key's own, or GitHub's builder's."""
    return who.as_file(BUILDER) if isinstance(who, Workflow) else who


def provide() -> str:
    """Make sure that cosign is here, where that is possible; return what to say of it.

    On Debian as root it is installed from Debian's packages. Elsewhere its absence is no failure: building and testing
    an image need none.
    """
    if _is_here():
        return "cosign"
    system = debian.system()
    if not (system.has_apt and system.is_root and debian.KEYRING.exists()):
        return f"no cosign 3.0.5 or newer, which publishing and verifying need: {MANUAL}"
    try:
        debian.install([], borrowed=["cosign"], suite=debian.TESTING)
    except Failure as failure:
        return f"no cosign 3.0.5 or newer, which publishing and verifying need: {failure.reason}"
    return "cosign"


def _is_here() -> bool:
    """Return whether there is a cosign that can check bundles in a folder: 3.0.5 was the first."""
    if not succeeds("cosign", "version") or "--signing-config" not in output("cosign", "sign", "--help"):
        return False
    # What a distribution builds may call itself "devel".
    return not re.search(r"GitVersion:\s+v3\.0\.[0-4]\b", output("cosign", "version"))


def trusted(repositories: Iterable[Repository]) -> Signer:
    """Return whose word counts for an image in `repositories`.

    COSIGN_PUBLIC_KEY or COSIGN_KEY name a key, COSIGN_IDENTITY a workflow. Without any: for registries on this machine
    its own key pair, else the workflows of this repository on GitHub, run for `main`.
    """
    if identity := os.environ.get("COSIGN_IDENTITY"):
        return Workflow(Identity.of(identity, "COSIGN_IDENTITY")).as_file(PUBLISHER)
    private, public = _key("COSIGN_KEY"), _key("COSIGN_PUBLIC_KEY")
    if public:
        return KeyPair(private, public)
    if private:
        return KeyPair(private, _public_half(private))
    if all(map(registry.is_local, repositories)):
        return KeyPair(_own("cosign.key"), _own("cosign.pub"))
    own = f"{project.repository()}/.github/workflows/{PUBLISHER}@refs/heads/main"
    if Identity.matches(own):
        return Workflow(Identity(own))
    raise Failure(
        "nobody is known whose signature would count here",
        "set COSIGN_PUBLIC_KEY to the key, or COSIGN_IDENTITY to the workflow, that signs these images",
    )


def verifier(repositories: Iterable[Repository]) -> Signer:
    """Return whose word counts, as `trusted` does. Raises Failure when that is a key that is not here."""
    who = trusted(repositories)
    named = os.environ.get("COSIGN_KEY") or os.environ.get("COSIGN_PUBLIC_KEY")
    if isinstance(who, KeyPair) and not named and not Path(who.public).exists():
        raise Failure(
            f"there is no key of yours, {who.public}, that could have signed these images",
            "COSIGN_PUBLIC_KEY=cosign.pub, with the key of who published them",
        )
    return who


def signer(repositories: Iterable[Repository]) -> Signer:
    """Return with what to sign for `repositories`. Raises Failure when that cannot be done from here."""
    who = trusted(repositories)
    if isinstance(who, Workflow) and "ACTIONS_ID_TOKEN_REQUEST_URL" not in os.environ:
        raise Failure(
            f"only GitHub can sign as {who}",
            "name a key of your own: COSIGN_KEY=cosign.key (cosign generate-key-pair makes one)",
        )
    if isinstance(who, KeyPair) and not who.private:
        raise Failure("COSIGN_PUBLIC_KEY can verify, but not sign", "set COSIGN_KEY as well")
    if isinstance(who, KeyPair) and not os.environ.get("COSIGN_KEY"):
        _make_own_key_pair()
    return who


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
    if not said.bundles:
        return []
    with said.layout() as folder:
        options = (f"--type={kind}", "--local-image=true", *who.options)
        # Who is asked over a network, if anybody: Sigstore for the keys of its own, or the service that keeps a key.
        limit = Limit(referrers.SECONDS, str(who) if isinstance(who, KeyPair) else "Sigstore")
        done = attempt("cosign", "verify-attestation", *options, "--", str(folder), limit=limit)
    if done.returncode:
        if any(words in done.stderr for words in _NOTHING):
            return []
        raise Failure(f"cosign cannot tell what {who} signed: {done.words.rpartition(' | ')[2]}")
    envelopes = [document(line, _Envelope, "cosign's output") for line in done.stdout.split(b"\n") if line]
    return [bytes(document(one.payload, _Statement, f"a statement by {who}").predicate) for one in envelopes]


# What cosign says when nothing there is from the signer in question, or of that type.
_NOTHING = ("no matching attestations", "none of the attestations matched", "no valid bundles found")


class _Envelope(msgspec.Struct):
    """https://github.com/secure-systems-lab/dsse/blob/v1.0.0/envelope.md."""

    payload: bytes


class _Statement(msgspec.Struct):
    """https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md."""

    predicate: msgspec.Raw


def _write(verb: str, repository: Repository, digest: Digest, who: Signer, *arguments: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        options: list[str] = []
        if isinstance(who, KeyPair):
            options = [f"--key={who.private}"]
            for option, content in ALONE.items():
                path = Path(folder, option)
                path.write_text(json.dumps(content))
                options += [f"--{option}={path}"]
        arguments = (*options, *arguments, "--yes", "--", repository.at(digest))
        output("cosign", verb, *arguments, env=_password(), limit=referrers.limit(repository))


def _key(variable: str) -> Key | None:
    """Return the key that the environment names as `variable`, if it does."""
    named = os.environ.get(variable)
    return Key.of(named, variable) if named else None


def _own(half: str) -> Key:
    """Return where the key of this user on this machine is, or would be."""
    try:
        home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    except RuntimeError as homeless:  # a user without HOME, whom the system does not know
        raise Failure("HOME is not set, so there is no place for a key", "HOME=… or COSIGN_KEY=…") from homeless
    return Key.of(str(Path(home, "shipshape", half)), "XDG_CONFIG_HOME")


def _make_own_key_pair() -> None:
    """Make the key pair of this user on this machine, unless it is there."""
    home = Path(_own("cosign.pub")).parent
    if not (home / "cosign.pub").exists():
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=home) as folder:
            output("cosign", "generate-key-pair", cwd=Path(folder), env=_password())
            for half in ("cosign.key", "cosign.pub"):  # the public half last: it says that both are there
                Path(folder, half).rename(home / half)


def _public_half(private: Key) -> Key:
    """Return the name of the public half: beside a key file, as cosign puts it; a KMS has both under one name."""
    return Key(f"{private.removesuffix('.key')}.pub") if private.endswith(".key") else private


def _password() -> dict[str, str]:
    # cosign would ask on a terminal; the key on this machine has none.
    return {"COSIGN_PASSWORD": os.environ.get("COSIGN_PASSWORD", "")}

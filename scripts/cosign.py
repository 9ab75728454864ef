"""Signing and attesting a digest, and reading back what a trusted signer said of it, with cosign.

What cosign 3 writes are Sigstore bundles, kept beside the image as OCI 1.1 referrers, so the image's own digest stays
what it was. Two signers are known, and the rest of the pipeline does not care which:

- on GitHub, the workflow itself: a certificate for its identity, and an entry in the public transparency log;
- anywhere else, a key pair: COSIGN_KEY, or for the local registries one that is made on first use.

Source: https://docs.sigstore.dev/cosign/verifying/verify/ and
https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md
"""

import base64
import json
import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts import debian, project, registry
from scripts.failure import Failure
from scripts.process import attempt, output, succeeds

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

    private: str
    public: str

    def __str__(self) -> str:
        return f"the key {self.public}"

    @property
    def options(self) -> tuple[str, ...]:
        return ("--key", self.public, "--insecure-ignore-tlog=true")


@dataclass(frozen=True)
class Workflow:
    """A signer known by the identity that GitHub gave to a workflow."""

    identity: str

    def __str__(self) -> str:
        return self.identity

    def as_file(self, name: str) -> "Workflow":
        """Return the same workflow as it signs from its file `name`, of the same repository and commit."""
        return Workflow(re.sub(r"(?<=/\.github/workflows/)[^/@]+(?=@)", name, self.identity))

    @property
    def options(self) -> tuple[str, ...]:
        return ("--certificate-identity", self.identity, "--certificate-oidc-issuer", ISSUER)


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
        return f"no cosign 3, which publishing and verifying need: {MANUAL}"
    try:
        debian.install([], borrowed=["cosign"], suite=debian.TESTING)
    except Failure as failure:
        return f"no cosign 3, which publishing and verifying need: {failure.reason}"
    return "cosign"


def _is_here() -> bool:
    """Return whether there is a cosign of version 3, the first whose bundles are referrers in all it does."""
    return succeeds("cosign", "version") and "--signing-config" in output("cosign", "sign", "--help")


def trusted(repositories: Iterable[str]) -> Signer:
    """Return whose word counts for an image in `repositories`.

    COSIGN_PUBLIC_KEY or COSIGN_KEY name a key, COSIGN_IDENTITY a workflow. Without any: for registries on this machine
    its own key pair, else the workflows of this repository on GitHub, run for `main`.
    """
    if identity := os.environ.get("COSIGN_IDENTITY"):
        return Workflow(identity).as_file(PUBLISHER)
    private, public = os.environ.get("COSIGN_KEY", ""), os.environ.get("COSIGN_PUBLIC_KEY", "")
    if private or public:
        return KeyPair(private, public or _public_half(private))
    if all(map(registry.is_local, repositories)):
        return _own_key_pair()
    if home := project.repository():
        return Workflow(f"{home}/.github/workflows/{PUBLISHER}@refs/heads/main")
    raise Failure(
        "nobody is known whose signature would count here",
        "set COSIGN_PUBLIC_KEY to the key, or COSIGN_IDENTITY to the workflow, that signs these images",
    )


def signer(repositories: Iterable[str]) -> Signer:
    """Return with what to sign for `repositories`. Raises Failure when that cannot be done from here."""
    who = trusted(repositories)
    if isinstance(who, Workflow) and "ACTIONS_ID_TOKEN_REQUEST_URL" not in os.environ:
        raise Failure(
            f"only GitHub can sign as {who}",
            "name a key of your own: COSIGN_KEY=cosign.key (cosign generate-key-pair makes one)",
        )
    if isinstance(who, KeyPair) and not who.private:
        raise Failure("COSIGN_PUBLIC_KEY can verify, but not sign", "set COSIGN_KEY as well")
    return who


def sign(reference: str, who: Signer) -> None:
    """Sign the image `reference`, which names it by digest."""
    _write("sign", who, "--yes", reference)


def attest(reference: str, who: Signer, kind: str, predicate: dict[str, Any]) -> None:
    """Attach a signed in-toto statement of predicate type `kind` about `reference`, which names it by digest."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "predicate.json")
        path.write_text(json.dumps(predicate))
        _write("attest", who, "--yes", "--type", kind, "--predicate", str(path), reference)


def signed(reference: str, who: Signer) -> bool:
    """Return whether `who` signed the image `reference`, which names it by digest."""
    # cosign 3 counts every attestation as a signature here; only one made by signing says "this is the image".
    done = _ask("verify", reference, who)
    return any(entry["critical"]["type"] == SIGNATURE for entry in json.loads(done or "[]"))


def statements(reference: str, who: Signer, kind: str) -> list[dict[str, Any]]:
    """Return the predicates of all statements of type `kind` that `who` signed about `reference`."""
    lines = _ask("verify-attestation", reference, who, "--type", kind).splitlines()
    payloads = [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in lines]
    return [dict(payload["predicate"]) for payload in payloads]


# What cosign says when the registry answered and nothing there is from the signer in question.
_NOTHING = (
    "no signatures found",
    "no matching signatures",
    "no matching attestations",
    "no attestations found",
    "none of the attestations matched",
    "MANIFEST_UNKNOWN",
)


def _ask(verb: str, reference: str, who: Signer, *options: str) -> str:
    """Return what cosign verified, nothing where `who` said nothing. Raises Failure when it could not look."""
    done = attempt("cosign", verb, *options, *who.options, reference)
    if done.returncode and not any(words in done.stderr for words in _NOTHING):
        raise Failure(f"cosign {verb} {reference}: {done.stderr.strip().splitlines()[-1]}")
    return "" if done.returncode else done.text


def _write(verb: str, who: Signer, *arguments: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        options: list[str] = []
        if isinstance(who, KeyPair):
            options = ["--key", who.private]
            for option, content in ALONE.items():
                path = Path(folder, option)
                path.write_text(json.dumps(content))
                options += [f"--{option}", str(path)]
        output("cosign", verb, *options, *arguments, env=_password())


def _own_key_pair() -> KeyPair:
    """Return the key pair of this user on this machine, made on first use."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "shipshape"
    if not (home / "cosign.pub").exists():
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=home) as folder:
            output("cosign", "generate-key-pair", cwd=Path(folder), env=_password())
            for half in ("cosign.key", "cosign.pub"):  # the public half last: it says that both are there
                Path(folder, half).rename(home / half)
    return KeyPair(str(home / "cosign.key"), str(home / "cosign.pub"))


def _public_half(private: str) -> str:
    """Return the name of the public half: beside a key file, as cosign puts it; a KMS has both under one name."""
    return f"{private.removesuffix('.key')}.pub" if private.endswith(".key") else private


def _password() -> dict[str, str]:
    # cosign would ask on a terminal; the key on this machine has none.
    return {"COSIGN_PASSWORD": os.environ.get("COSIGN_PASSWORD", "")}

"""Which signer is trusted, and how to sign as it. The rest of the pipeline treats both kinds alike.

- On GitHub, the workflow itself: a certificate for its identity, and an entry in a transparency log.
- Anywhere else, a key pair: COSIGN_KEY or, for the local registries, one that is created on first use.

Sources: https://docs.sigstore.dev/cosign/verifying/verify/,
https://docs.github.com/en/actions/reference/security/oidc and
https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
"""

import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from scripts import checkout, shipment
from scripts.errors import Failure
from scripts.grammar import Caller, FilePath, Identity, Key, Repository, Url
from scripts.oci import registry
from scripts.process import output

ISSUER = Url("https://token.actions.githubusercontent.com")
# A certificate names the workflow file of its job. Only pinned actions run in the builder's file; in the publisher's,
# this project's own code signs.
BUILDER, PUBLISHER = "image.yml", "publish.yml"


@dataclass(frozen=True)
class KeyPair:
    """A signer identified by a key: a file, or a KMS key in cosign's form."""

    private: Key | None
    public: Key

    def __str__(self) -> str:
        return f"the key {self.public}"

    @property
    def options(self) -> tuple[str, ...]:
        """What makes cosign accept only this signer."""
        return (f"--key={self.public}", "--insecure-ignore-tlog=true")


@dataclass(frozen=True)
class Workflow:
    """A signer identified by what GitHub certifies about a job: its workflow file, and who called that.

    Both must match. Any repository can call a public workflow, with artifacts of its own, and gets a certificate for
    that workflow's identity; only the caller differs.
    """

    identity: Identity
    caller: Caller
    issuer: Url = ISSUER
    trusted_root: FilePath | None = None
    """The Sigstore to trust, unless it is the public one."""
    signing_config: FilePath | None = None
    """The Sigstore to sign with, unless it is the public one."""

    def __str__(self) -> str:
        return f"{self.identity}, called by {self.caller}"

    def as_file(self, name: str) -> "Workflow":
        """Return the signer for the workflow file `name` of the same repository and commit."""
        identity = re.sub(r"(?<=/\.github/workflows/)[^/@]+(?=@)", name, self.identity)
        return replace(self, identity=Identity(identity))

    @property
    def options(self) -> tuple[str, ...]:
        """What makes cosign accept only this signer."""
        # Any event will do: push, manual start and schedule run the same workflow at the same ref.
        return (
            f"--certificate-identity={self.identity}",
            f"--certificate-oidc-issuer={self.issuer}",
            f"--certificate-github-workflow-repository={self.caller.repository}",
            f"--certificate-github-workflow-ref={self.caller.ref}",
            *([f"--trusted-root={self.trusted_root}"] if self.trusted_root else []),
        )


Signer = KeyPair | Workflow


def provenance_signer(who: Signer) -> Signer:
    """Return the trusted signer of provenance beside `who`: the same key, or the builder's workflow on GitHub."""
    return who.as_file(BUILDER) if isinstance(who, Workflow) else who


def find_trusted(repositories: Iterable[Repository]) -> Signer:
    """Return the trusted signer of images in `repositories`.

    COSIGN_IDENTITY names a workflow, COSIGN_PUBLIC_KEY or COSIGN_KEY a key. The default is this user's own key pair for
    registries on this machine, else the workflows of this repository on GitHub, run for `main`.
    """
    if identity := os.environ.get("COSIGN_IDENTITY"):
        return _workflow(Identity.of(identity, "COSIGN_IDENTITY")).as_file(PUBLISHER)
    private, public = _key("COSIGN_KEY"), _key("COSIGN_PUBLIC_KEY")
    if public:
        return KeyPair(private, public)
    if private:
        return KeyPair(private, _public_half(private))
    if all(map(registry.is_local, repositories)):
        return KeyPair(_own("cosign.key"), _own("cosign.pub"))
    own = f"{checkout.repository()}/.github/workflows/{PUBLISHER}@refs/heads/main"
    if Identity.matches(own):
        return _workflow(Identity(own))
    raise Failure(
        "no trusted signer is known for these images",
        "set COSIGN_KEY to sign; to verify, COSIGN_PUBLIC_KEY to the key that signs them, or COSIGN_IDENTITY",
    )


def require_verifier(repositories: Iterable[Repository]) -> Signer:
    """Return the trusted signer. Raises Failure when it is this user's own key and that does not exist."""
    who = find_trusted(repositories)
    named = os.environ.get("COSIGN_KEY") or os.environ.get("COSIGN_PUBLIC_KEY")
    if isinstance(who, KeyPair) and not named and not Path(who.public).exists():
        raise Failure(
            f"you have no key {who.public}, so it has not signed these images",
            "COSIGN_PUBLIC_KEY=cosign.pub, the public key of the publisher",
        )
    return who


def require_signer(repositories: Iterable[Repository]) -> Signer:
    """Return the signer for `repositories`. Raises Failure when it cannot sign from here."""
    who = find_trusted(repositories)
    if isinstance(who, Workflow):
        _require_certificate(who)
    elif not who.private:
        raise Failure("COSIGN_PUBLIC_KEY can verify but not sign", "set COSIGN_KEY as well")
    elif not os.environ.get("COSIGN_KEY"):
        _create_own_key_pair()
    elif ":" not in who.private and not Path(who.private).is_file():
        raise Failure(f"COSIGN_KEY={who.private}: no such file", "cosign generate-key-pair creates one")
    return who


def password() -> dict[str, str]:
    """Return the variable with the key's password, empty for this user's own key, so that cosign does not ask."""
    return {"COSIGN_PASSWORD": os.environ.get("COSIGN_PASSWORD", "")}


def _workflow(identity: Identity) -> Workflow:
    """Return the workflow `identity`, with its caller and its Sigstore from the environment.

    | variable | meaning | default |
    | --- | --- | --- |
    | SHIP_CALLER | repository and ref that call the workflow | the repository of the image's source, at main |
    | SHIP_OIDC_ISSUER | issuer of the job's identity | GitHub |
    | SHIP_TRUSTED_ROOT | file that names the Sigstore to trust | the public Sigstore |
    | SHIP_SIGNING_CONFIG | file that names the Sigstore to sign with | the public Sigstore |
    """
    named = os.environ.get("SHIP_CALLER")
    at = named or f"{checkout.repository(shipment.root())}@refs/heads/main"
    remedy = "SHIP_CALLER=https://github.com/OWNER/REPOSITORY@refs/heads/main, of the repository that calls it"
    caller = Caller.of(at, "SHIP_CALLER" if named else "the repository that calls the workflow", remedy)
    issuer = Url.of(os.environ.get("SHIP_OIDC_ISSUER") or ISSUER, "SHIP_OIDC_ISSUER")
    return Workflow(identity, caller, issuer, _file("SHIP_TRUSTED_ROOT"), _file("SHIP_SIGNING_CONFIG"))


def _require_certificate(who: Workflow) -> None:
    """Raise Failure unless this is a job that gets a certificate for `who` from the trusted Sigstore."""
    if "ACTIONS_ID_TOKEN_REQUEST_URL" not in os.environ:
        raise Failure(
            f"only GitHub can sign as {who}",
            "sign with a key of your own: COSIGN_KEY=cosign.key (cosign generate-key-pair creates one)",
        )
    ref = os.environ.get("GITHUB_REF", who.caller.ref)
    if ref != who.caller.ref:
        raise Failure(f"this job runs for {ref}, and only signatures for {who.caller.ref} are trusted")
    if (who.trusted_root is None) != (who.signing_config is None):
        lacking = "SHIP_TRUSTED_ROOT" if who.signing_config else "SHIP_SIGNING_CONFIG"
        raise Failure(
            f"{lacking} is not set: a private Sigstore needs SHIP_TRUSTED_ROOT and SHIP_SIGNING_CONFIG",
            f"set {lacking}, or neither",
        )


def _file(variable: str) -> FilePath | None:
    """Return the file that `variable` names, if it is set. Raises Failure when there is no such file."""
    named = os.environ.get(variable)
    if not named:
        return None
    path = FilePath.of(named, variable)
    if not Path(path).is_file():
        raise Failure(f"{variable}={path}: no such file", "docs/evidence.md shows how cosign writes one")
    return path


def _key(variable: str) -> Key | None:
    """Return the key that `variable` names, if it is set."""
    named = os.environ.get(variable)
    return Key.of(named, variable) if named else None


def _own(half: str) -> Key:
    """Return the path of this user's own key on this machine, whether or not it exists."""
    try:
        home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    except RuntimeError as homeless:  # HOME is unset, and the system does not know the user
        raise Failure("HOME is not set, so there is no folder for a key", "HOME=… or COSIGN_KEY=…") from homeless
    return Key.of(str(Path(home, "shipshape", half)), "XDG_CONFIG_HOME")


def _create_own_key_pair() -> None:
    """Create this user's own key pair on this machine, unless it exists."""
    public = Path(_own("cosign.pub"))
    home = public.parent
    if not public.exists():
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=home) as folder:
            output("cosign", "generate-key-pair", cwd=Path(folder), env=password())
            for half in ("cosign.key", "cosign.pub"):  # the public half last: once it exists, both do
                Path(folder, half).rename(home / half)


def _public_half(private: Key) -> Key:
    """Return the public half of `private`: the file that cosign writes beside it; a KMS has both under one name."""
    return Key(f"{private.removesuffix('.key')}.pub") if private.endswith(".key") else private

"""Whose signature counts, and with what is signed. Two kinds, and the rest of the pipeline does not care which.

- On GitHub, the workflow itself: a certificate for its identity, and an entry in a transparency log.
- Anywhere else, a key pair: COSIGN_KEY, or for the local registries one that is made on first use.

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
# A certificate names the file that its job is written in. Only pinned actions can get one in the builder's name; in the
# publisher's this project's own code signs.
BUILDER, PUBLISHER = "image.yml", "publish.yml"


@dataclass(frozen=True)
class KeyPair:
    """A signer known by a key: a file, or what cosign takes as a key of a KMS."""

    private: Key | None
    public: Key

    def __str__(self) -> str:
        return f"the key {self.public}"

    @property
    def options(self) -> tuple[str, ...]:
        """What cosign demands of a signature that is this signer's."""
        return (f"--key={self.public}", "--insecure-ignore-tlog=true")


@dataclass(frozen=True)
class Workflow:
    """A signer known by what GitHub says of a job: the file that it is written in, and who called that.

    Both are demanded. Any repository can call a public workflow, with artifacts of its own, and gets a certificate for
    that workflow's identity; only its caller tells it from the right one.
    """

    identity: Identity
    caller: Caller
    issuer: Url = ISSUER
    trusted_root: FilePath | None = None
    """Whom to believe, when that is not the public Sigstore."""
    signing_config: FilePath | None = None
    """Where to sign, when that is not the public Sigstore."""

    def __str__(self) -> str:
        return f"{self.identity}, called by {self.caller}"

    def as_file(self, name: str) -> "Workflow":
        """Return the same workflow as it signs from its file `name`, of the same repository and commit."""
        identity = re.sub(r"(?<=/\.github/workflows/)[^/@]+(?=@)", name, self.identity)
        return replace(self, identity=Identity(identity))

    @property
    def options(self) -> tuple[str, ...]:
        """What cosign demands of a signature that is this signer's."""
        # Not the event: pushed, started by hand or by a schedule, it is the same workflow at the same ref.
        return (
            f"--certificate-identity={self.identity}",
            f"--certificate-oidc-issuer={self.issuer}",
            f"--certificate-github-workflow-repository={self.caller.repository}",
            f"--certificate-github-workflow-ref={self.caller.ref}",
            *([f"--trusted-root={self.trusted_root}"] if self.trusted_root else []),
        )


Signer = KeyPair | Workflow


def builder(who: Signer) -> Signer:
    """Return whose provenance counts where the rest is signed by `who`: a key's own, or GitHub's builder's."""
    return who.as_file(BUILDER) if isinstance(who, Workflow) else who


def trusted(repositories: Iterable[Repository]) -> Signer:
    """Return whose word counts for an image in `repositories`.

    COSIGN_PUBLIC_KEY or COSIGN_KEY name a key, COSIGN_IDENTITY a workflow. Without any: for registries on this machine
    its own key pair, else the workflows of this repository on GitHub, run for `main`.
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
        "nobody is known whose signature would count here",
        "set COSIGN_PUBLIC_KEY to the key, or COSIGN_IDENTITY to the workflow, that signs these images",
    )


def verifying(repositories: Iterable[Repository]) -> Signer:
    """Return whose word counts, as `trusted` does. Raises Failure when that is a key that is not here."""
    who = trusted(repositories)
    named = os.environ.get("COSIGN_KEY") or os.environ.get("COSIGN_PUBLIC_KEY")
    if isinstance(who, KeyPair) and not named and not Path(who.public).exists():
        raise Failure(
            f"there is no key of yours, {who.public}, that could have signed these images",
            "COSIGN_PUBLIC_KEY=cosign.pub, with the key of who published them",
        )
    return who


def signing(repositories: Iterable[Repository]) -> Signer:
    """Return with what to sign for `repositories`. Raises Failure when that cannot be done from here."""
    who = trusted(repositories)
    if isinstance(who, Workflow):
        _require_certificate(who)
    elif not who.private:
        raise Failure("COSIGN_PUBLIC_KEY can verify, but not sign", "set COSIGN_KEY as well")
    elif not os.environ.get("COSIGN_KEY"):
        _make_own_key_pair()
    elif ":" not in who.private and not Path(who.private).is_file():
        raise Failure(f"COSIGN_KEY={who.private}: there is no such file", "cosign generate-key-pair makes one")
    return who


def password() -> dict[str, str]:
    """Return what cosign reads a key's password from: it would ask on a terminal, and this machine's own has none."""
    return {"COSIGN_PASSWORD": os.environ.get("COSIGN_PASSWORD", "")}


def _workflow(identity: Identity) -> Workflow:
    """Return the workflow `identity`, with what the environment says of its caller and of the Sigstore that it uses.

    | variable | what it is | without it |
    | --- | --- | --- |
    | SHIP_CALLER | repository and ref that the workflow is called by | the repository of the image's source, at main |
    | SHIP_OIDC_ISSUER | who says which workflow a job is | GitHub |
    | SHIP_TRUSTED_ROOT | file that says whom to believe | the public Sigstore's |
    | SHIP_SIGNING_CONFIG | file that says where to sign | the public Sigstore's |
    """
    named = os.environ.get("SHIP_CALLER")
    at = named or f"{checkout.repository(shipment.root())}@refs/heads/main"
    remedy = "SHIP_CALLER=https://github.com/OWNER/REPOSITORY@refs/heads/main, of the repository that calls it"
    caller = Caller.of(at, "SHIP_CALLER" if named else "the repository that calls the workflow", remedy)
    issuer = Url.of(os.environ.get("SHIP_OIDC_ISSUER") or ISSUER, "SHIP_OIDC_ISSUER")
    return Workflow(identity, caller, issuer, _file("SHIP_TRUSTED_ROOT"), _file("SHIP_SIGNING_CONFIG"))


def _require_certificate(who: Workflow) -> None:
    """Raise Failure unless this is a job that gets a certificate for `who`, from a Sigstore that is believed."""
    if "ACTIONS_ID_TOKEN_REQUEST_URL" not in os.environ:
        raise Failure(
            f"only GitHub can sign as {who}",
            "name a key of your own: COSIGN_KEY=cosign.key (cosign generate-key-pair makes one)",
        )
    ref = os.environ.get("GITHUB_REF", who.caller.ref)
    if ref != who.caller.ref:
        raise Failure(f"this job runs for {ref}, and only what is signed for {who.caller.ref} counts")
    if (who.trusted_root is None) != (who.signing_config is None):
        lacking = "SHIP_TRUSTED_ROOT" if who.signing_config else "SHIP_SIGNING_CONFIG"
        raise Failure(
            f"{lacking} is not set: a Sigstore of one's own is one to sign with and one to believe",
            f"set {lacking}, or neither",
        )


def _file(variable: str) -> FilePath | None:
    """Return the file that the environment names as `variable`, if it does. Raises Failure when it is not there."""
    named = os.environ.get(variable)
    if not named:
        return None
    path = FilePath.of(named, variable)
    if not Path(path).is_file():
        raise Failure(f"{variable}={path}: there is no such file", "docs/evidence.md says how cosign writes one")
    return path


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
    public = Path(_own("cosign.pub"))
    home = public.parent
    if not public.exists():
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=home) as folder:
            output("cosign", "generate-key-pair", cwd=Path(folder), env=password())
            for half in ("cosign.key", "cosign.pub"):  # the public half last: it says that both are there
                Path(folder, half).rename(home / half)


def _public_half(private: Key) -> Key:
    """Return the name of the public half: beside a key file, as cosign puts it; a KMS has both under one name."""
    return Key(f"{private.removesuffix('.key')}.pub") if private.endswith(".key") else private

"""Which signer is trusted, and how it signs."""

from pathlib import Path

import pytest

from scripts import checkout, shipment
from scripts.errors import Failure
from scripts.evidence import signer
from scripts.evidence.signer import KeyPair, Workflow
from scripts.grammar import Caller, FilePath, Identity, Key, Repository, Url
from tests.unit.scripts.fake_cosign import FakeCosign

REMOTE = [*map(Repository, ["docker.io/me/house-price", "ghcr.io/me/house-price"])]
HOME = "https://github.com/me/shipshape"
CALLER = Caller(f"{HOME}@refs/heads/main")
WORKFLOW = Workflow(Identity(f"{HOME}/.github/workflows/publish.yml@refs/heads/main"), CALLER)
VARIABLES = (
    "COSIGN_KEY", "COSIGN_PUBLIC_KEY", "COSIGN_IDENTITY", "COSIGN_PASSWORD", "ACTIONS_ID_TOKEN_REQUEST_URL",
    "SHIP_CALLER", "SHIP_OIDC_ISSUER", "SHIP_TRUSTED_ROOT", "SHIP_SIGNING_CONFIG",
)  # fmt: skip
LOCAL = [*map(Repository, ["localhost:5001/house-price", "127.0.0.1:5002/house-price"])]


@pytest.fixture(autouse=True)
def clone_of_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A checkout of HOME, on a machine without any setting or key."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(checkout, "repository", lambda _root=None: HOME)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_by_default_the_workflow_of_this_repository_is_trusted() -> None:
    assert signer.find_trusted(REMOTE) == WORKFLOW


def test_only_github_signs_as_a_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failure, match=f"only GitHub can sign as {WORKFLOW}") as elsewhere:
        signer.require_signer(REMOTE)
    key = "COSIGN_KEY=cosign.key (cosign generate-key-pair creates one)"
    assert elsewhere.value.remedy == f"sign with a key of your own: {key}"

    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "https://example.org")
    assert signer.require_signer(REMOTE) == WORKFLOW


def test_a_named_key_alone_is_trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ours.key").touch()
    monkeypatch.setenv("COSIGN_KEY", f"{tmp_path}/ours.key")

    ours = KeyPair(Key(f"{tmp_path}/ours.key"), Key(f"{tmp_path}/ours.pub"))
    assert signer.find_trusted(REMOTE) == signer.require_signer(REMOTE) == ours


def test_a_missing_key_file_cannot_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSIGN_KEY", "ours/cosign.key")

    with pytest.raises(Failure, match=r"COSIGN_KEY=ours/cosign\.key: no such file"):
        signer.require_signer(REMOTE)


def test_a_key_of_a_kms_has_both_halves_under_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSIGN_KEY", "awskms:///alias/ours")

    assert signer.find_trusted(REMOTE) == KeyPair(*[Key("awskms:///alias/ours")] * 2)


def test_a_public_key_verifies_but_cannot_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSIGN_PUBLIC_KEY", "theirs.pub")

    assert signer.find_trusted(REMOTE) == KeyPair(None, Key("theirs.pub"))
    assert signer.require_verifier(REMOTE) == KeyPair(None, Key("theirs.pub"))
    with pytest.raises(Failure, match=r"^COSIGN_PUBLIC_KEY can verify but not sign$") as refused:
        signer.require_signer(REMOTE)
    assert refused.value.remedy == "set COSIGN_KEY as well"


def test_another_workflow_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = "https://github.com/them/shipshape/.github/workflows"
    for ref in ("refs/heads/main", "refs/tags/v1.4.0", "0123456789abcdef0123456789abcdef01234567"):
        monkeypatch.setenv("COSIGN_IDENTITY", f"{theirs}/image.yml@{ref}")

        assert signer.find_trusted(REMOTE) == Workflow(Identity(f"{theirs}/publish.yml@{ref}"), CALLER)


@pytest.mark.parametrize(
    "identity",
    [
        "https://github.com/.*",
        "https://github.com/them/shipshape/.github/workflows/.*@refs/heads/main",
        "https://github.com/them/shipshape/.github/workflows/publish.yml",
        "https://github.com/them/shipshape/.github/workflows/publish.yml@main",
        "https://github.com/them/shipshape/.github/workflows/publish.yml@refs/heads/main|x",
        "http://github.com/them/shipshape/.github/workflows/publish.yml@refs/heads/main",
        "https://github.com/them/../.github/workflows/publish.yml@refs/heads/main",
        "https://github.com/them/shipshape/.github/workflows/publish.yml@refs/heads/main\n",
        "--certificate-identity-regexp=.*",
        "me@example.org",
    ],
)
def test_an_identity_is_one_workflow_not_a_pattern(identity: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSIGN_IDENTITY", identity)

    with pytest.raises(Failure, match=r"COSIGN_IDENTITY: .* is not a workflow's identity"):
        signer.find_trusted(REMOTE)


def test_cosign_checks_identity_caller_and_issuer() -> None:
    theirs = Workflow(WORKFLOW.identity, Caller("https://github.com/them/wines@refs/tags/v1.4.0"))

    assert theirs.options == (
        f"--certificate-identity={HOME}/.github/workflows/publish.yml@refs/heads/main",
        "--certificate-oidc-issuer=https://token.actions.githubusercontent.com",
        "--certificate-github-workflow-repository=them/wines",
        "--certificate-github-workflow-ref=refs/tags/v1.4.0",
    )


def test_cosign_uses_a_private_sigstore() -> None:
    own = Workflow(WORKFLOW.identity, CALLER, Url("https://git.example.org/oidc"), FilePath("root.json"))

    assert own.options[1] == "--certificate-oidc-issuer=https://git.example.org/oidc"
    assert own.options[4:] == ("--trusted-root=root.json",)


def test_cosign_gets_the_key_as_the_value_of_its_option() -> None:
    assert KeyPair(None, Key("theirs.pub")).options == ("--key=theirs.pub", "--insecure-ignore-tlog=true")


@pytest.mark.parametrize("variable", ["COSIGN_KEY", "COSIGN_PUBLIC_KEY"])
@pytest.mark.parametrize("value", ["--insecure-skip-verify", "-", "a\nb", "http://example.org/cosign.pub", "x" * 1025])
def test_a_malformed_key_is_refused(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(Failure, match=f"{variable}: .* is not a key"):
        signer.find_trusted(REMOTE)


def test_a_named_public_key_goes_with_the_private_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSIGN_KEY", "ours/cosign.key")
    monkeypatch.setenv("COSIGN_PUBLIC_KEY", "elsewhere.pub")

    assert signer.find_trusted(REMOTE) == KeyPair(Key("ours/cosign.key"), Key("elsewhere.pub"))


def test_an_identity_takes_precedence_over_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSIGN_KEY", "ours/cosign.key")
    monkeypatch.setenv("COSIGN_IDENTITY", WORKFLOW.identity)

    assert signer.find_trusted(LOCAL) == WORKFLOW


def test_the_key_of_this_user_is_trusted_for_local_registries_only(tmp_path: Path) -> None:
    own = KeyPair(Key(f"{tmp_path}/shipshape/cosign.key"), Key(f"{tmp_path}/shipshape/cosign.pub"))

    assert signer.find_trusted(LOCAL) == own
    assert signer.find_trusted([LOCAL[0], REMOTE[0]]) == signer.find_trusted([REMOTE[0], LOCAL[0]]) == WORKFLOW


def test_verifying_creates_no_key_and_asks_for_that_of_the_publisher(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"you have no key .*/shipshape/cosign\.pub") as no_key:
        signer.require_verifier(LOCAL)

    assert no_key.value.remedy == "COSIGN_PUBLIC_KEY=cosign.pub, the public key of the publisher"
    assert list(tmp_path.iterdir()) == []


def test_the_key_of_this_user_verifies_once_it_exists(tmp_path: Path) -> None:
    (tmp_path / "shipshape").mkdir()
    (tmp_path / "shipshape" / "cosign.pub").touch()

    assert signer.require_verifier(LOCAL) == signer.find_trusted(LOCAL)


def test_a_workflow_is_verified_without_a_key() -> None:
    assert signer.require_verifier(REMOTE) == WORKFLOW


def test_provenance_is_trusted_from_the_file_of_the_builder() -> None:
    own = KeyPair(Key("a.key"), Key("a.pub"))
    whole = Workflow(WORKFLOW.identity, CALLER, Url("https://a.org"), FilePath("root.json"), FilePath("config.json"))

    assert signer.provenance_signer(whole) == Workflow(
        Identity(f"{HOME}/.github/workflows/image.yml@refs/heads/main"),
        CALLER,
        Url("https://a.org"),
        FilePath("root.json"),
        FilePath("config.json"),
    )
    assert signer.provenance_signer(own) is own


@pytest.mark.parametrize("home", ["", "https://gitlab.example.org/group/team/shipshape"])
def test_without_a_repository_on_github_nobody_is_trusted(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout, "repository", lambda _root=None: home)

    with pytest.raises(Failure, match=r"^no trusted signer is known for these images$") as nobody:
        signer.find_trusted(REMOTE)
    ways = "COSIGN_PUBLIC_KEY to the key that signs them, or COSIGN_IDENTITY"
    assert nobody.value.remedy == f"set COSIGN_KEY to sign; to verify, {ways}"


def test_a_signer_is_named_by_its_key_or_its_workflow() -> None:
    assert str(KeyPair(None, Key("a.pub"))) == "the key a.pub"
    assert str(WORKFLOW) == (f"{HOME}/.github/workflows/publish.yml@refs/heads/main, called by {HOME}@refs/heads/main")


def test_the_caller_is_the_repository_of_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    wines = Path("/clones/wines")
    homes = {None: HOME, wines: "https://github.com/them/wines"}
    monkeypatch.setattr(shipment, "root", lambda: wines)
    monkeypatch.setattr(checkout, "repository", lambda root=None: homes[root])

    assert signer.find_trusted(REMOTE) == Workflow(
        WORKFLOW.identity, Caller("https://github.com/them/wines@refs/heads/main")
    )


def test_another_caller_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout, "repository", lambda _root=None: "")
    monkeypatch.setenv("COSIGN_IDENTITY", WORKFLOW.identity)
    with pytest.raises(
        Failure, match=r"the repository that calls the workflow: .* is not a repository and a ref"
    ) as no:
        signer.find_trusted(REMOTE)
    assert no.value.remedy.startswith("SHIP_CALLER=https://github.com/OWNER/REPOSITORY@refs/heads/main")

    monkeypatch.setenv("SHIP_CALLER", "https://github.com/them/wines@refs/heads/trunk")
    assert signer.find_trusted(REMOTE) == Workflow(
        WORKFLOW.identity, Caller("https://github.com/them/wines@refs/heads/trunk")
    )


@pytest.mark.parametrize(
    "caller",
    [
        "them/wines@refs/heads/main",
        "https://github.com/them/wines",
        "https://github.com/them/wines@main",
        "https://github.com/them@refs/heads/main",
        "https://github.com/them/wines/more@refs/heads/main",
        "https://github.com/them/.*@refs/heads/main",
        "https://github.com/them/wines@refs/heads/main x",
    ],
)
def test_a_caller_is_one_repository_and_one_ref(caller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIP_CALLER", caller)

    with pytest.raises(Failure, match=r"SHIP_CALLER: .* is not a repository and a ref of it"):
        signer.find_trusted(REMOTE)


def test_a_job_for_another_ref_cannot_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "https://example.org")
    monkeypatch.setenv("GITHUB_REF", "refs/heads/main")
    assert signer.require_signer(REMOTE) == WORKFLOW

    monkeypatch.setenv("GITHUB_REF", "refs/heads/try")
    with pytest.raises(Failure, match="runs for refs/heads/try, and only signatures for refs/heads/main are trusted"):
        signer.require_signer(REMOTE)
    assert signer.require_verifier(REMOTE) == WORKFLOW


def test_a_private_sigstore_is_named_by_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "https://example.org")
    root, config = tmp_path / "root.json", tmp_path / "config.json"
    for variable, path in (("SHIP_TRUSTED_ROOT", root), ("SHIP_SIGNING_CONFIG", config)):
        path.touch()
        monkeypatch.setenv(variable, str(path))
    monkeypatch.setenv("SHIP_OIDC_ISSUER", "https://git.example.org/_services/token")

    own = Workflow(
        WORKFLOW.identity,
        CALLER,
        Url("https://git.example.org/_services/token"),
        FilePath(str(root)),
        FilePath(str(config)),
    )
    assert signer.find_trusted(REMOTE) == signer.require_signer(REMOTE) == own


@pytest.mark.parametrize(
    ("there", "lacking"),
    [("SHIP_TRUSTED_ROOT", "SHIP_SIGNING_CONFIG"), ("SHIP_SIGNING_CONFIG", "SHIP_TRUSTED_ROOT")],
)
def test_half_a_private_sigstore_can_verify_but_not_sign(
    there: str, lacking: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "https://example.org")
    (tmp_path / "half.json").touch()
    monkeypatch.setenv(there, str(tmp_path / "half.json"))

    assert isinstance(signer.require_verifier(REMOTE), Workflow)
    with pytest.raises(Failure, match=f"{lacking} is not set") as half:
        signer.require_signer(REMOTE)
    assert half.value.remedy == f"set {lacking}, or neither"


@pytest.mark.parametrize("variable", ["SHIP_TRUSTED_ROOT", "SHIP_SIGNING_CONFIG"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [("/nowhere/root.json", "/nowhere/root.json: no such file"), ("-x", ": '-x' is not the path of a file")],
)
def test_a_missing_file_is_no_sigstore(variable: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(Failure, match=f"{variable}.*{reason}"):
        signer.find_trusted(REMOTE)


def test_an_issuer_is_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIP_OIDC_ISSUER", "https://.*")

    with pytest.raises(Failure, match=r"SHIP_OIDC_ISSUER: .* is not an address"):
        signer.find_trusted(REMOTE)


def test_a_key_pair_ignores_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSIGN_PUBLIC_KEY", "a.pub")
    monkeypatch.setenv("GITHUB_REF", "refs/heads/try")
    monkeypatch.setenv("SHIP_CALLER", "nobody")

    assert signer.require_verifier(REMOTE) == KeyPair(None, Key("a.pub"))


def test_the_first_signature_creates_the_key_of_this_user_and_later_ones_use_it(
    fake_cosign: FakeCosign, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake_cosign.makes("cosign.key", "cosign.pub")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "not" / "there"))
    home = tmp_path / "not" / "there" / "shipshape"

    assert signer.require_signer(LOCAL) == KeyPair(Key(f"{home}/cosign.key"), Key(f"{home}/cosign.pub"))
    assert sorted(path.name for path in home.iterdir()) == ["cosign.key", "cosign.pub"]
    assert home.stat().st_mode & 0o777 == 0o700
    [call] = fake_cosign.calls
    assert (call.arguments, call.password) == (["generate-key-pair"], "")
    assert call.started_in.parent == home, "on the same file system, so that a rename is enough"

    signer.require_signer(LOCAL)
    assert len(fake_cosign.calls) == 1


def test_half_a_key_pair_is_completed(fake_cosign: FakeCosign, tmp_path: Path) -> None:
    fake_cosign.makes("cosign.key", "cosign.pub")
    (tmp_path / "shipshape").mkdir()
    (tmp_path / "shipshape" / "cosign.key").write_text("from an interrupted run")

    signer.require_signer(LOCAL)
    assert (tmp_path / "shipshape" / "cosign.key").read_text() == "cosign.key"


def test_a_named_key_is_not_created(fake_cosign: FakeCosign, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ours.key").touch()
    monkeypatch.setenv("COSIGN_KEY", f"{tmp_path}/ours.key")
    signer.require_signer(LOCAL)

    assert fake_cosign.calls == []


def test_without_a_home_there_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError

    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(Path, "home", home)
    with pytest.raises(Failure, match=r"^HOME is not set, so there is no folder for a key$") as homeless:
        signer.find_trusted(LOCAL)
    assert homeless.value.remedy == "HOME=… or COSIGN_KEY=…"


def test_the_key_of_this_user_is_in_the_configuration_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)

    assert signer.find_trusted(LOCAL) == KeyPair(
        Key(f"{tmp_path}/.config/shipshape/cosign.key"), Key(f"{tmp_path}/.config/shipshape/cosign.pub")
    )


def test_the_password_of_a_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert signer.password() == {"COSIGN_PASSWORD": ""}

    monkeypatch.setenv("COSIGN_PASSWORD", "secret")
    assert signer.password() == {"COSIGN_PASSWORD": "secret"}


@pytest.mark.parametrize("variable", ["COSIGN_KEY", "COSIGN_PUBLIC_KEY"])
def test_a_named_key_is_not_looked_up_before_its_use(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "awskms:///alias/ours")

    assert isinstance(signer.require_verifier(LOCAL), KeyPair)


def test_a_malformed_home_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "--home")

    with pytest.raises(Failure, match=r"^XDG_CONFIG_HOME: '--home/shipshape/cosign\.key' is not a key"):
        signer.find_trusted(LOCAL)

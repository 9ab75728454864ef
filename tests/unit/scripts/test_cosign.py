"""Whose signature counts, and with what is signed."""

from pathlib import Path

import pytest

from scripts import cosign, project
from scripts.cosign import ISSUER, KeyPair, Workflow
from scripts.failure import Failure
from scripts.grammar import Identity, Key, Repository

REMOTE = [*map(Repository, ["docker.io/me/house-price", "ghcr.io/me/house-price"])]
HOME = "https://github.com/me/shipshape"
WORKFLOW = Workflow(Identity(f"{HOME}/.github/workflows/publish.yml@refs/heads/main"))
LOCAL = [*map(Repository, ["localhost:5001/house-price", "127.0.0.1:5002/house-price"])]


@pytest.fixture(autouse=True)
def checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A checkout of HOME, on a machine where nothing is set and no key was made."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(project, "repository", lambda: HOME)
    for name in ("COSIGN_KEY", "COSIGN_PUBLIC_KEY", "COSIGN_IDENTITY", "ACTIONS_ID_TOKEN_REQUEST_URL"):
        monkeypatch.delenv(name, raising=False)


def test_elsewhere_the_workflow_of_this_repository_counts() -> None:
    assert cosign.trusted(REMOTE) == WORKFLOW


def test_only_github_signs_as_a_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failure, match="only GitHub can sign"):
        cosign.signer(REMOTE)

    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "https://example.org")
    assert cosign.signer(REMOTE) == WORKFLOW


def test_a_key_that_is_named_counts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSIGN_KEY", "ours/cosign.key")

    assert cosign.trusted(REMOTE) == cosign.signer(REMOTE) == KeyPair(Key("ours/cosign.key"), Key("ours/cosign.pub"))


def test_a_key_of_a_kms_has_both_halves_under_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSIGN_KEY", "awskms:///alias/ours")

    assert cosign.trusted(REMOTE) == KeyPair(*[Key("awskms:///alias/ours")] * 2)


def test_a_public_key_verifies_and_does_not_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSIGN_PUBLIC_KEY", "theirs.pub")

    assert cosign.trusted(REMOTE) == KeyPair(None, Key("theirs.pub"))
    with pytest.raises(Failure, match="can verify, but not sign"):
        cosign.signer(REMOTE)


def test_another_workflow_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = "https://github.com/them/shipshape/.github/workflows"
    for ref in ("refs/heads/main", "refs/tags/v1.4.0", "0123456789abcdef0123456789abcdef01234567"):
        monkeypatch.setenv("COSIGN_IDENTITY", f"{theirs}/image.yml@{ref}")

        assert cosign.trusted(REMOTE) == Workflow(Identity(f"{theirs}/publish.yml@{ref}"))


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
def test_an_identity_is_one_workflow_and_no_pattern(identity: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSIGN_IDENTITY", identity)

    with pytest.raises(Failure, match=r"COSIGN_IDENTITY: .* is not a workflow's identity"):
        cosign.trusted(REMOTE)


def test_cosign_is_told_the_whole_identity_and_who_issued_it() -> None:
    assert WORKFLOW.options == (
        f"--certificate-identity={HOME}/.github/workflows/publish.yml@refs/heads/main",
        f"--certificate-oidc-issuer={ISSUER}",
    )
    assert ISSUER == "https://token.actions.githubusercontent.com"


def test_cosign_is_told_the_key_as_the_value_of_its_option() -> None:
    assert "--key=theirs.pub" in KeyPair(None, Key("theirs.pub")).options


@pytest.mark.parametrize("variable", ["COSIGN_KEY", "COSIGN_PUBLIC_KEY"])
@pytest.mark.parametrize("value", ["--insecure-skip-verify", "-", "a\nb", "http://example.org/cosign.pub", "x" * 1025])
def test_what_is_no_key_is_refused(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(Failure, match=f"{variable}: .* is not a key"):
        cosign.trusted(REMOTE)


def test_the_public_key_that_is_named_counts_beside_the_private_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSIGN_KEY", "ours/cosign.key")
    monkeypatch.setenv("COSIGN_PUBLIC_KEY", "elsewhere.pub")

    assert cosign.trusted(REMOTE) == KeyPair(Key("ours/cosign.key"), Key("elsewhere.pub"))


def test_an_identity_counts_rather_than_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSIGN_KEY", "ours/cosign.key")
    monkeypatch.setenv("COSIGN_IDENTITY", WORKFLOW.identity)

    assert cosign.trusted(LOCAL) == WORKFLOW


def test_the_key_of_this_user_counts_where_every_registry_is_on_this_machine(tmp_path: Path) -> None:
    own = KeyPair(Key(f"{tmp_path}/shipshape/cosign.key"), Key(f"{tmp_path}/shipshape/cosign.pub"))

    assert cosign.trusted(LOCAL) == own
    assert cosign.trusted([LOCAL[0], REMOTE[0]]) == cosign.trusted([REMOTE[0], LOCAL[0]]) == WORKFLOW


def test_verifying_makes_no_key_and_asks_for_the_publisher_s(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"no key of yours, .*/shipshape/cosign\.pub") as no_key:
        cosign.verifier(LOCAL)

    assert "COSIGN_PUBLIC_KEY" in no_key.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_the_key_of_this_user_verifies_once_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "shipshape").mkdir()
    (tmp_path / "shipshape" / "cosign.pub").touch()

    assert cosign.verifier(LOCAL) == cosign.trusted(LOCAL)


def test_a_workflow_is_verified_without_a_key() -> None:
    assert cosign.verifier(REMOTE) == WORKFLOW


def test_provenance_counts_from_the_file_in_whose_name_no_code_of_a_build_can_sign() -> None:
    own = KeyPair(Key("a.key"), Key("a.pub"))

    assert cosign.builder(WORKFLOW) == Workflow(Identity(f"{HOME}/.github/workflows/image.yml@refs/heads/main"))
    assert cosign.builder(own) == own


@pytest.mark.parametrize("home", ["", "https://gitlab.example.org/group/team/shipshape"])
def test_where_no_repository_with_workflows_is_known_nobody_is_trusted(
    home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "repository", lambda: home)

    with pytest.raises(Failure, match="nobody is known"):
        cosign.trusted(REMOTE)

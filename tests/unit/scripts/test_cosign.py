"""Whose signature counts, and with what is signed."""

import pytest

from scripts import cosign, project
from scripts.cosign import KeyPair, Workflow
from scripts.failure import Failure

REMOTE = ["docker.io/me/house-price", "ghcr.io/me/house-price"]
HOME = "https://github.com/me/shipshape"
WORKFLOW = Workflow(f"{HOME}/.github/workflows/publish.yml@refs/heads/main")


@pytest.fixture(autouse=True)
def checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout of HOME, on a machine where nothing is set."""
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

    assert cosign.trusted(REMOTE) == cosign.signer(REMOTE) == KeyPair("ours/cosign.key", "ours/cosign.pub")


def test_a_key_of_a_kms_has_both_halves_under_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSIGN_KEY", "awskms:///alias/ours")

    assert cosign.trusted(REMOTE) == KeyPair("awskms:///alias/ours", "awskms:///alias/ours")


def test_a_public_key_verifies_and_does_not_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSIGN_PUBLIC_KEY", "theirs.pub")

    assert cosign.trusted(REMOTE) == KeyPair("", "theirs.pub")
    with pytest.raises(Failure, match="can verify, but not sign"):
        cosign.signer(REMOTE)


def test_another_workflow_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = "https://github.com/them/shipshape/.github/workflows"
    monkeypatch.setenv("COSIGN_IDENTITY", f"{theirs}/image.yml@0123456789abcdef")

    assert cosign.trusted(REMOTE) == Workflow(f"{theirs}/publish.yml@0123456789abcdef")


def test_provenance_counts_from_the_file_in_whose_name_no_code_of_a_build_can_sign() -> None:
    assert cosign.builder(WORKFLOW) == Workflow(f"{HOME}/.github/workflows/image.yml@refs/heads/main")
    assert cosign.builder(KeyPair("a.key", "a.pub")) == KeyPair("a.key", "a.pub")


def test_where_no_repository_is_known_nobody_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "repository", lambda: "")

    with pytest.raises(Failure, match="nobody is known"):
        cosign.trusted(REMOTE)

"""Checking and installing cosign."""

import pytest

from scripts.errors import Failure
from scripts.host import cosign, debian
from scripts.host.debian import System
from tests.unit.scripts.fake_cosign import FakeCosign

HELP = b"Available Commands:\n%s      Create a Sigstore protobuf bundle\n"
NEW, OLD = HELP % b"  upgrade     Upgrade a Sigstore protobuf bundle\n  create", HELP % b"  create"


def test_an_old_cosign_is_refused(fake_cosign: FakeCosign) -> None:
    fake_cosign.answers(NEW)
    cosign.require_cosign()
    assert cosign.provide() == "cosign"
    assert [call.arguments for call in fake_cosign.calls] == [["bundle", "--help"]] * 2

    fake_cosign.answers(OLD)
    with pytest.raises(Failure, match=r"cosign is older than 3\.1, and this needs 3\.1 or newer") as old:
        cosign.require_cosign()
    assert old.value.remedy == f"./ship setup, or {cosign.MANUAL}"


def test_a_missing_cosign_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(Failure, match=r"cosign is not installed, and this needs 3\.1 or newer"):
        cosign.require_cosign()


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, fake_cosign: FakeCosign) -> list[object]:
    """The packages that are installed on this Debian, whose cosign is old."""
    calls: list[object] = []

    def install(packages: list[str], **options: object) -> None:
        calls.append((packages, options))

    fake_cosign.answers(OLD)
    monkeypatch.setattr(debian, "install", install)
    monkeypatch.setattr(debian, "KEYRING", fake_cosign.folder)
    monkeypatch.setattr(debian, "system", lambda: System("Debian", has_apt=True, is_root=True))
    return calls


def test_debian_installs_cosign_from_its_testing_suite(installed: list[object]) -> None:
    assert cosign.provide() == "cosign"
    assert installed == [([], {"borrowed": ["cosign"], "suite": debian.TESTING})]


@pytest.mark.parametrize(("has_apt", "is_root"), [(False, True), (True, False)])
def test_without_root_the_manual_is_named(
    installed: list[object], monkeypatch: pytest.MonkeyPatch, *, has_apt: bool, is_root: bool
) -> None:
    monkeypatch.setattr(debian, "system", lambda: System("Other", has_apt=has_apt, is_root=is_root))

    fault = "cosign is older than 3.1, and publishing and verifying need 3.1 or newer"
    assert cosign.provide() == f"{fault}: {cosign.MANUAL}"
    assert installed == []


def test_without_the_keys_of_debian_nothing_is_installed(
    installed: list[object], monkeypatch: pytest.MonkeyPatch, fake_cosign: FakeCosign
) -> None:
    monkeypatch.setattr(debian, "KEYRING", fake_cosign.folder / "none")

    assert cosign.provide().endswith(cosign.MANUAL)
    assert installed == []


def test_a_failed_installation_does_not_stop_the_setup(
    installed: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(_packages: object, **_options: object) -> None:
        raise Failure("no mirror answers")

    monkeypatch.setattr(debian, "install", install)

    assert cosign.provide().endswith("need 3.1 or newer: no mirror answers")
    assert installed == []

"""Which releases of QEMU are reliable."""

import pytest

from scripts.host.emulation import is_reliable


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1:7.2+dfsg-7+deb12u18+b3", False),
        ("1:8.2.2+ds-0ubuntu1.10", True),
        ("1:10.0.13+ds-0+deb13u1", True),
        ("10.1.0", True),
        (None, False),
    ],
)
def test_the_qemu_of_debian_12_is_too_old(version: str | None, *, expected: bool) -> None:
    assert is_reliable(version) is expected

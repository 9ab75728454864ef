"""Which QEMU to take."""

import pytest

from scripts.host.emulation import sound


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
def test_debian_12_s_is_too_old(version: str | None, *, expected: bool) -> None:
    assert sound(version) is expected

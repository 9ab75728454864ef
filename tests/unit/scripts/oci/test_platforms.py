"""Platforms as they are typed."""

import pytest

from scripts.oci.platforms import parse


@pytest.mark.parametrize(
    ("text", "platforms"),
    [
        ("linux/amd64", ("linux/amd64",)),
        ("linux/arm64", ("linux/arm64",)),
        ("linux/amd64,linux/arm64", ("linux/amd64", "linux/arm64")),
        ("linux/arm64, linux/amd64", ("linux/amd64", "linux/arm64")),
        ("linux/arm64,linux/arm64", ("linux/arm64",)),
    ],
)
def test_their_order_and_number_do_not_matter(text: str, platforms: tuple[str, ...]) -> None:
    assert parse(text) == platforms


@pytest.mark.parametrize("text", ["", ",", "linux/amd64,", "amd64", "linux/arm64/v8", "linux/amd64 linux/arm64"])
def test_what_is_no_supported_platform_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not among linux/amd64, linux/arm64"):
        parse(text)

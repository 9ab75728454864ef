"""Parsing the platforms that a person types."""

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
def test_order_and_repetition_do_not_matter(text: str, platforms: tuple[str, ...]) -> None:
    assert parse(text) == platforms


@pytest.mark.parametrize("text", ["", ",", "linux/amd64,", "amd64", "linux/arm64/v8", "linux/amd64 linux/arm64"])
def test_an_unsupported_platform_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not one of linux/amd64, linux/arm64"):
        parse(text)

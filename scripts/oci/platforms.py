"""Platforms, written `os/architecture`, that the image can be built for."""

from scripts.grammar import Platform

# An index lists them in this order, whatever order was asked for: the same platforms give the same digest.
SUPPORTED = (Platform("linux/amd64"), Platform("linux/arm64"))


def parse(text: str) -> tuple[Platform, ...]:
    """Return the comma-separated platforms in `text`. Raises ValueError when one is not supported."""
    named = {name.strip() for name in text.split(",")}
    unknown = sorted(named - set(SUPPORTED))
    if unknown:
        raise ValueError(f"{', '.join(map(repr, unknown))}: not one of {', '.join(SUPPORTED)}")
    return tuple(platform for platform in SUPPORTED if platform in named)

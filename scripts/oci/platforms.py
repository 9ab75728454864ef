"""Platforms, written `os/architecture`, that the image can be built for."""

from scripts.grammar import Platform

# In this order they stand in an index, however they were asked for: the same platforms, the same digest.
SUPPORTED = (Platform("linux/amd64"), Platform("linux/arm64"))


def parse(text: str) -> tuple[Platform, ...]:
    """Return the platforms that `text` names, separated by commas. Raises ValueError when one is not supported."""
    named = {name.strip() for name in text.split(",")}
    unknown = sorted(named - set(SUPPORTED))
    if unknown:
        raise ValueError(f"{', '.join(map(repr, unknown))}: not among {', '.join(SUPPORTED)}")
    return tuple(platform for platform in SUPPORTED if platform in named)

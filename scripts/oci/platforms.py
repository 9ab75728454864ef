"""Platforms, written `os/architecture`: those that the image can be built for, and what the engine makes of them."""

from scripts.grammar import Platform
from scripts.process import output

# In this order they stand in an index, however they were asked for: the same platforms, the same digest.
SUPPORTED = (Platform("linux/amd64"), Platform("linux/arm64"))


def parse(text: str) -> tuple[Platform, ...]:
    """Return the platforms that `text` names, separated by commas. Raises ValueError when one is not supported."""
    named = {name.strip() for name in text.split(",")}
    unknown = sorted(named - set(SUPPORTED))
    if unknown:
        raise ValueError(f"{', '.join(map(repr, unknown))}: not among {', '.join(SUPPORTED)}")
    return tuple(platform for platform in SUPPORTED if platform in named)


def native() -> Platform:
    """Return the platform of the engine's machine."""
    told = output("docker", "version", "--format", "{{.Server.Os}}/{{.Server.Arch}}", remedy="./ship setup")
    return Platform.of(told, "the engine's platform")


def runnable() -> set[str]:
    """Return the platforms that the engine can run: its own, and those for which its kernel knows an emulator."""
    lines = output("docker", "buildx", "inspect", "default").splitlines()
    listed = [line.partition(":")[2].split(",") for line in lines if line.startswith("Platforms:")]
    return {native(), *(name.strip().rstrip("*") for names in listed for name in names)}

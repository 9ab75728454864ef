"""`./ship setup`: everything that the other stages need on this machine. Safe to repeat: what is there is kept."""

from scripts import engine, images
from scripts.terminal import say


def setup() -> str:
    """Provide a Docker engine with its tools, a builder, the base image and the registry image."""
    version = engine.provide()
    say(f"  engine {version}")
    reachable = images.registry_reachable()
    names = [images.provide(image, reachable=reachable) for image in images.ALL]
    for name in names:
        say(f"  image {name}")
    builder = engine.provide_builder(registry_reachable=reachable)
    say(f"  builder {builder}")
    return f"engine {version}, {'images by digest' if reachable else 'images from Debian packages'}"

"""`./ship setup`: everything that the other stages need on this machine. Safe to repeat: what is there is kept."""

from scripts import cosign, engine, images
from scripts.terminal import say


def setup() -> str:
    """Provide a Docker engine with its tools, cosign, a builder, the base image and the registry image."""
    version = engine.provide()
    say(f"  engine {version}")
    say(f"  {cosign.provide()}")
    reachable = images.registry_reachable()
    # The pinned builder pulls the base image itself; the engine's own needs it to be here.
    wanted = [images.REGISTRY] if reachable else [images.REGISTRY, images.PYTHON]
    names = [images.provide(image, reachable=reachable) for image in wanted]
    for name in names:
        say(f"  image {name}")
    builder = engine.provide_builder(registry_reachable=reachable)
    say(f"  builder {builder}")
    return f"engine {version}, {'images by digest' if reachable else 'images from Debian packages'}"

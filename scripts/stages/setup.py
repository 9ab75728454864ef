"""`./ship setup`: everything that the other stages need on this machine. Safe to repeat: what is there is kept."""

from collections.abc import Sequence

from scripts import shipment
from scripts.console import say
from scripts.grammar import Platform
from scripts.host import cosign, emulation, engine, images


def setup(*, wanted: Sequence[Platform] = (), emulate: bool = False) -> str:
    """Provide a Docker engine with its tools, cosign, a builder, the base image and the registry image.

    The base image is for this machine's platform and the `wanted` ones, or else those of ship.toml.
    With `emulate`, the engine can run those, too.
    """
    wanted = wanted or shipment.platforms()
    found = engine.provide()
    say(f"  engine {found}: {found.choice}")
    say(f"  {cosign.provide()}")
    if emulate:
        emulation.provide(wanted)
    reachable = images.registry_reachable()
    native = engine.platform()
    needed = {images.REGISTRY: [native]}
    # The pinned builder pulls the base image itself; the engine's own needs it to be here.
    if not reachable:
        needed[images.PYTHON] = [native, *(platform for platform in wanted if platform != native)]
    for image, on in needed.items():
        say(f"  image {images.provide(image, on, reachable=reachable)} for {', '.join(on)}")
    builder = engine.provide_builder(registry_reachable=reachable)
    say(f"  builder {builder}")
    return f"engine {found}, {'images by digest' if reachable else 'images from Debian packages'}"

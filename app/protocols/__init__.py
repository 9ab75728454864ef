"""The protocols of other clients and platforms: every module here but `adapter`, which they share, is one.

A protocol's module has `make_routes(settings, predictor, drain)`. Delete the module, and only that protocol is gone.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.drain import Drain
    from app.model import Predictor
    from app.route import Route
    from app.settings import Settings


_SHARED = "adapter"


def make_routes(settings: Settings, predictor: Predictor, drain: Drain) -> list[Route]:
    """Make the routes of every protocol, in the order of the modules' names."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != _SHARED)
    protocols = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return [route for protocol in protocols for route in protocol.make_routes(settings, predictor, drain)]

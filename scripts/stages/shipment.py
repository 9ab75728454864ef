"""`./ship shipment`: what is shipped and where it is published, as ship.toml and the variables say."""

from scripts import shipment
from scripts.console import say
from scripts.github import actions


def show() -> str:
    """Show what is shipped, and return its name and version.

    GitHub's later steps can read the output `registries`, separated by spaces. Raises Failure when something of it is
    missing or wrong.
    """
    what, registries, platforms = shipment.shipment(), " ".join(shipment.repositories()), shipment.platforms()
    say(f"  table       {what.path}")
    say(f"  target      {what.target}")
    say(f"  registries  {registries}")
    say(f"  platforms   {' '.join(platforms) or 'that of this machine'}")
    actions.output("registries", registries)
    return f"{what.name} {what.version}"

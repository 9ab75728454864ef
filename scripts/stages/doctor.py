"""`./ship doctor`: what is missing here, or on GitHub, before a release can work. Changes nothing."""

import json
import re
from collections.abc import Iterable

from packaging.version import InvalidVersion
from packaging.version import Version as Ordered
from rich.text import Text

from scripts import shipment
from scripts.check import Check, State, left_open, missing, right
from scripts.console import Rows, console
from scripts.errors import Failure
from scripts.github import settings
from scripts.host import cosign
from scripts.oci import registry
from scripts.process import Limit, attempt

SETUP = "./ship setup"
SECONDS = 20
TOOLS: dict[str, tuple[tuple[str, ...], str]] = {
    "git": (("git", "--version"), ""),
    "docker engine": (("docker", "version", "--format", "{{.Server.Version}}"), "26.1"),
    "buildx": (("docker", "buildx", "version"), "0.13"),
    "compose": (("docker", "compose", "version"), "2"),
    "skopeo": (("skopeo", "--version"), ""),
}
"""How each tool tells its version, and the oldest that does."""
STYLES = {State.RIGHT: "green", State.MISSING: "bold red", State.OPEN: "yellow"}


def doctor() -> str:
    """Show every check, and return how many there were. Raises Failure when something that is needed is missing."""
    found = checks()
    rows = Rows("", "what", "found", "next")
    for check in found:
        rows.row(Text(check.state.value, STYLES[check.state]), check.about, check.found, check.next)
    console.print(rows)
    lacking = [check for check in found if check.state is State.MISSING]
    if lacking:
        names = ", ".join(dict.fromkeys(check.about for check in lacking))
        raise Failure(f"{len(lacking)} of {len(found)} checks found something missing: {names}", lacking[0].next)
    unknown = sum(check.state is State.OPEN for check in found)
    return f"nothing is missing in {len(found)} checks, {unknown} of which leave something open"


def checks() -> list[Check]:
    """Return what is to be said of this machine, of the registries and of GitHub."""
    return [*tools(), *logins(), *settings.checks()]


def as_json(found: Iterable[Check]) -> str:
    """Return the checks as a JSON list, with the states `right`, `missing` and `open`."""
    rows = [
        {"about": one.about, "state": one.state.name.lower(), "found": one.found, "next": one.next} for one in found
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False)


def tools() -> list[Check]:
    """Return whether the programs that the pipeline drives are here, and new enough."""
    return [*(_tool(name, command, oldest) for name, (command, oldest) in TOOLS.items()), _cosign()]


def _tool(name: str, command: tuple[str, ...], oldest: str) -> Check:
    try:
        done = attempt(*command, limit=Limit(SECONDS, name))  # the engine can be another machine's
    except Failure as absent:
        return missing(name, absent.reason, absent.remedy)
    if done.returncode:
        return missing(name, done.words, SETUP)
    stated = re.search(r"\d+(\.\d+)+", done.text)
    version = _ordered(stated[0]) if stated else None
    if not version:
        return left_open(name, f"of no known version: {done.text}", f"{oldest} or newer is needed" if oldest else "")
    if oldest and version < Ordered(oldest):
        return missing(name, f"{version}, and {oldest} or newer is needed", SETUP)
    return right(name, str(version))


def _ordered(text: str) -> Ordered | None:
    try:
        return Ordered(text)
    except InvalidVersion:
        return None


def _cosign() -> Check:
    """Return whether the cosign here can verify what it signs for as long as the image is used."""
    if why := cosign.find_fault():
        return missing("cosign", why, SETUP)
    return right("cosign", f"{cosign.OLDEST} or newer")


def logins() -> list[Check]:
    """Return who would publish from here, in each registry that SHIP_REGISTRIES or ship.toml names."""
    try:
        repositories = shipment.repositories()
    except Failure as wrong:
        return [missing("registries", wrong.reason, wrong.remedy)]
    if repositories == shipment.local_repositories():
        return [
            left_open(
                "registries",
                "two on this machine, as neither SHIP_REGISTRIES nor ship.toml names any",
                'SHIP_REGISTRIES="docker.io/me/house-price ghcr.io/me/house-price" ./ship doctor',
            )
        ]
    hosts = dict.fromkeys(one.registry for one in repositories if not registry.is_local(one))
    return [_login(host) for host in hosts] or [right("registries", "on this machine, where nobody logs in")]


def _login(host: str) -> Check:
    """Return whether a login for `host` is stored. Whether it may push only pushing tells."""
    about, remedy = f"login to {host}", f"docker login {host}"
    try:
        done = attempt("skopeo", "login", "--get-login", "--", host)
    except Failure as absent:
        return left_open(about, f"not known: {absent.reason}", SETUP)
    if done.returncode:
        return missing(about, "none is stored for this user", remedy)
    return right(about, f"as {done.text}")

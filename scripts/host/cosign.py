"""The program cosign on this machine: whether it is new enough, and installing it where that can be done."""

import re

from scripts.errors import Failure
from scripts.host import debian
from scripts.process import attempt

MANUAL = "https://docs.sigstore.dev/cosign/system_config/installation/"
OLDEST = "3.1"
"""Older ones fail on bundles from both generations of the transparency log side by side."""


def provide() -> str:
    """Make sure that a cosign is here that is new enough, where that is possible; return what to say of it.

    On Debian as root it is installed from Debian's packages. Elsewhere its absence is no failure: building and testing
    an image need none.
    """
    if not (why := lacking()):
        return "cosign"
    system = debian.system()
    if not (system.has_apt and system.is_root and debian.KEYRING.exists()):
        return f"{why}, and publishing and verifying need {OLDEST} or newer: {MANUAL}"
    try:
        debian.install([], borrowed=["cosign"], suite=debian.TESTING)
    except Failure as failure:
        return f"{why}, and publishing and verifying need {OLDEST} or newer: {failure.reason}"
    return "cosign"


def require_cosign() -> None:
    """Raise Failure unless a cosign is here that can verify what it signs for as long as the image is used."""
    if why := lacking():
        raise Failure(f"{why}, and this needs {OLDEST} or newer", f"./ship setup, or {MANUAL}")


def lacking() -> str:
    """Return what is wrong with the cosign of this machine, if anything."""
    try:
        done = attempt("cosign", "bundle", "--help")
    except Failure as missing:
        return missing.reason
    # By what it can do, which came with 3.1: what a distribution builds may call itself "devel".
    return "" if re.search(rb"(?m)^ *upgrade ", done.stdout) else f"the cosign that is here is older than {OLDEST}"

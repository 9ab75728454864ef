"""The program cosign on this machine: its version, and its installation."""

import re

from scripts.errors import Failure
from scripts.host import debian
from scripts.process import attempt

MANUAL = "https://docs.sigstore.dev/cosign/system_config/installation/"
OLDEST = "3.1"
"""Older releases fail on bundles from both generations of the transparency log side by side."""


def provide() -> str:
    """Install a recent cosign if necessary and possible; return a line about the outcome.

    Only root on Debian can install it. Its absence is not a failure: building and testing do not need it.
    """
    if not (why := find_fault()):
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
    """Raise Failure unless a recent cosign is installed."""
    if why := find_fault():
        raise Failure(f"{why}, and this needs {OLDEST} or newer", f"./ship setup, or {MANUAL}")


def find_fault() -> str:
    """Return what is wrong with cosign on this machine, empty if nothing is."""
    try:
        done = attempt("cosign", "bundle", "--help")
    except Failure as missing:
        return missing.reason
    # By a command that came with 3.1: a distribution's build may call itself "devel".
    return "" if re.search(rb"(?m)^ *upgrade ", done.stdout) else f"cosign is older than {OLDEST}"

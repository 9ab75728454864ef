"""QEMU's user emulation, to run images for another architecture on this machine.

Builds do not need it; it only runs the result, slowly.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from scripts.console import say
from scripts.errors import Failure
from scripts.host import debian, engine
from scripts.process import run

PROGRAMS = {"linux/amd64": "qemu-x86_64", "linux/arm64": "qemu-aarch64"}
# The first reliable major release: 7.2 crashes when it loads ONNX Runtime 1.31 for arm64, and 10.0 does not.
RELIABLE = 8
# The kernel's table of interpreters, and Debian's entries for it: systemd's binfmt.d(5), which the kernel reads too.
KERNEL = Path("/proc/sys/fs/binfmt_misc")
ENTRIES = Path("/usr/lib/binfmt.d")


def provide(wanted: Iterable[str]) -> None:
    """Make sure that the engine can run the `wanted` platforms.

    Raises Failure, with what to install, on systems other than Debian and Ubuntu, and without root.
    """
    lacking = sorted(set(wanted) - engine.runnable_platforms())
    if not lacking:
        return
    system = debian.system()
    if not (system.has_apt and system.is_root):
        raise Failure(
            f"{system.name}: this engine cannot run {', '.join(lacking)}",
            "install qemu-user-static and register it with binfmt_misc (sudo ./ship setup --emulate does that on "
            "Debian and Ubuntu), or use a machine of that platform",
        )
    say(f"  installing QEMU to run {', '.join(lacking)}")
    _install()
    for platform in lacking:
        _register(PROGRAMS[platform])
    if missing := set(lacking) - engine.runnable_platforms():
        raise Failure(f"QEMU is installed, but the engine still cannot run {', '.join(sorted(missing))}")


def is_reliable(version: str | None) -> bool:
    """Return whether QEMU of Debian's `version` runs the image reliably; None stands for no QEMU."""
    found = re.match(r"(?:\d+:)?(\d+)\.", version or "")
    return found is not None and int(found[1]) >= RELIABLE


def _install() -> None:
    debian.update()
    if is_reliable(debian.candidate("qemu-user-static")):
        debian.install(["qemu-user-static"])
    else:  # Debian 12; the newer programs are linked statically, so they run there
        debian.install([], borrowed=["qemu-user-static", "qemu-user", "qemu-user-binfmt"])


def _register(program: str) -> None:
    """Register `program` with the kernel unless systemd has, which is missing in most containers."""
    if not (KERNEL / "register").exists():
        run("mount", "-t", "binfmt_misc", "binfmt_misc", str(KERNEL))
    if not (KERNEL / program).exists():
        (KERNEL / "register").write_text((ENTRIES / f"{program}.conf").read_text())

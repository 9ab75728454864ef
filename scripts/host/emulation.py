"""QEMU's user emulation: starts, on this machine, an image that is meant for another architecture.

Nothing is built with it. It only lets one look at what was built, slowly.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from scripts.console import say
from scripts.errors import Failure
from scripts.host import debian, engine
from scripts.process import run

PROGRAMS = {"linux/amd64": "qemu-x86_64", "linux/arm64": "qemu-aarch64"}
# The first release to trust: 7.2 crashes when an arm64 ONNX Runtime 1.31 is loaded, and 10.0 does not.
SOUND = 8
# The kernel's table of programs that run other programs, and the lines that Debian's package has for it (systemd's
# binfmt.d(5); the kernel reads the same format).
KERNEL = Path("/proc/sys/fs/binfmt_misc")
LINES = Path("/usr/lib/binfmt.d")


def provide(wanted: Iterable[str]) -> None:
    """Make sure that the engine can run the `wanted` platforms.

    Raises Failure, with what to install, on a system that is not Debian or Ubuntu, or without root.
    """
    lacking = sorted(set(wanted) - engine.runnable())
    if not lacking:
        return
    system = debian.system()
    if not (system.has_apt and system.is_root):
        raise Failure(
            f"{system.name}: this engine cannot run {', '.join(lacking)}",
            "install qemu-user-static and have it registered with binfmt_misc (on Debian and Ubuntu as root, "
            "./ship setup --emulate does), or use a machine of that platform",
        )
    say(f"  installing QEMU to run {', '.join(lacking)}")
    _install()
    for platform in lacking:
        _register(PROGRAMS[platform])
    if missing := set(lacking) - engine.runnable():
        raise Failure(f"QEMU is installed, and the engine still cannot run {', '.join(sorted(missing))}")


def sound(version: str | None) -> bool:
    """Return whether QEMU of Debian's `version` can be trusted to run the image; None is no QEMU at all."""
    found = re.match(r"(?:\d+:)?(\d+)\.", version or "")
    return found is not None and int(found[1]) >= SOUND


def _install() -> None:
    debian.update()
    if sound(debian.candidate("qemu-user-static")):
        debian.install(["qemu-user-static"])
    else:  # Debian 12. The newer programs are linked statically, so they run there.
        debian.install([], borrowed=["qemu-user-static", "qemu-user", "qemu-user-binfmt"])


def _register(program: str) -> None:
    """Tell the kernel about `program`, where systemd did not: it is not everywhere, least of all in containers."""
    if not (KERNEL / "register").exists():
        run("mount", "-t", "binfmt_misc", "binfmt_misc", str(KERNEL))
    if not (KERNEL / program).exists():
        (KERNEL / "register").write_text((LINES / f"{program}.conf").read_text())

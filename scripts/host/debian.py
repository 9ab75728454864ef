"""Debian and Ubuntu packages: what can be installed here, from which suite, and a root file system made of them."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.errors import Failure
from scripts.process import output, run

# The suite that base images are made from, and that an older Debian borrows its Docker engine from.
SUITE = "trixie"
# Where cosign 3 is, which no release of Debian has yet.
TESTING = "forky"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# Whom programs on this machine trust, a proxy that intercepts TLS among them.
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True)
class System:
    """What /etc/os-release says of this machine."""

    name: str
    has_apt: bool
    is_root: bool


def system() -> System:
    """Return what this machine is."""
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        lines = []
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    return System(
        name=fields.get("PRETTY_NAME", os.uname().sysname).strip('"'),
        has_apt=shutil.which("apt-get") is not None,
        is_root=os.geteuid() == 0,
    )


def update() -> None:
    """Fetch the lists of packages."""
    run("apt-get", "update", "-qq", env=QUIET)


def candidate(package: str) -> str | None:
    """Return the version of `package` that this machine would install, None when its suites do not hold it."""
    lines = output("apt-cache", "policy", package, env=QUIET).splitlines()
    versions = [line.partition(":")[2].strip() for line in lines if "Candidate:" in line]
    return versions[0] if versions and versions[0] != "(none)" else None


def has_candidate(package: str) -> bool:
    """Return whether the suites of this machine hold `package`."""
    return candidate(package) is not None


def install(packages: Sequence[str], *, borrowed: Sequence[str] = (), suite: str = SUITE) -> None:
    """Install `packages` from this machine's suites and `borrowed` from `suite`.

    apt checks the signatures of both. The machine's own list of sources stays as it is: `suite` is added for this call
    only, at a priority at which nothing but the `borrowed` packages is taken from it.
    """
    with _sources(suite if borrowed else "") as options:
        if borrowed:
            run("apt-get", *options, "update", "-qq", env=QUIET)
        wanted = [*packages, *(f"{package}/{suite}" for package in borrowed)]
        run(
            "apt-get",
            *options,
            "install",
            "-qq",
            "-o",
            "Dpkg::Use-Pty=0",
            "-y",
            "--no-install-recommends",
            *wanted,
            env=QUIET,
        )


@contextlib.contextmanager
def _sources(suite: str) -> Iterator[list[str]]:
    if not suite:
        yield []
        return
    with tempfile.TemporaryDirectory() as folder:
        parts = Path(folder, "sources.list.d")
        shutil.copytree("/etc/apt/sources.list.d", parts)
        Path(parts, "shipshape.list").write_text("".join(f"{line}\n" for line in suite_sources(suite)))
        preferences = Path(folder, "preferences")
        preferences.write_text(f"Package: *\nPin: release n={suite}*\nPin-Priority: 100\n")
        # apt drops to a user of its own to download, who must be able to read these.
        for path in (Path(folder), parts):
            path.chmod(0o755)
        yield ["-o", f"Dir::Etc::SourceParts={parts}", "-o", f"Dir::Etc::Preferences={preferences}"]


def suite_sources(suite: str = SUITE) -> list[str]:
    """Return apt's source lines for `suite` and its security updates, from the mirror that this machine uses."""
    if not KEYRING.exists():
        raise Failure(
            f"{KEYRING} is missing: it holds the keys that Debian signs with", "apt-get install debian-archive-keyring"
        )
    mirror, security = "http://deb.debian.org/debian", "http://deb.debian.org/debian-security"
    for line in output("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").splitlines():
        uri = line.rstrip("/")
        if uri.endswith("/debian"):
            mirror = uri
        elif uri.endswith("/debian-security"):
            security = uri
    if suite == TESTING:
        # Its lists are good for a week, and a mirror at a closed site is often older.
        return [f"deb [signed-by={KEYRING} check-valid-until=no] {mirror} {suite} main"]
    signed = f"deb [signed-by={KEYRING}]"
    return [
        f"{signed} {mirror} {suite} main",
        f"{signed} {mirror} {suite}-updates main",
        f"{signed} {security} {suite}-security main",
    ]


def root_file_system(variant: str, packages: Sequence[str], tar: Path, *, suite: str = SUITE) -> None:
    """Write a tar archive of `suite` with `packages`, the same bytes for the same packages.

    `variant` is mmdebstrap's: `minbase` can run apt, `extract` holds nothing but the packages and their dependencies.
    """
    _mmdebstrap(f"--variant={variant}", f"--include={','.join(packages)}", target=str(tar), suite=suite)


def packages_of(architecture: str, packages: Sequence[str], folder: Path) -> None:
    """Fetch into `folder` the packages that `minbase` with `packages` consists of, for another `architecture`.

    apt checks their signatures; none of them is installed, and nothing of theirs is run.
    """
    _mmdebstrap(
        "--variant=extract",
        f"--architectures={architecture}",
        "--include=?essential",
        "--include=?priority(required)",
        f"--include={','.join(['apt', *packages])}",
        f"--extract-hook=copy-out /var/cache/apt/archives {folder}",
        "--format=null",
        target="-",
    )
    (folder / "archives").rename(folder / architecture)


def _mmdebstrap(*options: str, target: str, suite: str = SUITE) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder, "sources.list")
        sources.write_text("".join(f"{line}\n" for line in suite_sources(suite)))
        environment = {**QUIET, "SOURCE_DATE_EPOCH": "1"}
        run("mmdebstrap", "--quiet", *options, suite, target, str(sources), env=environment)

"""Debian and Ubuntu packages: installing them, and building root file systems from them."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.errors import Failure
from scripts.process import output, run

# The suite of the base images, and of the Docker engine that an older Debian borrows.
SUITE = "trixie"
# The suite with cosign 3, which no release of Debian has yet.
TESTING = "forky"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# The authorities that this machine trusts, including a proxy that intercepts TLS.
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True)
class System:
    """The operating system of this machine, and what `./ship` may do with it."""

    name: str
    has_apt: bool
    is_root: bool


def system() -> System:
    """Return the system of this machine."""
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
    """Fetch the package lists."""
    run("apt-get", "update", "-qq", env=QUIET)


def candidate(package: str) -> str | None:
    """Return the version of `package` that apt would install, None when its suites lack it."""
    lines = output("apt-cache", "policy", package, env=QUIET).splitlines()
    versions = [line.partition(":")[2].strip() for line in lines if "Candidate:" in line]
    return versions[0] if versions and versions[0] != "(none)" else None


def has_candidate(package: str) -> bool:
    """Return whether apt can install `package`."""
    return candidate(package) is not None


def install(packages: Sequence[str], *, borrowed: Sequence[str] = (), suite: str = SUITE) -> None:
    """Install `packages` from this machine's suites and `borrowed` from `suite`.

    apt checks the signatures of both. The sources of the machine do not change: `suite` is added for this call only,
    with a priority so low that only the `borrowed` packages come from it.
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
        # apt downloads as a user of its own, who must be able to read these.
        for path in (Path(folder), parts):
            path.chmod(0o755)
        yield ["-o", f"Dir::Etc::SourceParts={parts}", "-o", f"Dir::Etc::Preferences={preferences}"]


def suite_sources(suite: str = SUITE) -> list[str]:
    """Return the apt sources of `suite` and its security updates, on the mirror of this machine."""
    if not KEYRING.exists():
        raise Failure(
            f"{KEYRING} is missing, so Debian's signatures cannot be checked", "apt-get install debian-archive-keyring"
        )
    mirror, security = "http://deb.debian.org/debian", "http://deb.debian.org/debian-security"
    for line in output("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").splitlines():
        uri = line.rstrip("/")
        if uri.endswith("/debian"):
            mirror = uri
        elif uri.endswith("/debian-security"):
            security = uri
    if suite == TESTING:
        # Its lists expire after a week, and a mirror at a closed site is often older.
        return [f"deb [signed-by={KEYRING} check-valid-until=no] {mirror} {suite} main"]
    signed = f"deb [signed-by={KEYRING}]"
    return [
        f"{signed} {mirror} {suite} main",
        f"{signed} {mirror} {suite}-updates main",
        f"{signed} {security} {suite}-security main",
    ]


def make_root_filesystem(variant: str, packages: Sequence[str], tar: Path, *, suite: str = SUITE) -> None:
    """Write a tar archive of `suite` with `packages`; the same packages give the same bytes.

    `variant` is that of mmdebstrap: `minbase` can run apt, `extract` has only the packages and their dependencies.
    """
    _mmdebstrap(f"--variant={variant}", f"--include={','.join(packages)}", target=str(tar), suite=suite)


def download_packages(architecture: str, packages: Sequence[str], folder: Path) -> None:
    """Download the packages of a `minbase` with `packages` for another `architecture` into `folder`.

    apt checks their signatures; none of them is installed or run.
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

"""The Docker engine of this machine, installed from distribution packages and started if necessary."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.console import say
from scripts.errors import Failure
from scripts.grammar import ImageReference, Platform
from scripts.host import debian
from scripts.process import attempt, output, run, succeeds

# The BuildKit that builds every image when a container registry can be reached: the same builder gives the same bytes.
# Otherwise the engine's own BuildKit builds.
BUILDKIT = "moby/buildkit:v0.33.1@sha256:cec9f139f45e93c5c69c60f8b07cfad9f43f4ef6b6a6cd917527fea5ff2e3dea"
BUILDER = "shipshape"
MANUAL = "https://docs.docker.com/engine/install/"
# The engine keeps manifests, so that it can write an OCI layout and identify images by digest.
DAEMON_JSON = {"features": {"containerd-snapshotter": True}}
# The oldest supported buildx, that of Debian 13. Since then BuildKit can rewrite the times in layers.
OLDEST = (0, 13)
START_SECONDS = 60


@dataclass(frozen=True)
class Engine:
    """The running engine, and where it comes from."""

    version: str
    buildx: str
    choice: str

    def __str__(self) -> str:
        return f"{self.version} with buildx {self.buildx}"


def is_running() -> bool:
    """Return whether the engine answers."""
    return succeeds("docker", "version", "--format", "{{.Server.Version}}")


def list_missing() -> list[str]:
    """Return the names of missing programs."""
    checks = {
        "docker": ("docker", "--version"),
        "dockerd": ("docker", "info") if is_running() else ("dockerd", "--version"),
        "buildx": ("docker", "buildx", "version"),
        "compose": ("docker", "compose", "version"),
        "skopeo": ("skopeo", "--version"),
    }
    return [name for name, command in checks.items() if not succeeds(*command)]


def provide() -> Engine:
    """Make sure that an engine runs, with buildx, compose and skopeo.

    Raises Failure, with what to install, on systems other than Debian and Ubuntu, without root, and when buildx is too
    old.
    """
    lacking = list_missing()
    choice = _install(lacking) if lacking else "already here"
    if not is_running():
        _start()
    version = output("docker", "version", "--format", "{{.Server.Version}}")
    buildx = output("docker", "buildx", "version").split()[1].removeprefix("v")
    number = re.match(r"([0-9]+)\.([0-9]+)", buildx)
    if number and (int(number[1]), int(number[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise Failure(
            f"buildx {buildx} is older than {oldest}, the oldest supported release", f"install Docker: {MANUAL}"
        )
    return Engine(version, buildx, choice)


def _install(lacking: list[str]) -> str:
    """Install the programs that are `lacking`; return where they come from."""
    system = debian.system()
    if not system.has_apt:
        raise Failure(
            f"missing on {system.name}: {', '.join(lacking)}",
            f"install Docker with buildx and compose ({MANUAL}) and skopeo, start it, then run ./ship setup again",
        )
    if system.is_root:
        debian.update()
    own, borrowed = _packages()
    choice = f"from the packages of {system.name}"
    if borrowed:
        choice = f"from Debian {debian.SUITE}, because {system.name} has no buildx"
    if not system.is_root:
        raise Failure(
            f"missing: {', '.join(lacking)}, and only root can install them",
            f"sudo ./ship setup (it installs {' '.join([*own, *borrowed])})",
        )
    say(f"  installing {', '.join(lacking)} from the distribution's packages")
    config = Path("/etc/docker/daemon.json")
    if not config.exists():
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(json.dumps(DAEMON_JSON, indent=2) + "\n")
    debian.install(own, borrowed=borrowed)
    return choice


def _packages() -> tuple[list[str], list[str]]:
    """Return the packages to install from this machine's suites, and those to borrow from a newer Debian."""
    if debian.has_candidate("docker-compose-v2"):  # Ubuntu
        return ["docker.io", "docker-buildx", "docker-compose-v2", "skopeo", "iptables"], []
    engine = ["docker.io", "docker-cli", "docker-buildx", "docker-compose", "containerd"]
    if debian.has_candidate("docker-buildx"):  # Debian 13 and later
        return [*engine, "skopeo", "iptables"], []
    # Debian 12: its engine is too old. The newer one is written in Go and runs on its C library; runc and skopeo would
    # not, so these two are its own.
    return ["runc", "skopeo", "iptables"], engine


def _start() -> None:
    if Path("/run/systemd/system").is_dir():
        run("systemctl", "enable", "--now", "docker", remedy="journalctl -u docker")
        log = "journalctl -u docker"
    elif os.geteuid() == 0 and shutil.which("dockerd"):
        log = "/var/log/dockerd.log"
        say(f"  starting dockerd (its log is {log})")
        _remove_stale("dockerd", Path("/var/run/docker.pid"))
        _remove_stale("containerd", Path("/var/run/docker/containerd/containerd.pid"))
        with Path(log).open("ab") as sink:
            subprocess.Popen(
                ["dockerd"], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True, cwd="/"
            )
    else:
        raise Failure("the Docker engine does not answer", f"start it, and check that you may use it: {MANUAL}")
    deadline = time.monotonic() + START_SECONDS
    while not is_running():
        if time.monotonic() > deadline:
            raise Failure(f"the Docker engine did not answer within {START_SECONDS} s", f"read {log}")
        time.sleep(0.2)


def _remove_stale(program: str, pid_file: Path) -> None:
    """Remove the pid file of a killed `program`: dockerd would mistake a zombie, or another process, for it."""
    try:
        status = Path("/proc", pid_file.read_text().strip(), "status").read_text()
    except OSError:
        status = ""
    if f"Name:\t{program}\n" not in status or "State:\tZ" in status:
        pid_file.unlink(missing_ok=True)


def provide_builder(*, registry_reachable: bool) -> str:
    """Make sure that a builder can write an OCI layout; return its name for `--builder`."""
    named = os.environ.get("SHIP_BUILDKIT_IMAGE")
    if registry_reachable or named:
        image = ImageReference.of(named, "SHIP_BUILDKIT_IMAGE") if named else BUILDKIT
        found = attempt("docker", "buildx", "inspect", BUILDER)
        if found.returncode or f'image="{image}"' not in found.text:
            if not found.returncode:  # created for another release or mirror
                run("docker", "buildx", "rm", BUILDER)
            run("docker", "buildx", "create", "--name", BUILDER, "--driver", "docker-container",
                "--driver-opt", f"image={image},network=host")  # fmt: skip
        run("docker", "buildx", "inspect", "--bootstrap", BUILDER)
    elif "io.containerd.snapshotter" not in output("docker", "info", "--format", "{{json .DriverStatus}}"):
        raise Failure(
            "this engine cannot write an OCI layout without the containerd image store, and no container registry can "
            "be reached to pull another builder",
            f"put {json.dumps(DAEMON_JSON)} into /etc/docker/daemon.json and restart the engine, "
            "or name images that can be pulled: SHIP_BUILDKIT_IMAGE=… SHIP_PYTHON_IMAGE=… ./ship setup",
        )
    return builder()


def builder() -> str:
    """Return the name of the builder: the pinned one if it exists, else the engine's own."""
    return BUILDER if succeeds("docker", "buildx", "inspect", BUILDER) else "default"


@contextmanager
def one_build_at_a_time() -> Iterator[None]:
    """Wait until no other checkout on this machine is building.

    Concurrent builds of the same files crash the engine's own BuildKit, with everything that runs in it, up to at least
    Docker 26.1.5 (moby/buildkit#5606).
    """
    place = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker", "shipshape-build.lock")
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("  waiting for another build on this machine")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def has_image(reference: str, on: str | None = None) -> bool:
    """Return whether the engine has the image `reference`, for the platform `on` if given."""
    if attempt("docker", "image", "inspect", reference).returncode:
        return False
    if on is None:
        return True
    # inspect shows one platform of an image. Only creating a container shows whether it has another.
    made = attempt("docker", "create", "--pull", "never", "--platform", on, reference, "true")
    if made.returncode == 0:
        output("docker", "rm", made.text)
    return made.returncode == 0


def platform() -> Platform:
    """Return the platform of the engine's machine."""
    stated = output("docker", "version", "--format", "{{.Server.Os}}/{{.Server.Arch}}", remedy="./ship setup")
    return Platform.of(stated, "the engine's platform")


def runnable_platforms() -> set[str]:
    """Return the platforms that the engine can run: its own, and those with an emulator in its kernel."""
    lines = output("docker", "buildx", "inspect", "default").splitlines()
    listed = [line.partition(":")[2].split(",") for line in lines if line.startswith("Platforms:")]
    return {platform(), *(name.strip().rstrip("*") for names in listed for name in names)}


def image_id(reference: str) -> str:
    """Return the engine's ID of the image `reference`."""
    return output("docker", "image", "inspect", "--format", "{{.Id}}", reference)


def await_answer(url: str, container: str) -> None:
    """Wait until `url` answers with success.

    Raises Failure, with the end of the log, when `container` dies or START_SECONDS pass.
    """
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - all callers pass http on this machine
                return
        except OSError as refused:
            state = attempt("docker", "container", "inspect", "--format", "{{.State.Running}}", container)
            if state.text != "true" or time.monotonic() > deadline:
                logs = attempt("docker", "logs", "--tail", "5", container)
                raise Failure(
                    f"{container} does not answer at {url}: {logs.words}",
                    f"docker logs {container}",
                ) from refused
            time.sleep(0.1)

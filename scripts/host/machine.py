"""A bare machine of another Debian release: a privileged container with Python and Git, and nothing else.

`./ship setup` in it installs the Docker engine of that release.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from scripts import git
from scripts.console import say
from scripts.grammar import ImageReference, Revision
from scripts.host import debian, engine, images
from scripts.host.debian import CA_BUNDLE
from scripts.process import attempt, output

PACKAGES = ("ca-certificates", "debian-archive-keyring", "git", "iproute2", "procps", "python3", "python3-venv")
CHECKOUT = "/shipshape"
# How a machine here reaches a network. Anything else would make it less bare.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


def image(suite: str) -> ImageReference:
    """Provide what the machine starts as: Debian's own image where that can be pulled, or Debian's packages."""
    name = ImageReference(f"shipshape/machine:{suite}")
    if engine.has_image(name):
        return name
    say(f"  making {name}; docker image rm {name} has it made anew")
    with tempfile.TemporaryDirectory() as folder:
        if images.registry_reachable():
            packages = f"apt-get update -qq && apt-get install -qq -y --no-install-recommends {' '.join(PACKAGES)}"
            Path(folder, "Dockerfile").write_text(f"FROM debian:{suite}-slim\nRUN {packages}\n")
            output("docker", "buildx", "build", "--builder", "default", "--load", "--tag", name, folder)
        else:
            images.provide_mmdebstrap()
            tar = Path(folder, "root.tar")
            debian.root_file_system("minbase", PACKAGES, tar, suite=suite)
            output("docker", "import", str(tar), name)
    return name


@contextmanager
def start(image: ImageReference) -> Iterator[str]:
    """Start a machine, and remove it with all that was made on it."""
    proxies = [f"--env={name}" for name in PROXIES if name in os.environ]
    certificates = [f"--volume={CA_BUNDLE}:{CA_BUNDLE}:ro"] if CA_BUNDLE.exists() else []
    # Its engine's files are on volumes: one overlay on another is refused by the kernel.
    places = ["--volume=/var/lib/docker", "--volume=/var/lib/containerd"]
    name = f"shipshape-machine-{uuid4().hex[:12]}"
    options = (f"--name={name}", "--detach", "--init", "--privileged", *proxies, *certificates, *places)
    try:
        output("docker", "run", *options, image, "sleep", "infinity")
        yield name
    finally:
        attempt("docker", "rm", "--force", "--volumes", name)


def clone(name: str, revision: Revision) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder, "commits.bundle")
        git.data("bundle", "create", "--quiet", str(bundle), "HEAD")
        output("docker", "cp", str(bundle), f"{name}:/commits.bundle")
    output("docker", "exec", name, "git", "clone", "--quiet", "/commits.bundle", CHECKOUT)
    # Not HEAD: somebody may have committed here since the build.
    output("docker", "exec", name, "git", "-C", CHECKOUT, "checkout", "--quiet", "--detach", revision)

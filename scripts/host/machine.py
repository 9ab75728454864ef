"""A bare machine with another Debian release: a privileged container with only Python and Git.

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
# How the machine reaches a network; any other variable would make it less bare.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


def image(suite: str) -> ImageReference:
    """Provide the image of the machine, from Debian's own image if that can be pulled, else from Debian packages."""
    name = ImageReference(f"shipshape/machine:{suite}")
    if engine.has_image(name):
        return name
    say(f"  making {name}; docker image rm {name} removes it")
    with tempfile.TemporaryDirectory() as folder:
        if images.registry_reachable():
            packages = f"apt-get update -qq && apt-get install -qq -y --no-install-recommends {' '.join(PACKAGES)}"
            Path(folder, "Dockerfile").write_text(f"FROM debian:{suite}-slim\nRUN {packages}\n")
            output("docker", "buildx", "build", "--builder", "default", "--load", "--tag", name, folder)
        else:
            images.provide_mmdebstrap()
            tar = Path(folder, "root.tar")
            debian.make_root_filesystem("minbase", PACKAGES, tar, suite=suite)
            output("docker", "import", str(tar), name)
    return name


@contextmanager
def start(image: ImageReference) -> Iterator[str]:
    """Start a machine, and remove it with everything on it at the end."""
    proxies = [f"--env={name}" for name in PROXIES if name in os.environ]
    certificates = [f"--volume={CA_BUNDLE}:{CA_BUNDLE}:ro"] if CA_BUNDLE.exists() else []
    # The files of its engine are on volumes: the kernel refuses an overlay on an overlay.
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
    # Not HEAD, which may have moved since the build.
    output("docker", "exec", name, "git", "-C", CHECKOUT, "checkout", "--quiet", "--detach", revision)

"""`./ship test --on SUITE`: the image is built and tested on a bare machine, with the engine of another Debian release.

The machine is a privileged container: Debian with Python and Git, and nothing else until `./ship setup` ran in it.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from scripts import checkout, git
from scripts.console import say
from scripts.environments.record import require_history
from scripts.errors import Failure
from scripts.grammar import ImageReference, Revision, document
from scripts.host import debian, engine, images
from scripts.oci import diff
from scripts.oci.layout import Layout
from scripts.process import attempt, data, output, run
from scripts.stages import build
from scripts.stages.build import CA_BUNDLE, Built

PACKAGES = ("ca-certificates", "debian-archive-keyring", "git", "iproute2", "procps", "python3", "python3-venv")
CHECKOUT = "/shipshape"
# How a machine here reaches a network. Anything else would make it less bare.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


def test_on(suite: str) -> str:
    """Build and test the commit that is checked out on a machine of `suite`, and compare the digest with the one here.

    Raises Failure when there are changes that are not committed, when a stage fails there, and for another digest.
    """
    at = checkout.commit()
    if at.dirty:
        raise Failure("only a commit can be tested on another machine, and there are other changes", "git commit")
    require_history()
    engine.provide()
    build.build()
    here = build.built()
    with _machine(_image(suite)) as name:
        inside = ("docker", "exec", "--workdir", CHECKOUT, name)
        _clone(name, at.revision)
        for stage in (["setup"], ["build"], ["integration", "--only", "image"]):
            run(*inside, "./ship", *stage, remedy=f"see above what fails on {suite}")
        there = document(data(*inside, "cat", "build/image.json"), Built, f"build/image.json on {suite}")
        said = output(*inside, "cat", "build/setup.result")
        if there.digest != here.digest:
            _show_difference(name)
            raise Failure(f"on {suite} it is {there.digest}, here {here.digest}; there: {said}")
    return f"{there.digest}, as here: {said}"


def _image(suite: str) -> ImageReference:
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
def _machine(image: ImageReference) -> Iterator[str]:
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


def _show_difference(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        output("docker", "cp", f"{name}:{CHECKOUT}/build/image", folder)
        for line in diff.lines(diff.compare(Layout(build.IMAGE), Layout(Path(folder, "image")))):
            say(f"  {line}")


def _clone(name: str, revision: Revision) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder, "commits.bundle")
        git.data("bundle", "create", "--quiet", str(bundle), "HEAD")
        output("docker", "cp", str(bundle), f"{name}:/commits.bundle")
    output("docker", "exec", name, "git", "clone", "--quiet", "/commits.bundle", CHECKOUT)
    # Not HEAD: somebody may have committed here since the build.
    output("docker", "exec", name, "git", "-C", CHECKOUT, "checkout", "--quiet", "--detach", revision)

"""The images that the pipeline starts from: Python to build on, and a registry for local publishing.

They are pulled by digest when a container registry can be reached, else made from Debian packages under a local name.
"""

import os
import re
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts import ROOT
from scripts.console import say
from scripts.errors import Failure
from scripts.grammar import ImageReference
from scripts.host import debian, engine
from scripts.host.engine import builder, has_image, one_build_at_a_time
from scripts.process import Limit, attempt, output, run


@dataclass(frozen=True)
class Image:
    """A pinned image and its local replacement."""

    variable: str
    """Environment variable that names another image to use instead."""
    pinned: ImageReference
    local: ImageReference
    variant: str
    packages: tuple[str, ...]
    changes: tuple[str, ...]
    """Dockerfile instructions that make the local one behave like the pinned one."""


def python_image(checkout: Path) -> Image:
    """Return the base image that the Dockerfile of `checkout` names."""
    found = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", (checkout / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    return Image(
        variable="SHIP_PYTHON_IMAGE",
        pinned=ImageReference.of(found[1] if found else "", "Dockerfile, in its line ARG PYTHON_IMAGE=…"),
        local=ImageReference("shipshape/python:3.13-trixie"),
        variant="minbase",
        packages=("python3", "python3-venv", "ca-certificates"),
        changes=('CMD ["python3"]',),
    )


PYTHON = python_image(ROOT)
REGISTRY = Image(
    variable="SHIP_REGISTRY_IMAGE",
    pinned=ImageReference("registry:3.1.1@sha256:1be55279f18a2fe1a74edf2664cac61c1bea305b7b4642dab412e7affdcb3e33"),
    local=ImageReference("shipshape/registry:trixie"),
    variant="extract",
    packages=("base-files", "docker-registry", "ca-certificates"),
    changes=(
        'ENTRYPOINT ["docker-registry", "serve", "/etc/docker/registry/config.yml"]',
        "ENV REGISTRY_AUTH={} REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/var/lib/registry",
        "VOLUME /var/lib/registry",
        "EXPOSE 5000",
    ),
)
PULL_SECONDS = 1200
HUB = "https://registry-1.docker.io/v2/"


def registry_reachable() -> bool:
    """Return whether Docker Hub answers at all."""
    try:
        with urllib.request.urlopen(HUB, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True  # 401 is its usual answer
    except OSError:
        return False


def reference(image: Image) -> ImageReference:
    """Return the name to use for `image` on this machine. Raises Failure when its variable is malformed."""
    if named := os.environ.get(image.variable):
        return ImageReference.of(named, image.variable)
    # Only the engine's own builder sees local images.
    return image.local if builder() == "default" and has_image(image.local) else image.pinned


def provide(image: Image, wanted: Sequence[str], *, reachable: bool) -> ImageReference:
    """Make sure that the engine has `image` for the `wanted` platforms; return its name."""
    name = reference(image)
    missing = [platform for platform in wanted if not has_image(name, platform)]
    if not missing:
        return name
    if name != image.local and (reachable or name != image.pinned):
        for platform in missing:
            run(
                "docker",
                "pull",
                "--quiet",
                "--platform",
                platform,
                name,
                limit=Limit(PULL_SECONDS, f"the registry of {name}"),
            )
        return name
    say(f"  no container registry can be reached: making {image.local} from Debian's packages")
    provide_mmdebstrap()
    native = engine.platform()
    if native in missing:
        _make(image)
    if other := [platform for platform in missing if platform != native]:
        _add_platforms(image, native, other)
    return image.local


def missing_platforms(image: Image, wanted: Sequence[str]) -> list[str]:
    """Return the `wanted` platforms that a locally made `image` lacks.

    An image that can be pulled lacks none. The builder does not check: it would take the files of another platform.
    """
    name = reference(image)
    return [platform for platform in wanted if not has_image(name, platform)] if name == image.local else []


def _make(image: Image) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tar = Path(folder, "root.tar")
        debian.make_root_filesystem(image.variant, image.packages, tar)
        changes = [option for change in image.changes for option in ("--change", change)]
        output("docker", "import", *changes, str(tar), image.local)


def _add_platforms(image: Image, native: str, other: Sequence[str]) -> None:
    """Add the `other` platforms to the local image, which exists for `native`: see base.Dockerfile."""
    with tempfile.TemporaryDirectory() as folder:
        for platform in other:
            debian.download_packages(platform.removeprefix("linux/"), image.packages, Path(folder))
        shutil.copy(ROOT / "scripts" / "host" / "base.Dockerfile", Path(folder, "Dockerfile"))
        say(f"  unpacking packages for {', '.join(other)}")
        build = ["docker", "buildx", "build", "--builder", "default", "--provenance", "false", "--load"]
        together = ["--platform", ",".join([native, *other]), "--build-arg", f"NATIVE={image.local}"]
        # A temporary name until it is complete: an interrupted build has tagged its image already.
        fresh = f"{image.local}-new"
        with one_build_at_a_time():
            output(*build, *together, "--tag", fresh, folder)
    before = output("docker", "image", "inspect", "--format", "{{.Id}}", image.local)
    output("docker", "tag", fresh, image.local)
    attempt("docker", "image", "rm", fresh, before)


def provide_mmdebstrap() -> None:
    """Make sure that mmdebstrap is installed. Raises Failure when that needs root or another system."""
    if shutil.which("mmdebstrap"):
        return
    system = debian.system()
    if not (system.has_apt and system.is_root):
        raise Failure(
            f"{system.name}: making a base image needs mmdebstrap and root",
            f"install mmdebstrap and run sudo ./ship setup, or name an image that can be pulled: "
            f"{PYTHON.variable}=… {REGISTRY.variable}=… ./ship setup",
        )
    debian.update()
    debian.install(["mmdebstrap", "debian-archive-keyring"])

"""The images that others made and this pipeline starts from: Python to build on, a registry to publish to.

Pulled by digest where a container registry can be reached, else made from Debian's packages under a local name.
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
    """One such image."""

    variable: str
    """Environment variable that names another image to use in its place."""
    pinned: ImageReference
    local: ImageReference
    variant: str
    packages: tuple[str, ...]
    changes: tuple[str, ...]
    """Dockerfile instructions that make the local one answer as the pinned one does."""


def python(checkout: Path) -> Image:
    """Return the base image that a plain `docker build .` in `checkout` uses: its Dockerfile is what names it."""
    found = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", (checkout / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    return Image(
        variable="SHIP_PYTHON_IMAGE",
        pinned=ImageReference.of(found[1] if found else "", "Dockerfile, in its line ARG PYTHON_IMAGE=…"),
        local=ImageReference("shipshape/python:3.13-trixie"),
        variant="minbase",
        packages=("python3", "python3-venv", "ca-certificates"),
        changes=('CMD ["python3"]',),
    )


PYTHON = python(ROOT)
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
    """Return whether Docker Hub answers, in whatever words."""
    try:
        with urllib.request.urlopen(HUB, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True  # 401 is how it says hello
    except OSError:
        return False


def reference(image: Image) -> ImageReference:
    """Return the name to use for `image` on this machine. Raises Failure when its variable names none."""
    if named := os.environ.get(image.variable):
        return ImageReference.of(named, image.variable)
    # Only the engine's own builder sees the images that were made here.
    return image.local if builder() == "default" and has_image(image.local) else image.pinned


def provide(image: Image, wanted: Sequence[str], *, reachable: bool) -> ImageReference:
    """Make sure that the engine holds `image` for the `wanted` platforms; return its name."""
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
        _add(image, native, other)
    return image.local


def lacking(image: Image, wanted: Sequence[str]) -> list[str]:
    """Return which of the `wanted` platforms `image` was not made for, where it was made here.

    What can be pulled lacks none. The builder itself does not ask: it would take one platform's files for another's.
    """
    name = reference(image)
    return [platform for platform in wanted if not has_image(name, platform)] if name == image.local else []


def _make(image: Image) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tar = Path(folder, "root.tar")
        debian.root_file_system(image.variant, image.packages, tar)
        changes = [option for change in image.changes for option in ("--change", change)]
        output("docker", "import", *changes, str(tar), image.local)


def _add(image: Image, native: str, other: Sequence[str]) -> None:
    """Add the `other` platforms to the local image, which is there for `native`: see base.Dockerfile."""
    with tempfile.TemporaryDirectory() as folder:
        for platform in other:
            debian.packages_of(platform.removeprefix("linux/"), image.packages, Path(folder))
        shutil.copy(ROOT / "scripts" / "host" / "base.Dockerfile", Path(folder, "Dockerfile"))
        say(f"  unpacking them for {', '.join(other)}")
        build = ["docker", "buildx", "build", "--builder", "default", "--provenance", "false", "--load"]
        together = ["--platform", ",".join([native, *other]), "--build-arg", f"NATIVE={image.local}"]
        # Under a name of its own until it is complete: a build that breaks off has named its image already.
        fresh = f"{image.local}-new"
        with one_build_at_a_time():
            output(*build, *together, "--tag", fresh, folder)
    before = output("docker", "image", "inspect", "--format", "{{.Id}}", image.local)
    output("docker", "tag", fresh, image.local)
    attempt("docker", "image", "rm", fresh, before)


def provide_mmdebstrap() -> None:
    """Make sure that root file systems can be made here. Raises Failure where that needs somebody's help."""
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

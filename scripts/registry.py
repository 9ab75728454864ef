"""Container registries: what a tag points to, which tags there are, and copying a layout there byte for byte.

skopeo does the talking, with the credentials that `docker login` stored. On a machine without any, two local
registries stand for Docker Hub and GHCR; the code path is the same.
"""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from scripts import engine, images
from scripts.failure import Failure
from scripts.process import attempt, output, run
from scripts.source import name

# Port on this machine and name of the container, by the registry that it stands for.
LOCAL = {"Docker Hub": (5001, "shipshape-docker-hub"), "GHCR": (5002, "shipshape-ghcr")}
COPY = ("skopeo", "--insecure-policy", "copy", "--quiet", "--all", "--preserve-digests", "--retry-times", "2")
# How skopeo words that a tag or a repository is not there (OCI distribution-spec v1.1, error codes). `denied` is what
# Docker Hub and GHCR say of a repository that the first push will make; who may not read may not push either.
ABSENT = re.compile(
    r"manifest unknown|name unknown|name not known|NAME_UNKNOWN|MANIFEST_UNKNOWN|not found|denied", re.IGNORECASE
)


def repositories() -> list[str]:
    """Return the repositories to publish to: REGISTRIES, separated by spaces or commas, else the two local ones.

    In lower case, as registries want them, whatever the owner on GitHub is called. Raises Failure when REGISTRIES is
    set and names none.
    """
    if "REGISTRIES" not in os.environ:
        return local_repositories()
    named = [one for one in re.split(r"[\s,]+", os.environ["REGISTRIES"].lower()) if one]
    if not named:
        raise Failure(
            "REGISTRIES is set and names no repository", "unset it, or REGISTRIES='docker.io/me/house-price …'"
        )
    return named


def local_repositories() -> list[str]:
    """Return the repositories in the two local registries."""
    return [f"localhost:{port}/{name()}" for port, _ in LOCAL.values()]


def is_local(reference: str) -> bool:
    """Return whether the registry of `reference` runs on this machine."""
    return _registry(reference).rsplit(":", 1)[0] in {"localhost", "127.0.0.1"}


def digest(reference: str) -> str | None:
    """Return the digest of the manifest or index that `reference` points to, None when there is none.

    It is computed here, from the bytes that the registry gives. Raises Failure when the registry does not answer.
    """
    done = attempt("skopeo", "inspect", "--raw", *_tls("", reference), f"docker://{reference}")
    if done.returncode == 0:
        return f"sha256:{hashlib.sha256(done.stdout).hexdigest()}"
    _require_absence(reference, done.stderr)
    return None


def tags(repository: str) -> list[str]:
    """Return every tag of `repository`; none when it does not exist yet."""
    done = attempt("skopeo", "list-tags", *_tls("", repository), f"docker://{repository}")
    if done.returncode == 0:
        return list(json.loads(done.stdout)["Tags"])
    _require_absence(repository, done.stderr)
    return []


def push(layout: Path, reference: str) -> None:
    """Copy every blob and manifest of `layout` to `reference`, digests unchanged."""
    output(*COPY, *_tls("dest-", reference), f"oci:{layout}", f"docker://{reference}")


def pull(reference: str, layout: Path) -> None:
    """Copy every blob and manifest of `reference` into a new OCI layout, digests unchanged."""
    output(*COPY, *_tls("src-", reference), f"docker://{reference}", f"oci:{layout}")


def tag(repository: str, digest: str, name: str) -> None:
    """Let the tag `name` of `repository` point to `digest`, which it holds already."""
    source, target = f"docker://{repository}@{digest}", f"docker://{repository}:{name}"
    output(*COPY, *_tls("src-", repository), *_tls("dest-", repository), source, target)


def labels(reference: str) -> dict[str, str]:
    """Return the labels of the image `reference`; of an index, those of its platform that this machine would run."""
    return dict(_config(reference)["config"].get("Labels") or {})


def platforms(reference: str) -> list[str]:
    """Return the `os/architecture` of each image that `reference` holds."""
    manifest = json.loads(output("skopeo", "inspect", "--raw", *_tls("", reference), f"docker://{reference}"))
    single = "manifests" not in manifest
    found = [_config(reference)] if single else [entry["platform"] for entry in manifest["manifests"]]
    return [f"{platform['os']}/{platform['architecture']}" for platform in found]


def start_local() -> None:
    """Start the two local registries, where they are not running. Their content stays when they stop."""
    for port, container in LOCAL.values():
        state = attempt("docker", "container", "inspect", "--format", "{{.State.Running}}", container)
        if state.text == "false":
            output("docker", "start", container)
        elif state.returncode:
            run("docker", "run", "--detach", "--name", container, "--restart", "unless-stopped",
                "--publish", f"127.0.0.1:{port}:5000", "--volume", f"{container}:/var/lib/registry",
                images.reference(images.REGISTRY), remedy="./ship setup")  # fmt: skip
        engine.await_answer(f"http://localhost:{port}/v2/", container)


def _config(reference: str) -> dict[str, Any]:
    return dict(json.loads(output("skopeo", "inspect", "--config", *_tls("", reference), f"docker://{reference}")))


def _require_absence(reference: str, error: str) -> None:
    """Raise Failure unless `error` says that `reference` does not exist: then the registry did not answer at all."""
    if ABSENT.search(error):
        return
    words = re.findall(r'msg="(.+)"', error) or error.strip().splitlines() or ["no answer"]
    remedy = "./ship publish starts the registries of this machine" if is_local(reference) else ""
    raise Failure(f"{_registry(reference)} cannot be asked about {reference}: {words[-1]}", remedy)


def _tls(side: str, reference: str) -> list[str]:
    """Return skopeo's flag for a registry on this machine, which speaks plain HTTP."""
    return [f"--{side}tls-verify=false"] if is_local(reference) else []


def _registry(reference: str) -> str:
    return reference.split("/", maxsplit=1)[0]

"""Real registries on this machine, asked over their own protocol (OCI distribution-spec v1.1)."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from testcontainers.core.container import DockerContainer

from tests.integration.container import await_answer
from tests.integration.program import run

MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True)
class Registry:
    """One registry, by its host and port."""

    host: str

    def digest(self, repository: str, tag: str) -> str | None:
        """Return the sha256 of the manifest's bytes, as they came; None when there is no such tag."""
        reply = self._get(repository, f"manifests/{tag}")
        return None if reply.status_code == 404 else f"sha256:{hashlib.sha256(reply.content).hexdigest()}"

    def tags(self, repository: str) -> list[str]:
        """Return the tags, without those by which an older registry keeps referrers (`sha256-…`)."""
        reply = self._get(repository, "tags/list")
        return sorted(tag for tag in reply.json()["tags"] if not tag.startswith("sha256-")) if reply.ok else []

    def manifest(self, repository: str, reference: str) -> dict[str, Any]:
        return dict(self._get(repository, f"manifests/{reference}").json())

    def content(self, repository: str, tag: str) -> bytes:
        """Return a manifest as it came."""
        return self._get(repository, f"manifests/{tag}").content

    def put_manifest(self, repository: str, tag: str, manifest: bytes) -> str:
        """Put a manifest, whose blobs are there, under `tag`; return its digest."""
        url, kind = f"http://{self.host}/v2/{repository}/manifests/{tag}", MANIFESTS.split(",", maxsplit=1)[0]
        reply = requests.put(url, manifest, headers={"Content-Type": kind}, timeout=10)
        assert reply.ok, reply.text
        return f"sha256:{hashlib.sha256(manifest).hexdigest()}"

    def labels(self, repository: str, tag: str) -> dict[str, str]:
        manifest = self.manifest(repository, tag)
        if "manifests" in manifest:  # an index: every platform has the same labels
            manifest = self.manifest(repository, manifest["manifests"][0]["digest"])
        config = self._get(repository, f"blobs/{manifest['config']['digest']}").json()
        return dict(config["config"].get("Labels") or {})

    def _get(self, repository: str, what: str) -> requests.Response:
        return requests.get(f"http://{self.host}/v2/{repository}/{what}", headers={"Accept": MANIFESTS}, timeout=10)


@contextmanager
def started_registry(port: int | None = None, *, read_only: bool = False) -> Iterator[Registry]:
    """Run an empty registry, on `port` of this machine or any free one; a `read_only` one refuses every upload."""
    container = DockerContainer(os.environ["REGISTRY_IMAGE"]).with_bind_ports(5000, port)
    if read_only:
        container.with_env("REGISTRY_STORAGE_MAINTENANCE_READONLY", "{enabled: true}")
    with container:
        host = f"localhost:{container.get_exposed_port(5000)}"
        await_answer(container, f"http://{host}/v2/")
        yield Registry(host)


def push(layout: Path, reference: str) -> None:
    """Copy an OCI layout to a registry on this machine, bytes unchanged."""
    copy = ("skopeo", "--insecure-policy", "copy", "--quiet", "--all", "--preserve-digests", "--dest-tls-verify=false")
    run(*copy, f"oci:{layout}", f"docker://{reference}")


@contextmanager
def pulled(registry: Registry, layout: Path, digest: str, platform: str | None = None) -> Iterator[str]:
    """Push `layout`, pull it by `digest` as every environment would, and give that reference; remove it in the end.

    Without `platform`, this machine's is pulled.
    """
    push(layout, f"{registry.host}/candidate:latest")
    reference = f"{registry.host}/candidate@{digest}"
    run("docker", "pull", "--quiet", *(["--platform", platform] if platform else []), reference)
    try:
        yield reference
    finally:
        run("docker", "image", "rm", "--force", reference)

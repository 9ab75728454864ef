"""Real registries on this machine, over their own protocol (OCI distribution-spec v1.1)."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from testcontainers.core.container import DockerContainer

from tests.integration.container import await_answer
from tests.integration.program import run
from tests.integration.side_by_side import LABELS

MANIFEST, INDEX = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"
MANIFESTS = f"{MANIFEST}, {INDEX}"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
LOGIN = ("ada", "a secret of nobody")
# The same as docker-registry wants it, by bcrypt with the fewest rounds.
HTPASSWD = "ada:$2b$04$kzWVYYuNC4jxKvSrtK2cw.OAE1cYRaQhqYlFizcAOkx1S2N.9WnI2\n"


@dataclass(frozen=True)
class Registry:
    """One registry, by its host and port."""

    host: str
    login: tuple[str, str] | None = None
    """The user and the password that it asks for."""

    def digest(self, repository: str, tag: str) -> str | None:
        """Return the SHA-256 of the manifest's bytes; None when there is no such tag."""
        reply = self._get(repository, f"manifests/{tag}")
        return None if reply.status_code == 404 else f"sha256:{hashlib.sha256(reply.content).hexdigest()}"

    def tags(self, repository: str) -> list[str]:
        """Return the tags, without those by which an older registry keeps referrers (`sha256-…`)."""
        reply = self._get(repository, "tags/list")
        return sorted(tag for tag in reply.json()["tags"] if not tag.startswith("sha256-")) if reply.ok else []

    def manifest(self, repository: str, reference: str) -> dict[str, Any]:
        return dict(self._get(repository, f"manifests/{reference}").json())

    def content(self, repository: str, tag: str) -> bytes:
        """Return the bytes of a manifest."""
        return self._get(repository, f"manifests/{tag}").content

    def put_manifest(self, repository: str, tag: str, manifest: bytes) -> str:
        """Upload a manifest, whose blobs exist, under `tag`; return its digest."""
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

    def referrers(self, repository: str, digest: str) -> list[dict[str, Any]]:
        """Return the list of referrers of the image `digest` in a registry without the API for them."""
        return list(self.manifest(repository, digest.replace(":", "-"))["manifests"])

    def bundle(self, repository: str, referrer: str) -> bytes:
        """Return the content of the referrer `referrer`."""
        [layer] = self.manifest(repository, referrer)["layers"]
        return self._get(repository, f"blobs/{layer['digest']}").content

    def attach(self, repository: str, digest: str, *contents: bytes) -> list[str]:
        """Attach `contents` to the image `digest`, as anyone who may push can; return the digests of the referrers."""
        config = self._put_blob(repository, b"{}")
        size = len(self._get(repository, f"manifests/{digest}").content)
        tag = digest.replace(":", "-")
        listed = self._get(repository, f"manifests/{tag}")
        entries = listed.json()["manifests"] if listed.ok else []
        for content in contents:
            manifest = {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2},
                "layers": [{"mediaType": BUNDLE, "digest": self._put_blob(repository, content), "size": len(content)}],
                "subject": {"mediaType": MANIFEST, "digest": digest, "size": size},
            }
            added = self._put_manifest(repository, MANIFEST, json.dumps(manifest).encode())
            entries.append({"mediaType": MANIFEST, "digest": added[0], "size": added[1], "artifactType": BUNDLE})
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
        self._put_manifest(repository, INDEX, json.dumps(index).encode(), tag)
        return [entry["digest"] for entry in entries[-len(contents) :]]

    def delete(self, repository: str, digest: str) -> None:
        """Delete a manifest, but no list that names it."""
        requests.delete(f"http://{self.host}/v2/{repository}/manifests/{digest}", timeout=10).raise_for_status()

    def _put_blob(self, repository: str, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        begun = requests.post(f"http://{self.host}/v2/{repository}/blobs/uploads/", timeout=10)
        place = begun.headers["Location"]
        requests.put(place, params={"digest": digest}, data=content, timeout=10).raise_for_status()
        return digest

    def _put_manifest(self, repository: str, kind: str, content: bytes, tag: str = "") -> tuple[str, int]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        url = f"http://{self.host}/v2/{repository}/manifests/{tag or digest}"
        requests.put(url, data=content, headers={"Content-Type": kind}, timeout=10).raise_for_status()
        return digest, len(content)

    def _get(self, repository: str, what: str) -> requests.Response:
        url = f"http://{self.host}/v2/{repository}/{what}"
        return requests.get(url, headers={"Accept": MANIFESTS}, timeout=10, auth=self.login)


@contextmanager
def started_registry(
    port: int | None = None, *, read_only: bool = False, users: Path | None = None
) -> Iterator[Registry]:
    """Run an empty registry on `port` or a free port; a `read_only` one refuses uploads.

    With an empty folder for `users`, it demands a login as LOGIN.
    """
    login = None
    container = DockerContainer(os.environ["SHIP_REGISTRY_IMAGE"], labels=LABELS).with_bind_ports(5000, port)
    container.with_env("REGISTRY_STORAGE_DELETE_ENABLED", "true")
    if read_only:
        container.with_env("REGISTRY_STORAGE_MAINTENANCE_READONLY", "{enabled: true}")
    if users:
        login = LOGIN
        (users / "htpasswd").write_text(HTPASSWD)
        container.with_volume_mapping(str(users), "/users", "ro")
        container.with_env("REGISTRY_AUTH", "{htpasswd: {realm: shipshape, path: /users/htpasswd}}")
    with container:
        host = f"localhost:{container.get_exposed_port(5000)}"
        await_answer(container, f"http://{host}/v2/", auth=login)
        yield Registry(host, login)


def built_registry_with_referrers(folder: Path) -> Path:
    """Build a registry with the referrers API in `folder`; Go caches the modules and objects.

    Raises FileNotFoundError without Go, and CalledProcessError where it cannot fetch its modules.
    """
    program = folder / "registry"
    run("go", "build", "-o", str(program), ".", cwd=Path(__file__).parent / "referrers")
    return program


@contextmanager
def started_program(program: Path) -> Iterator[Registry]:
    """Run an empty registry that prints its port."""
    with subprocess.Popen([program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            yield Registry(f"localhost:{int(server.stdout.readline())}")
        finally:
            server.terminate()


def push(layout: Path, reference: str) -> None:
    """Copy an OCI layout to a registry on this machine, bytes unchanged."""
    copy = ("skopeo", "--insecure-policy", "copy", "--quiet", "--all", "--preserve-digests", "--dest-tls-verify=false")
    run(*copy, f"oci:{layout}", f"docker://{reference}")


def relabelled(layout: Path, folder: Path, labels: dict[str, str]) -> Path:
    """Write the image of one platform in `layout` into `folder`, with other `labels`."""
    shutil.copytree(layout, folder)
    top = json.loads((folder / "index.json").read_bytes())
    manifest = json.loads(_blob(folder, top["manifests"][0]["digest"]).read_bytes())
    config = json.loads(_blob(folder, manifest["config"]["digest"]).read_bytes())
    config["config"]["Labels"] |= labels
    manifest["config"] |= _add_blob(folder, config)
    top["manifests"][0] |= _add_blob(folder, manifest)
    (folder / "index.json").write_text(json.dumps(top))
    return folder


def layout_digest(layout: Path) -> str:
    """Return the digest of the one image in `layout`."""
    return str(json.loads((layout / "index.json").read_bytes())["manifests"][0]["digest"])


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")


def _add_blob(layout: Path, document: dict[str, Any]) -> dict[str, Any]:
    content = json.dumps(document).encode()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    _blob(layout, digest).write_bytes(content)
    return {"digest": digest, "size": len(content)}


@contextmanager
def pulled(registry: Registry, layout: Path, digest: str, platform: str | None = None) -> Iterator[str]:
    """Push `layout`, pull it by `digest` like an environment, and yield that reference; remove it at the end.

    Without `platform`, this machine's is pulled.
    """
    push(layout, f"{registry.host}/candidate:latest")
    reference = f"{registry.host}/candidate@{digest}"
    run("docker", "pull", "--quiet", *(["--platform", platform] if platform else []), reference)
    try:
        yield reference
    finally:
        run("docker", "image", "rm", "--force", reference)

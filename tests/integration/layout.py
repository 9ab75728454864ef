"""OCI layouts as an attacker would make them: an honest image under other labels."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any


def relabelled(layout: Path, target: Path, **labels: str) -> Path:
    """Copy the one-platform image in `layout` to `target`, with `labels` (dots written as `__`) in place of its own."""
    shutil.copytree(layout, target)
    [top] = _read(target / "index.json")["manifests"]
    manifest = _blob(target, top["digest"])
    config = _blob(target, manifest["config"]["digest"])
    config["config"]["Labels"] |= {name.replace("__", "."): value for name, value in labels.items()}
    manifest["config"] |= _write(target, config)
    (target / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top | _write(target, manifest)]}))
    return target


def _blob(layout: Path, digest: str) -> dict[str, Any]:
    return _read(layout / "blobs" / digest.replace(":", "/"))


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_bytes()))


def _write(layout: Path, document: dict[str, Any]) -> dict[str, Any]:
    content = json.dumps(document).encode()
    name = hashlib.sha256(content).hexdigest()
    (layout / "blobs" / "sha256" / name).write_bytes(content)
    return {"digest": f"sha256:{name}", "size": len(content)}

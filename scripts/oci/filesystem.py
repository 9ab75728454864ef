"""The files of a built image as a container sees them: its layers stacked.

Source of the rules: https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md#applying-changesets
"""

import posixpath
from collections.abc import Callable
from dataclasses import dataclass, field

from scripts.errors import Failure
from scripts.oci.layout import Layer, Layout

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"


@dataclass
class _Changes:
    """What one layer does to those below it. Paths are relative to the root and have no leading slash."""

    files: dict[str, bytes] = field(default_factory=dict)
    replaced: set[str] = field(default_factory=set)
    """Paths that this layer deletes or has itself, and so hides with everything below them."""
    emptied: set[str] = field(default_factory=set)
    """Folders whose lower content is hidden; the root is an empty name."""

    def hide(self, path: str) -> bool:
        """Return whether this layer hides the file `path` of a lower one."""
        above = [path[:end] for end, letter in enumerate(path) if letter == "/"]
        return path in self.replaced or any(folder in self.replaced | self.emptied for folder in ["", *above])


def read_files(layout: Layout, platform: str, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """Return the regular files of `platform` whose path (`usr/bin/env`) is `wanted`, with their bytes."""
    found: dict[str, bytes] = {}
    for layer in layout.layers(platform):
        changes = _read_changes(layout, layer, wanted)
        found = {path: content for path, content in found.items() if not changes.hide(path)} | changes.files
    return found


def _read_changes(layout: Layout, layer: Layer, wanted: Callable[[str], bool]) -> _Changes:
    changes = _Changes()
    for entry, content in layout.files(layer):
        path = posixpath.normpath(f"/{entry.name}").lstrip("/")
        folder, name = posixpath.split(path)
        if name == OPAQUE:
            changes.emptied.add(folder)
        elif name.startswith(WHITEOUT):
            changes.replaced.add(posixpath.join(folder, name.removeprefix(WHITEOUT)))
        elif not entry.isdir():
            changes.replaced.add(path)
            if entry.islnk() and wanted(path):
                raise Failure(f"/{path} is a hard link in the image, and only regular files can be read")
            if entry.isreg() and wanted(path):
                changes.files[path] = content
    return changes

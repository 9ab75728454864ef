"""Differences between two images, down to the file."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from scripts.oci.diff import Part, compare, only_base_differs, summarize
from scripts.oci.layout import Layout

Files = Mapping[str, "bytes | tarfile.TarInfo"]
CONFIG: dict[str, Any] = {
    "Labels": {"org.opencontainers.image.revision": "a" * 40},
    "Env": ["PATH=/usr/bin"],
    "Entrypoint": ["python3"],
}


def entry(path: str, **fields: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    for name, value in fields.items():
        setattr(info, name, value)
    return info


def packed(files: Files, *, level: int = 9) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
            else:
                tar.addfile(entry(path, size=len(content)), io.BytesIO(content))
    return gzip.compress(archive.getvalue(), level, mtime=0)


class Image:
    """An unfinished image: `config` and `layers` (packed) can be changed before it is written."""

    def __init__(self, *layers: Files | bytes, architectures: tuple[str, ...] = ("amd64",), **config: Any) -> None:
        self.layers = [layer if isinstance(layer, bytes) else packed(layer) for layer in layers]
        self.config = CONFIG | config
        self.architectures = architectures

    def written(self, path: Path) -> Layout:
        (path / "blobs" / "sha256").mkdir(parents=True)
        manifests = [self._manifest(path, architecture) for architecture in self.architectures]
        top = manifests[0] if len(manifests) == 1 else _blob(path, {"manifests": manifests})
        (path / "index.json").write_text(json.dumps({"manifests": [top]}))
        return Layout(path)

    def _manifest(self, path: Path, architecture: str) -> dict[str, Any]:
        config = {
            "os": "linux",
            "architecture": architecture,
            "config": self.config,
            "rootfs": {"diff_ids": [hashlib.sha256(layer).hexdigest() for layer in self.layers]},
            "history": [{"created_by": f"COPY  part{number} /"} for number, _ in enumerate(self.layers, 1)],
        }
        return _blob(path, {"config": _blob(path, config), "layers": [_blob(path, layer) for layer in self.layers]})


def _blob(path: Path, content: bytes | dict[str, Any]) -> dict[str, Any]:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    name = hashlib.sha256(data).hexdigest()
    (path / "blobs" / "sha256" / name).write_bytes(data)
    return {"digest": f"sha256:{name}", "size": len(data)}


Compared = Callable[[Image, Image], list[Part]]


@pytest.fixture
def compared(tmp_path: Path) -> Compared:
    return lambda old, new: compare(old.written(tmp_path / "published"), new.written(tmp_path / "rebuilt"))


def words(parts: list[Part]) -> list[str]:
    return [str(change) for part in parts for change in part.changes]


def test_equal_images_do_not_differ(compared: Compared) -> None:
    assert compared(Image({"a": b"1"}), Image({"a": b"1"})) == []


@pytest.mark.parametrize(
    ("old", "new", "how"),
    [
        (b"1", b"23", "content (1 → 2 bytes)"),
        (b"1", entry("f", type=tarfile.SYMTYPE, linkname="g"), "a file → a link"),
        (entry("f", mode=0o644), entry("f", mode=0o4755), "mode rw-r--r-- → rwsr-xr-x"),
        (entry("f"), entry("f", uid=65532, gid=7), "owner 0:0 → 65532:7"),
        (entry("f"), entry("f", uname="me"), "owner 0:0 → 0:0 me"),
        (entry("f"), entry("f", mtime=1), "modified 1970-01-01T00:00:00Z → 1970-01-01T00:00:01Z"),
        (
            entry("f", type=tarfile.SYMTYPE, linkname="a"),
            entry("f", type=tarfile.SYMTYPE, linkname="b"),
            "points to a → b",
        ),
        (
            entry("f"),
            entry("f", pax_headers={"SCHILY.xattr.security.capability": "all"}),
            'attributes {} → {"SCHILY.xattr.security.capability": "all"}',
        ),
        (entry("f"), entry("f", mode=0o600, mtime=1), "mode rw-r--r-- → rw-------, modified 1970-01-01T00:00:00Z → "),
    ],
)
def test_each_way_in_which_a_file_differs_is_named(
    compared: Compared, old: bytes | tarfile.TarInfo, new: bytes | tarfile.TarInfo, how: str
) -> None:
    [word] = words(compared(Image({"f": old}), Image({"f": new})))

    assert word.startswith(f"f: {how}")


def test_files_of_only_one_image_are_listed_below_their_layer(compared: Compared) -> None:
    same, old, new = {"a": b"1"}, {"b": b"1", "c": b"1"}, {"c": b"1", "d": b"1"}
    [part] = compared(Image(same, old), Image(same, new))

    assert part.title == "linux/amd64, layer 2 of 2: COPY part2 /"
    assert words([part]) == ["b: only published", "d: only rebuilt"]


def test_an_extra_layer_is_listed(compared: Compared) -> None:
    parts = compared(Image({"a": b"1"}, {"b": b"1"}), Image({"a": b"1"}))

    assert [part.title for part in parts if part.layer] == ["linux/amd64, layer 2 of 2: COPY part2 /"]
    assert summarize(parts) == "b: only published"


def test_each_platform_is_compared(compared: Compared) -> None:
    both = ("amd64", "arm64")
    parts = compared(Image({"a": b"1"}, architectures=both), Image({"a": b"2"}, architectures=both))

    assert [part.title.split(",")[0] for part in parts] == ["linux/amd64", "linux/arm64"]


def test_a_missing_platform_is_named(compared: Compared) -> None:
    parts = compared(Image({"a": b"1"}, architectures=("amd64", "arm64")), Image({"a": b"1"}))

    assert words(parts) == ["linux/arm64: only published"]
    assert summarize(parts) == "linux/arm64: only published"


def test_configuration_keys_are_compared(compared: Compared) -> None:
    changed: dict[str, Any] = {"Labels": {"other": "1"}, "Env": ["PATH=/bin", "LD_PRELOAD=/x.so"], "Entrypoint": ["sh"]}
    [part] = compared(Image({"a": b"1"}), Image({"a": b"1"}, **changed))

    assert part.title == "linux/amd64, configuration"
    assert words([part]) == [
        'Entrypoint: ["python3"] → ["sh"]',
        'environment LD_PRELOAD: none → "/x.so"',
        'environment PATH: "/usr/bin" → "/bin"',
        f'label org.opencontainers.image.revision: "{"a" * 40}" → none',
        'label other: none → "1"',
    ]


def test_the_summary_prefers_a_file_of_the_highest_layer_to_a_key(compared: Compared) -> None:
    old, new = Image({"a": b"1"}, {"b": b"1"}), Image({"a": b"2"}, {"b": b"22"}, Entrypoint=["sh"])

    assert summarize(compared(old, new)) == "b: content (1 → 2 bytes)"


def test_equal_files_in_another_archive_are_recognized(compared: Compared) -> None:
    parts = compared(Image({"a": b"1" * 99}), Image(packed({"a": b"1" * 99}, level=0)))

    assert words(parts) == ["all files: equal, but in another order or packed by another program"]


def test_an_unreadable_layer_is_named(compared: Compared) -> None:
    [word] = words(compared(Image({"a": b"1"}), Image(b"\x28\xb5\x2f\xfd zstd")))

    assert word.startswith("the layer: is not a readable archive")


SOURCE, BYTECODE = "opt/app/a.py", "opt/app/__pycache__/a.cpython-313.pyc"


def test_bytecode_is_folded_under_its_changed_source(compared: Compared) -> None:
    old, new = {SOURCE: b"1", BYTECODE: b"c1"}, {SOURCE: b"2", BYTECODE: b"c2"}

    assert words(compared(Image(old), Image(new))) == [f"{SOURCE}: content (1 → 1 bytes), and its .pyc"]


@pytest.mark.parametrize("source", [b"1", entry(SOURCE, size=0, mode=0o600)], ids=["same", "same but for its mode"])
def test_bytecode_is_named_when_its_source_does_not_explain_it(
    compared: Compared, source: bytes | tarfile.TarInfo
) -> None:
    before = b"1" if isinstance(source, bytes) else entry(SOURCE)
    old, new = {SOURCE: before, BYTECODE: b"c1"}, {SOURCE: source, BYTECODE: b"evil"}

    assert f"{BYTECODE}: content (2 → 4 bytes)" in words(compared(Image(old), Image(new)))


def debian(packages: dict[str, str], **files: bytes) -> dict[str, bytes]:
    """Return a layer with `packages` (name to version), a library for each, and `files`."""
    status = "\n".join(f"Package: {name}\nStatus: install ok installed\nVersion: {v}\n" for name, v in packages.items())
    layer = {"var/lib/dpkg/status": status.encode()}
    for name, version in packages.items():
        layer[f"var/lib/dpkg/info/{name}:amd64.list"] = f"/.\n/lib/{name}.so\n/usr/share/{name}.py\n".encode()
        layer[f"var/lib/dpkg/info/{name}:amd64.md5sums"] = version.encode()
        layer[f"usr/lib/{name}.so"] = f"{name} {version}".encode()
        layer[f"usr/share/{name}.py"] = f"{name} {version}".encode()
        layer[f"usr/share/__pycache__/{name}.cpython-313.pyc"] = f"{name} {version}".encode()
    return layer | files


def test_another_base_is_recognized_by_its_packages(compared: Compared) -> None:
    old, new = {"ssl": "3.5.1-1", "zlib": "1.3", "old": "1"}, {"ssl": "3.5.2-1", "zlib": "1.3", "new": "2"}
    parts = compared(Image(debian(old)), Image(debian(new)))

    assert words(parts) == [
        "Debian package new: none → 2",
        "Debian package old: 1 → none",
        "Debian package ssl: 3.5.1-1 → 3.5.2-1",
    ]
    assert summarize(parts) == "Debian package new: none → 2"
    assert only_base_differs(parts)


def test_a_file_is_named_when_no_changed_package_explains_it(compared: Compared) -> None:
    versions = {"ssl": "1", "zlib": "1"}
    old, new = debian(versions), debian(versions | {"ssl": "2"}, **{"usr/lib/zlib.so": b"evil"})
    parts = compared(Image(old), Image(new))

    assert words(parts) == ["Debian package ssl: 1 → 2", "usr/lib/zlib.so: content (6 → 4 bytes)"]
    assert summarize(parts) == "Debian package ssl: 1 → 2; usr/lib/zlib.so: content (6 → 4 bytes)"


def test_another_base_is_not_the_only_cause_when_another_layer_differs(compared: Compared) -> None:
    old, new = Image(debian({"ssl": "1"}), {"a": b"1"}), Image(debian({"ssl": "2"}), {"a": b"2"})
    parts = compared(old, new)

    assert not only_base_differs(parts)
    assert summarize(parts) == "Debian package ssl: 1 → 2; a: content (1 → 1 bytes)"


def test_a_name_cannot_steer_the_terminal(compared: Compared) -> None:
    [word] = words(compared(Image({}), Image({"a\x1b[2J\nb": b""})))

    assert word == r"a\x1b[2J\nb: only rebuilt"

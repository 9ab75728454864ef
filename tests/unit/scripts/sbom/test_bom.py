"""The bill of materials, read from images made here."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.errors import Failure
from scripts.oci.layout import Layout
from scripts.sbom.bom import describe

Files = dict[str, bytes]
MODEL = b"the fitted model"
CARD: dict[str, Any] = {
    "name": "house-price",
    "version": "1.0.0",
    "format": "onnx",
    "sha256": hashlib.sha256(MODEL).hexdigest(),
    "target": {"name": "price", "unit": "EUR"},
    "features": [
        {"name": "city", "type": "category", "unit": None},
        {"name": "area", "type": "number", "unit": "m2"},
    ],
    "data": {"source": "houses.csv", "sha256": "ab" * 32, "rows": 10_000},
    "split": {"hold_out": 0.2, "seed": 0},
    "cross_validation": {"folds": 5},
    "metrics": {"model": {"mae": 43562.6}, "baseline": {"mae": 168182.0}},
    "gate": {"min_r2": 0.85, "coverage": [0.87, 0.93]},
    "interval": {"level": 0.9},
    "runtime": {"flask": "3.1.3"},
    "training": {"scikit-learn": "1.9.1"},
}
ZLIB = (
    b"Package: zlib1g\nStatus: install ok installed\nArchitecture: amd64\nSource: zlib (1:1.3-1)\n"
    b"Version: 1:1.3-1+b2\nDepends: libc6 (>= 2.14) | musl\n"
)
LIBC = b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.41-12\n"
BASE: Files = {
    "usr/lib/os-release": b'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\nVERSION_ID="13"\n',
    "var/lib/dpkg/status": ZLIB + b"\n" + LIBC,
    "usr/local/bin/python3.13": b"\x7fELF\0main\0",
    "usr/local/lib/libpython3.13.so.1.0": b"\x7fELF\x003.2.0\x003.13.15\0",
    "opt/service/app/__main__.py": b"",
    "model/model.onnx": MODEL,
    "model/card.json": json.dumps(CARD).encode(),
}
LABELS = {
    f"org.opencontainers.image.{name}": value
    for name, value in {
        "title": "house-price",
        "description": "House prices",
        "version": "1.0.0",
        "revision": "c0ffee",
        "created": "2026-11-20T20:40:02Z",
        "licenses": "MIT",
    }.items()
}


def wheel(name: str, version: str, *headers: str) -> Files:
    text = "\n".join(["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *headers, "", "Name: other"])
    return {
        f"opt/packages/{name.lower()}-{version}.dist-info/METADATA": text.encode(),
    }


FLASK = wheel("Flask", "3.1.3", "License-Expression: BSD-3-Clause", "Requires-Dist: click>=8",
              "Requires-Dist: python-dotenv; extra == 'dotenv'")  # fmt: skip
CLICK = wheel("click", "8.5.1")

Make = Callable[..., Layout]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Build an OCI layout with an image of BASE and `layers` for each architecture."""

    def blob(content: bytes) -> str:
        name = hashlib.sha256(content).hexdigest()
        (tmp_path / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        (tmp_path / "blobs" / "sha256" / name).write_bytes(content)
        return f"sha256:{name}"

    def layer(files: Files) -> str:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for path, content in files.items():
                entry = tarfile.TarInfo(path.rstrip("/"))
                entry.type = tarfile.DIRTYPE if path.endswith("/") else tarfile.REGTYPE
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return blob(packed.getvalue())

    def image(architecture: str, layers: list[Files]) -> str:
        config = {"os": "linux", "architecture": architecture, "config": {"Labels": LABELS}}
        manifest = {
            "config": {"digest": blob(json.dumps(config).encode()), "size": 1},
            "layers": [{"digest": layer(files), "size": 1} for files in layers],
        }
        return blob(json.dumps(manifest).encode())

    def make(*layers: Files, base: Files = BASE, **others: list[Files]) -> Layout:
        manifests = [image("amd64", [base, *layers]), *(image(name, [base, *more]) for name, more in others.items())]
        top = manifests[0]
        if others:
            top = blob(json.dumps({"manifests": [{"digest": digest, "size": 1} for digest in manifests]}).encode())
        (tmp_path / "index.json").write_text(json.dumps({"manifests": [{"digest": top, "size": 1}]}))
        return Layout(tmp_path)

    return make


def document(layout: Layout) -> dict[str, Any]:
    return dict(json.loads(describe(layout)))


def component(document: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [one for one in document["components"] if one["name"] == name]
    return dict(found)


def purls(document: dict[str, Any]) -> set[str]:
    return {one["purl"] for one in document["components"] if "purl" in one}


def needs(document: dict[str, Any], reference: str) -> list[str]:
    [found] = [one.get("dependsOn", []) for one in document["dependencies"] if one["ref"] == reference]
    return list(found)


def test_every_kind_of_package_has_a_package_url(make: Make) -> None:
    assert purls(document(make(FLASK | CLICK))) == {
        "pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=debian-13",
        "pkg:deb/debian/zlib1g@1:1.3-1%2Bb2?arch=amd64&distro=debian-13&upstream=zlib%401:1.3-1",
        "pkg:generic/cpython@3.13.15",
        "pkg:pypi/click@8.5.1",
        "pkg:pypi/flask@3.1.3",
    }


def test_the_image_has_its_digest_and_labels(make: Make) -> None:
    layout = make()
    metadata = document(layout)["metadata"]

    assert metadata["component"]["hashes"] == [{"alg": "SHA-256", "content": layout.digest.removeprefix("sha256:")}]
    assert metadata["component"]["version"] == "1.0.0"
    assert metadata["timestamp"] == "2026-11-20T20:40:02+00:00"


def test_the_same_image_gives_the_same_bytes(make: Make) -> None:
    first = make(FLASK)
    text = describe(first)
    assert describe(first) == text

    assert document(make(CLICK))["serialNumber"] != json.loads(text)["serialNumber"]


def test_dependencies_are_listed(make: Make) -> None:
    made = document(make(FLASK | CLICK | wheel("python-dotenv", "1.2")))

    assert needs(made, "image") == ["model", "service", "system"]
    assert needs(made, "service") == [
        "pkg:generic/cpython@3.13.15",
        "pkg:pypi/flask@3.1.3",
        "pkg:pypi/python-dotenv@1.2",
    ]
    assert needs(made, "pkg:pypi/flask@3.1.3") == ["pkg:pypi/click@8.5.1"]
    assert needs(made, "model") == ["data", "pkg:pypi/flask@3.1.3"]
    zlib = component(made, "zlib1g")["bom-ref"]
    assert zlib in needs(made, "system")
    assert needs(made, zlib) == [component(made, "libc6")["bom-ref"]]


def test_the_model_has_its_data_metrics_and_gate(make: Make) -> None:
    made = document(make())
    model = component(made, "house-price")
    card = model["modelCard"]

    assert model["type"] == "machine-learning-model"
    assert model["hashes"][0]["content"] == CARD["sha256"]
    assert card["modelParameters"]["datasets"] == [{"ref": "data"}]
    assert card["modelParameters"]["inputs"] == [{"format": "city: category"}, {"format": "area: number, m2"}]
    assert card["quantitativeAnalysis"]["performanceMetrics"] == [
        {"type": "mae", "value": "43562.6", "slice": "hold-out"},
        {"type": "mae", "value": "168182.0", "slice": "hold-out, baseline"},
    ]
    assert {"name": "shipshape:gate:coverage", "value": "[0.87, 0.93]"} in card["properties"]
    assert {"name": "shipshape:split:seed", "value": "0"} in card["properties"]
    data = component(made, "houses.csv")
    assert (data["type"], data["hashes"][0]["content"]) == ("data", "ab" * 32)
    assert data["properties"] == [{"name": "shipshape:rows", "value": "10000"}]


@pytest.mark.parametrize(
    "changed",
    [{"model/model.onnx": b"another"}, {"model/.wh.card.json": b""}, {"model/card.json": b"["}],
    ids=["another model", "no card", "no JSON"],
)
def test_a_model_that_does_not_match_its_card_is_refused(make: Make, changed: Files) -> None:
    with pytest.raises(Failure, match="card"):
        describe(make(changed))


@pytest.mark.parametrize(
    ("headers", "licences"),
    [
        (["License-Expression: MIT AND Zlib"], [{"expression": "MIT AND Zlib"}]),
        (["License-Expression: MIT", "License: Other"], [{"license": {"id": "MIT"}}]),
        (["License: 3-Clause BSD"], [{"license": {"name": "3-Clause BSD"}}]),
        (["Classifier: License :: OSI Approved :: MIT License"], [{"license": {"name": "MIT License"}}]),
        (["License: MIT\n        Copyright", "Classifier: License :: Public Domain"],
         [{"license": {"name": "Public Domain"}}]),
        ([], None),
    ],
)  # fmt: skip
def test_the_most_exact_form_of_a_licence_is_used(make: Make, headers: list[str], licences: object) -> None:
    assert component(document(make(wheel("click", "8.5.1", *headers))), "click").get("licenses") == licences


def test_an_upper_layer_deletes_and_replaces_files(make: Make) -> None:
    info = "opt/packages/{}.dist-info"
    lower = FLASK | CLICK | wheel("numpy", "2.5.5") | {"srv/six-1.0.dist-info/METADATA": b"Name: six\nVersion: 1.0\n"}
    upper = {
        f"{info.format('click-8.5.1')}/.wh.METADATA": b"",  # one file
        "opt/packages/.wh.flask-3.1.3.dist-info": b"",  # a folder and everything in it
        "srv/.wh..wh..opq": b"",  # the earlier content of a folder
        "srv/joblib-1.6.dist-info/METADATA": b"Name: joblib\nVersion: 1.6\n",
        f"{info.format('numpy-2.5.5')}/METADATA": b"Name: numpy\nVersion: 2.5.6\n",
    }

    found = {purl for purl in purls(document(make(lower, upper))) if "pypi" in purl}

    assert found == {"pkg:pypi/numpy@2.5.6", "pkg:pypi/joblib@1.6"}


def test_a_whiteout_does_not_hide_files_of_its_own_layer(make: Make) -> None:
    upper = {"opt/.wh.packages": b"", **CLICK}

    assert {purl for purl in purls(document(make(FLASK, upper))) if "pypi" in purl} == {"pkg:pypi/click@8.5.1"}


def test_a_file_that_replaces_a_folder_deletes_its_content(make: Make) -> None:
    assert "pkg:pypi/click@8.5.1" not in purls(document(make(CLICK, {"opt/packages": b""})))


def test_platforms_are_merged_by_package_url(make: Make) -> None:
    arm = {"var/lib/dpkg/status": LIBC.replace(b"amd64", b"arm64")}
    made = document(make(FLASK, arm64=[FLASK, arm]))

    assert [one["value"] for one in component(made, "Flask")["properties"]] == ["linux/amd64", "linux/arm64"]
    assert [one["purl"].split("arch=")[1][:5] for one in made["components"] if one["name"] == "libc6"] == [
        "amd64",
        "arm64",
    ]


def test_platforms_with_different_models_are_refused(make: Make) -> None:
    other = {"model/card.json": json.dumps({**CARD, "version": "1.0.1"}).encode()}

    with pytest.raises(Failure, match="differ"):
        describe(make(arm64=[other]))


def test_a_package_installed_by_dpkg_is_listed_once(make: Make) -> None:
    record = b"/.\n/usr/bin\n/usr/bin/python3.13\n/usr/lib/python3/dist-packages/click-8.5.1.dist-info/METADATA\n"
    [metadata] = CLICK.values()
    base = {path: content for path, content in BASE.items() if "usr/local" not in path}
    debian = {
        "usr/bin/python3.13": b"\x7fELF\x003.13.5\0",
        "usr/lib/python3/dist-packages/click-8.5.1.dist-info/METADATA": metadata,
        "var/lib/dpkg/info/python3.13-minimal:amd64.list": record,
    }
    made = document(make(debian, base=base))

    assert "pkg:pypi/click@8.5.1" not in purls(made)
    assert component(made, "CPython")["version"] == "3.13.5"
    assert {"name": "shipshape:installed-by", "value": "python3.13-minimal"} in component(made, "CPython")["properties"]


def test_removed_packages_with_leftover_configuration_are_not_listed(make: Make) -> None:
    status = {"var/lib/dpkg/status": ZLIB.replace(b"install ok installed", b"deinstall ok config-files")}

    assert not [purl for purl in purls(document(make(status))) if "zlib" in purl]


def test_packages_may_be_recorded_in_one_file_each(make: Make) -> None:
    paragraph = ZLIB.replace(b"Status: install ok installed\n", b"")
    one = {"var/lib/dpkg/.wh.status": b"", "var/lib/dpkg/status.d/zlib1g": paragraph}

    [found] = [purl for purl in purls(document(make(one))) if "deb" in purl]
    assert found.startswith("pkg:deb/debian/zlib1g@")


def test_the_version_of_an_interpreter_may_end_a_longer_string(make: Make) -> None:
    library = {"usr/local/lib/libpython3.13.so.1.0": b"\x7fELF\0/opt/python/3.13.15\x0033.13.2\0"}

    assert component(document(make(library)), "CPython")["version"] == "3.13.15"


def test_an_interpreter_without_its_version_is_refused(make: Make) -> None:
    with pytest.raises(Failure, match=r"/usr/local/bin/python3\.13 .* does not contain"):
        describe(make({"usr/local/lib/.wh.libpython3.13.so.1.0": b""}))

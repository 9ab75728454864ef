"""The bill of materials lists exactly what the running image has."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from tests.integration.checkout import Checkout, clone
from tests.integration.osv import started_osv
from tests.integration.program import ROOT
from tests.integration.service import Service

INSTALLED = """
import importlib.metadata, json, re
print(json.dumps([[re.sub("[-_.]+", "-", one.metadata["Name"]).lower(), one.version]
                  for one in importlib.metadata.distributions()]))
"""


@pytest.fixture(scope="module")
def project(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A clone with the image under test, as if built there."""
    project = clone(checkout, tmp_path_factory.mktemp("bill") / "shipshape")
    (project.path / "build").mkdir()
    shutil.copytree(ROOT / "build" / "image", project.layout)
    shutil.copy(ROOT / "build" / "image.json", project.path / "build")
    return project


def scanned(project: Checkout) -> bytes:
    with started_osv() as osv:
        done = project.ship("scan", SHIP_OSV_API=osv.url)
    assert done.returncode == 0, done.stdout + done.stderr
    return (project.path / "build" / "sbom.cdx.json").read_bytes()


@pytest.fixture(scope="module")
def text(project: Checkout) -> bytes:
    return scanned(project)


@pytest.fixture(scope="module")
def bill(text: bytes) -> dict[str, Any]:
    return dict(json.loads(text))


def purls(bill: dict[str, Any], kind: str) -> list[PackageURL]:
    every = [PackageURL.from_string(one["purl"]) for one in bill["components"] if "purl" in one]
    return [purl for purl in every if purl.type == kind]


def component(bill: dict[str, Any], kind: str) -> dict[str, Any]:
    [found] = [one for one in bill["components"] if one["type"] == kind]
    return dict(found)


def test_the_bill_follows_the_official_schema(text: bytes) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.decode()) is None


def test_the_bill_is_for_the_built_digest(bill: dict[str, Any], built: dict[str, Any]) -> None:
    image = bill["metadata"]["component"]

    assert f"sha256:{image['hashes'][0]['content']}" == built["digest"]
    assert image["version"] == built["version"]


def test_the_same_image_gives_the_same_bytes(project: Checkout, text: bytes, tmp_path: Path) -> None:
    elsewhere = clone(project, tmp_path / "elsewhere")
    shutil.copytree(project.path / "build", elsewhere.path / "build")
    (elsewhere.path / "build" / "sbom.cdx.json").unlink()

    assert scanned(elsewhere) == text


def test_the_python_packages_are_those_in_the_container(bill: dict[str, Any], service: Service) -> None:
    found = {(purl.name, purl.version) for purl in purls(bill, "pypi")}

    assert found == {(name, version) for name, version in json.loads(service.python(INSTALLED))}


def test_the_debian_packages_are_those_in_the_container(bill: dict[str, Any], service: Service) -> None:
    paragraphs = service.file("/var/lib/dpkg/status").decode().strip().split("\n\n")
    fields = [dict(line.split(": ", 1) for line in text.splitlines() if ": " in line) for text in paragraphs]

    found = [(purl.name, purl.version, dict(purl.qualifiers)["arch"]) for purl in purls(bill, "deb")]

    assert sorted(found) == sorted((one["Package"], one["Version"], one["Architecture"]) for one in fields)
    release = service.python("import platform; print(platform.freedesktop_os_release()['VERSION_ID'])")
    assert {dict(purl.qualifiers)["distro"] for purl in purls(bill, "deb")} == {f"debian-{release}"}


def test_the_interpreter_is_the_one_that_runs(bill: dict[str, Any], service: Service) -> None:
    [python] = purls(bill, "generic")

    assert (python.name, python.version) == (
        "cpython",
        service.python("import platform; print(platform.python_version())"),
    )


def test_the_model_is_the_one_that_answers(bill: dict[str, Any], service: Service) -> None:
    card, model = service.card, component(bill, "machine-learning-model")
    digest = hashlib.sha256(service.file(f"/model/model.{card['format']}")).hexdigest()
    metrics = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]

    assert (model["name"], model["version"]) == (card["name"], card["version"])
    assert model["hashes"] == [{"alg": "SHA-256", "content": digest}]
    assert {"type": "mae", "value": str(card["metrics"]["baseline"]["mae"]), "slice": "hold-out, baseline"} in metrics
    assert component(bill, "data")["hashes"] == [{"alg": "SHA-256", "content": card["data"]["sha256"]}]


def test_the_bill_has_no_build_or_test_dependencies(bill: dict[str, Any]) -> None:
    names = {one["name"].lower() for one in bill["components"]}

    assert not names & {"pip", "scikit-learn", "skl2onnx", "onnx", "pytest", "apt", "dpkg", "perl-base"}

"""The bill of materials: everything in the built image, model included, in CycloneDX.

It is read from the layers of the image, not from lock files. The same image gives the same bytes: the serial number
comes from its digest, the time from its label.

Source of the format: https://cyclonedx.org/docs/1.6/json/
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.component_evidence import ComponentEvidence, Occurrence
from cyclonedx.model.license import License
from cyclonedx.model.lifecycle import LifecyclePhase, PredefinedLifecycle
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.utils import canonicalize_name

from scripts.errors import Failure
from scripts.grammar import Digest, Platform
from scripts.oci import labels
from scripts.oci.filesystem import read_files
from scripts.oci.layout import Layout
from scripts.sbom import model_card
from scripts.sbom.model_card import ModelCard
from scripts.sbom.packages import DebianPackage, Installed, Interpreter, Package, PythonPackage, System, is_record

SERVICE = "opt/service/app/__main__.py"
# A platform of the image, and a package on it.
Found = tuple[str, Package]


@dataclass(frozen=True)
class _Image:
    """The content of an image; only the packages may differ by platform."""

    digest: Digest
    platforms: Mapping[Platform, Digest]
    labels: Mapping[str, str]
    system: System
    card: ModelCard
    packages: Mapping[str, list[Found]]
    """By package URL: the same URL on several platforms, or in several places, is one component."""

    @property
    def licences(self) -> list[License]:
        return _licences([self.label(labels.LICENSES)])

    def label(self, name: str) -> str:
        if name not in self.labels:
            raise Failure(f"the image has no label {name}", "./ship build")
        return self.labels[name]


def describe(layout: Layout) -> bytes:
    """Return the bill of materials of all platforms of `layout`: CycloneDX 1.6, JSON.

    Raises Failure when the image lacks records of its content.
    """
    image = _read(layout)
    bom = Bom(serial_number=uuid5(NAMESPACE_URL, f"oci:{image.digest}"), metadata=_metadata(image))
    _add_components(bom, image)
    written = json.loads(JsonV1Dot6(bom).output_as_string())
    [model] = [one for one in written["components"] if one["bom-ref"] == model_card.MODEL]
    model["modelCard"] = image.card.cyclonedx()
    text = json.dumps(written, indent=2, ensure_ascii=False) + "\n"
    if wrong := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise Failure(f"the bill of materials breaks the schema of CycloneDX 1.6: {wrong}")
    return text.encode()


def _read(layout: Layout) -> _Image:
    """Read every platform of `layout`. Raises Failure when they hold different services or models."""
    packages: dict[str, list[Found]] = {}
    common = []
    for platform in sorted(layout.platforms):
        files = read_files(layout, platform, _is_needed)
        installed = Installed(files)
        for package in installed.packages:
            packages.setdefault(package.purl.to_string(), []).append((platform, package))
        if SERVICE not in files:
            raise Failure(f"the image for {platform} has no service: /{SERVICE} is missing")
        common.append((layout.labels(platform), installed.system, model_card.read(files)))
    if any(one != common[0] for one in common):
        raise Failure("the platforms of the image differ in labels, distribution or model", "./ship build")
    return _Image(layout.digest, layout.platforms, *common[0], dict(sorted(packages.items())))


def _is_needed(path: str) -> bool:
    return is_record(path) or path.startswith("model/") or path == SERVICE


def _metadata(image: _Image) -> BomMetaData:
    manifests = [
        Property(name=f"shipshape:manifest:{where}", value=digest) for where, digest in image.platforms.items()
    ]
    component = Component(
        type=ComponentType.CONTAINER,
        bom_ref="image",
        name=image.label(labels.TITLE),
        version=image.label(labels.VERSION),
        description=image.label(labels.DESCRIPTION),
        purl=PackageURL("oci", name=image.label(labels.TITLE), version=image.digest),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=image.digest.removeprefix("sha256:"))],
        licenses=image.licences,
        properties=[Property(name="shipshape:revision", value=image.label(labels.REVISION)), *manifests],
    )
    return BomMetaData(
        component=component,
        timestamp=datetime.fromisoformat(image.label(labels.CREATED)),
        lifecycles=[PredefinedLifecycle(phase=LifecyclePhase.POST_BUILD)],
    )


def _add_components(bom: Bom, image: _Image) -> None:
    """Add the components of `image` and their dependencies to `bom`."""
    of = {purl: _package(purl, found) for purl, found in image.packages.items()}
    system, service = _system(image.system), _service(image)
    model, data = image.card.model(image.licences), image.card.data()
    bom.components = [*of.values(), system, service, model, data]

    needed = _find_dependencies(image.packages)
    for purl, others in needed.items():
        bom.register_dependency(of[purl], [of[other] for other in others])
    debian, python, cpython = (_of_kind(image.packages, kind) for kind in (DebianPackage, PythonPackage, Interpreter))
    top = set(python) - {other for others in needed.values() for other in others}
    answering = [purl for purl in python if PackageURL.from_string(purl).name in image.card.runtime]
    bom.register_dependency(system, [of[purl] for purl in debian])
    bom.register_dependency(service, [of[purl] for purl in {*top, *cpython}])
    bom.register_dependency(model, [data, *(of[purl] for purl in answering)])
    bom.register_dependency(data)
    if bom.metadata.component:
        bom.register_dependency(bom.metadata.component, [system, service, model])


def _package(purl: str, found: list[Found]) -> Component:
    package = found[0][1]
    licences = package.licences if isinstance(package, PythonPackage) else ()
    owners = {one.installed_by for _, one in found if isinstance(one, Interpreter) and one.installed_by}
    return Component(
        type=ComponentType.PLATFORM if isinstance(package, Interpreter) else ComponentType.LIBRARY,
        bom_ref=purl,
        name=package.name,
        version=package.version,
        purl=package.purl,
        licenses=_licences(licences),
        evidence=ComponentEvidence(occurrences=[Occurrence(location=f"/{one.place}") for _, one in found]),
        properties=[
            *(Property(name="shipshape:platform", value=platform) for platform, _ in found),
            *(Property(name="shipshape:installed-by", value=owner) for owner in owners),
        ],
    )


def _find_dependencies(packages: Mapping[str, list[Found]]) -> dict[str, set[str]]:
    """Return, by package URL, the packages that each depends on and that are on the same platform."""
    purls = {
        (platform, type(one), canonicalize_name(one.name)): purl
        for purl, found in packages.items()
        for platform, one in found
    }
    return {
        purl: {
            purls[key]
            for platform, one in found
            for name in one.requires
            if (key := (platform, type(one), canonicalize_name(name))) in purls
        }
        for purl, found in packages.items()
    }


def _of_kind(packages: Mapping[str, list[Found]], kind: type[Package]) -> list[str]:
    return [purl for purl, found in packages.items() if isinstance(found[0][1], kind)]


def _system(system: System) -> Component:
    return Component(
        type=ComponentType.OPERATING_SYSTEM,
        bom_ref="system",
        name=system.id,
        version=system.version,
        description=system.name,
    )


def _service(image: _Image) -> Component:
    """Return the code of this project in the image."""
    return Component(
        type=ComponentType.APPLICATION,
        bom_ref="service",
        name=f"{image.label(labels.TITLE)}-service",
        version=image.label(labels.VERSION),
        licenses=image.licences,
        evidence=ComponentEvidence(occurrences=[Occurrence(location=f"/{SERVICE.rpartition('/')[0]}")]),
        properties=[Property(name="shipshape:revision", value=image.label(labels.REVISION))],
    )


def _licences(texts: Iterable[str]) -> list[License]:
    """Return SPDX identifiers and expressions as such, and any other text as a name."""
    return [LicenseFactory().make_from_string(text) for text in texts]

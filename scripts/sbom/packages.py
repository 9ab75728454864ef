"""The packages in an image, read from the files that their installers left.

Debian packages come from dpkg's database, Python packages from their metadata, the interpreter from its own bytes. A
Python package that dpkg installed counts once, as a Debian package.
"""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from debian.deb822 import Packages
from packageurl import PackageURL
from packaging.metadata import RawMetadata, parse_email
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.errors import Failure

METADATA = re.compile(r"(^|.*/)[^/]+\.dist-info/METADATA")
INTERPRETER = re.compile(r"(?:^|.*/)(?:bin/python|libpython)(3\.\d+)t?(?:\.so\.1\.0)?")
OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
DPKG = "var/lib/dpkg/"


@dataclass(frozen=True)
class System:
    """The distribution in the image, by /etc/os-release."""

    id: str
    version: str
    """Of the release: `13`."""
    name: str


@dataclass(frozen=True)
class DebianPackage:
    name: str
    version: str
    architecture: str
    source: str
    """The source package, under which Debian files advisories."""
    source_version: str
    requires: frozenset[str]
    system: System
    place: str

    @property
    def purl(self) -> PackageURL:
        """Its package URL; `upstream` names the source package for scanners when that differs."""
        qualifiers = {"arch": self.architecture, "distro": f"{self.system.id}-{self.system.version}"}
        if (self.source, self.source_version) != (self.name, self.version):
            qualifiers["upstream"] = f"{self.source}@{self.source_version}"
        return PackageURL("deb", self.system.id, self.name, self.version, qualifiers)


@dataclass(frozen=True)
class PythonPackage:
    name: str
    version: str
    licences: tuple[str, ...]
    """SPDX expressions if the author wrote any, else the author's words."""
    requires: frozenset[str]
    """Canonical names, without those that only extras need."""
    place: str

    @property
    def purl(self) -> PackageURL:
        return PackageURL("pypi", name=canonicalize_name(self.name), version=self.version)


@dataclass(frozen=True)
class Interpreter:
    """CPython."""

    version: str
    installed_by: str
    """The Debian package that owns it; empty when it was compiled, as in the official Python images."""
    place: str
    name: str = "CPython"
    requires: frozenset[str] = frozenset()

    @property
    def purl(self) -> PackageURL:
        return PackageURL("generic", name="cpython", version=self.version)


Package = DebianPackage | PythonPackage | Interpreter


@dataclass(frozen=True)
class Installed:
    """Everything installed on one platform, by the `files` that `is_record` selects, with their bytes."""

    files: Mapping[str, bytes]

    @cached_property
    def system(self) -> System:
        for path in OS_RELEASE:
            if path in self.files:
                words = shlex.split(self.files[path].decode(), comments=True)
                fields = dict(word.split("=", 1) for word in words if "=" in word)
                return System(
                    fields.get("ID", "linux"), fields.get("VERSION_ID", ""), fields.get("PRETTY_NAME", "Linux")
                )
        raise Failure("the image has no /etc/os-release, so the distribution of its packages is unknown")

    @cached_property
    def packages(self) -> list[Package]:
        return [*self._debian(), *self._python(), *self._interpreters()]

    def _debian(self) -> list[DebianPackage]:
        found: list[DebianPackage] = []
        for path, content in sorted(self.files.items()):
            if path == f"{DPKG}status" or (path.startswith(f"{DPKG}status.d/") and not path.endswith(".md5sums")):
                paragraphs = Packages.iter_paragraphs(content.decode().splitlines(), use_apt_pkg=False)
                found += [self._debian_package(one, path) for one in paragraphs if _is_installed(one)]
        return found

    def _debian_package(self, paragraph: Packages, path: str) -> DebianPackage:
        try:
            relations = [*(paragraph.relations["depends"] or []), *(paragraph.relations["pre-depends"] or [])]
            return DebianPackage(
                name=paragraph["Package"],
                version=paragraph["Version"],
                architecture=paragraph["Architecture"],
                source=str(paragraph.source),
                source_version=str(paragraph.source_version),
                requires=frozenset(str(one["name"]) for alternatives in relations for one in alternatives),
                system=self.system,
                place=path,
            )
        except (KeyError, ValueError) as odd:
            raise Failure(f"/{path} in the image has a malformed package entry: {odd}") from odd

    def _python(self) -> list[PythonPackage]:
        return [
            _python_package(parse_email(content)[0], path)
            for path, content in sorted(self.files.items())
            if METADATA.fullmatch(path) and path not in self._owners
        ]

    def _interpreters(self) -> list[Interpreter]:
        """Return each interpreter; the program of one with a shared library does not contain its version."""
        found, unknown = [], {}
        for path in sorted(self.files):
            if not (program := INTERPRETER.fullmatch(path)):
                continue
            if version := _interpreter_version(self.files[path], program[1]):
                found.append(Interpreter(version, self._owners.get(path, ""), path))
            else:
                unknown[path] = program[1]
        for path, minor in unknown.items():
            if not any(one.version.startswith(f"{minor}.") for one in found):
                raise Failure(f"/{path} in the image does not contain its version of Python {minor}")
        return found

    @cached_property
    def _owners(self) -> dict[str, str]:
        """The Debian package that owns each file, by path."""
        owners: dict[str, str] = {}
        for path, content in self.files.items():
            name = path.rsplit("/", 1)[-1].rsplit(".", 1)[0].split(":")[0]
            if path.startswith(f"{DPKG}info/"):
                owners |= {line.strip("/"): name for line in content.decode().splitlines()}
            elif path.startswith(f"{DPKG}status.d/") and path.endswith(".md5sums"):
                owners |= {line.split(maxsplit=1)[-1].strip("/"): name for line in content.decode().splitlines()}
        return owners


def is_record(path: str) -> bool:
    """Return whether the file `path` of an image records what is installed."""
    dpkg = path == f"{DPKG}status" or re.match(rf"{DPKG}(status\.d/|info/[^/]+\.list$)", path)
    return bool(dpkg or path in OS_RELEASE or METADATA.fullmatch(path) or INTERPRETER.fullmatch(path))


def _is_installed(paragraph: Packages) -> bool:
    """Return whether the package is installed: a removed one may leave its configuration behind."""
    return bool(paragraph.get("Status", "install ok installed").split()[-1] == "installed")


def _python_package(metadata: RawMetadata, path: str) -> PythonPackage:
    try:
        name, version = metadata["name"], metadata["version"]
    except KeyError as missing:
        raise Failure(f"/{path} in the image lacks {missing}") from missing
    required = [Requirement(line) for line in metadata.get("requires_dist", [])]
    needed = (canonicalize_name(one.name) for one in required if "extra" not in str(one.marker or ""))
    return PythonPackage(name, version, _licences(metadata), frozenset(needed), path)


def _licences(metadata: RawMetadata) -> tuple[str, ...]:
    """Return the licence in the most exact form that the author gave."""
    if expression := metadata.get("license_expression"):
        return (expression,)
    text = metadata.get("license", "")
    if text and "\n" not in text:  # some authors put the whole licence there
        return (text,)
    classifiers: Iterable[str] = metadata.get("classifiers", [])
    return tuple(line.rsplit(" :: ", 1)[-1] for line in classifiers if line.startswith("License :: "))


def _interpreter_version(content: bytes, minor: str) -> str:
    """Return the full version in the bytes of CPython `minor`, empty when it is missing or ambiguous.

    It is the string PY_VERSION of Include/patchlevel.h, up to a zero byte. A linker may have merged it with the end of
    a longer one, such as `/opt/python/3.13.15`.
    """
    found = set(re.findall(rb"(?<![\d.])(%b\.\d+(?:(?:a|b|rc)\d+)?\+?)\0" % re.escape(minor.encode()), content))
    return found.pop().decode() if len(found) == 1 else ""

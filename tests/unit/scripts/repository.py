"""A Git repository with the records of the environments, and verified images for them."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from scripts import grammar
from scripts.environments.record import ENVIRONMENTS, Record
from scripts.errors import Failure
from scripts.evidence.verification import Verified
from scripts.oci.labels import Release

EMPTY = "# By hand: URL=https://…\nVERSION=\nDIGEST=\nREVISION=\n"
REPOSITORIES = (grammar.Repository("docker.io/me/x"), grammar.Repository("ghcr.io/me/x"))
VERSIONS = ("1.0.0", "1.1.0", "1.2.0", "1.3.0")


def release(version: str) -> Release:
    """Return the release of `version`, with a digest and a revision of its own."""
    number = version.replace(".", "0")
    return Release(
        grammar.Version(version), grammar.Digest(f"sha256:{number:0>64}"), grammar.Revision(f"{number:0>40}")
    )


def text(version: str, **other: str) -> str:
    """Return the record of `version`, with `other` values if given."""
    image = release(version)
    fields = {"VERSION": image.version, "DIGEST": image.digest, "REVISION": image.revision} | other
    return "".join(f"{name}={value}\n" for name, value in fields.items())


def verified(reference: str) -> Verified:
    """Verify the images of VERSIONS, by tag, digest or commit, and no others."""
    for image in map(release, VERSIONS):
        if reference in {image.version, image.digest, f"sha-{image.revision}"}:
            return Verified(image, REPOSITORIES, sbom={})
    raise Failure(f"{reference} is in no registry")


@dataclass(frozen=True)
class Repository:
    path: Path

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def start(self) -> None:
        """Make the first commit, with empty records."""
        self.git("init", "--quiet", "--initial-branch=main")
        for environment in ENVIRONMENTS:
            self.file(environment).parent.mkdir(parents=True, exist_ok=True)
            self.file(environment).write_text(EMPTY)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "first")

    def file(self, environment: str) -> Path:
        return self.path / Record(environment).path

    def record(self, environment: str, version: str) -> str:
        """Commit `version` to the record of `environment`; return the commit."""
        return self.write(environment, text(version))

    def write(self, environment: str, text: str | bytes) -> str:
        self.file(environment).write_bytes(text if isinstance(text, bytes) else text.encode())
        self.git("commit", "--quiet", "--all", "--message", f"{environment} by hand")
        return self.head

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    @property
    def subjects(self) -> list[str]:
        """The subjects of the commits after the first, oldest first."""
        return self.git("log", "--format=%s", "--reverse").splitlines()[1:]

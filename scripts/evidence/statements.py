"""The statements attached to an image beside its signature: how to make them and how to check them.

Both are here, so that what `./ship publish` attaches and what `./ship verify` demands cannot drift apart.
Sources: https://slsa.dev/spec/v1.1/provenance, https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md
and https://cyclonedx.org/docs/1.6/json/
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from scripts import checkout, git, shipment
from scripts.artifacts import EMULATED, SUITES, Built, Passed
from scripts.errors import Failure
from scripts.grammar import Digest, Platform, Revision, Uri, document
from scripts.oci.labels import Release

PROVENANCE = "https://slsa.dev/provenance/v1"
TESTS = "https://in-toto.io/attestation/test-result/v0.1"
SBOM = "https://cyclonedx.org/bom"
# The builder outside GitHub.
OWN_MACHINE = Uri("urn:shipshape:own-machine")


@dataclass(frozen=True)
class Claim:
    """What an image claims to be, which its evidence has to prove."""

    release: Release
    platforms: frozenset[Platform]


class _Struct(msgspec.Struct, frozen=True, rename="camel"):
    """Part of a statement. Other fields that its specification allows are ignored."""


class _Commit(_Struct, frozen=True):
    git_commit: Revision | None = None


class _Dependency(_Struct, frozen=True):
    uri: Uri = Uri("")
    digest: _Commit = _Commit()


class _Build(_Struct, frozen=True):
    resolved_dependencies: tuple[_Dependency, ...]


class _Builder(_Struct, frozen=True):
    id: Uri


class _RunDetails(_Struct, frozen=True):
    builder: _Builder


class _Provenance(_Struct, frozen=True):
    build_definition: _Build
    run_details: _RunDetails

    @property
    def source(self) -> _Dependency:
        """The first dependency with a commit: the source comes before the pipeline."""
        return next(
            (one for one in self.build_definition.resolved_dependencies if one.digest.git_commit), _Dependency()
        )


class _OnPlatform(_Struct, frozen=True):
    platform: Platform
    passed: int
    failed: int


class _Suite(_Struct, frozen=True):
    name: str
    digest: _Commit
    annotations: _OnPlatform


class _Tests(_Struct, frozen=True):
    result: Literal["PASSED", "WARNED", "FAILED"]
    configuration: tuple[_Suite, ...]
    failed_tests: tuple[str, ...] = ()


class _Hash(_Struct, frozen=True):
    alg: str
    content: str


class _Component(_Struct, frozen=True):
    type: str
    hashes: tuple[_Hash, ...] = ()


class _Metadata(_Struct, frozen=True):
    component: _Component


class _Sbom(_Struct, frozen=True):
    metadata: _Metadata
    components: tuple[_Component, ...] = ()


def make_provenance(image: Built) -> dict[str, Any]:
    """Return SLSA provenance of `image` for a build outside GitHub, which attests its own."""
    parameters = ("name", "version", "data", "target", "model_format")
    return {
        "buildDefinition": {
            "buildType": "urn:shipshape:build:v1",
            "externalParameters": {
                **{name: getattr(image, name) for name in parameters},
                "platforms": sorted(image.platforms),
            },
            "resolvedDependencies": [
                {"name": "source", "uri": _source(), "digest": {"gitCommit": image.revision}},
                {"name": "pipeline", "digest": {"gitCommit": image.pipeline}},
                {"name": "base image", "uri": image.base},
            ],
        },
        "runDetails": {"builder": {"id": OWN_MACHINE}},
    }


def check_provenance(predicate: bytes, claim: Claim, *, workflow: str) -> str:
    """Return what a provenance proves of `claim`. Raises Failure when it is about another image or by another builder.

    `workflow` is the identity that must have built the image. Without one, a local build will do, and its commit may be
    on the branch that is checked out.
    """
    stated = document(predicate, _Provenance, "the provenance")
    commit, origin = stated.source.digest.git_commit, stated.source.uri.partition("@")[0]
    home, builder = _source(), stated.run_details.builder.id
    if commit != claim.release.revision:
        raise Failure(
            f"provenance is for commit {(commit or 'none')[:12]}, but the image is from {claim.release.revision.short}"
        )
    if origin != home and (workflow or ("https:" in origin and "https:" in home)):
        raise Failure(f"provenance is for {origin.removeprefix('git+')}, not {home.removeprefix('git+')}")
    if builder != (workflow or OWN_MACHINE):
        raise Failure(f"provenance is by {builder}, not by {workflow or OWN_MACHINE}")
    if checkout.is_in(claim.release.revision, "main", shipment.root()):
        return f"commit {claim.release.revision.short} on main"
    if not workflow and checkout.is_in(claim.release.revision, "HEAD", shipment.root()):
        return f"commit {claim.release.revision.short} on this branch"
    raise Failure(f"commit {claim.release.revision.short} is not on main in this clone", _suggest_fetch())


def make_test_result(records: Iterable[Passed], image: Built) -> dict[str, Any]:
    """Return the in-toto test result for the tests that `image` passed."""
    suites = [
        {
            "name": record.suite,
            "digest": {"gitCommit": image.revision},
            "annotations": {"platform": record.platform, **vars(record.counts)},
        }
        for record in records
    ]
    return {"result": "PASSED", "configuration": suites}


def check_test_result(predicate: bytes, claim: Claim) -> str:
    """Return what a test result proves of `claim`.

    Raises Failure unless a known suite passed for that commit, once on each platform.
    """
    stated = document(predicate, _Tests, "the test result")
    if stated.result != "PASSED":
        raise Failure(f"the test result is {stated.result}")
    for suite in stated.configuration:
        _check_suite(suite, claim)
    if stated.failed_tests:
        raise Failure(f"{len(stated.failed_tests)} tests failed")
    platforms = [suite.annotations.platform for suite in stated.configuration]
    if untested := sorted(claim.platforms - set(platforms)):
        raise Failure(f"not tested on {', '.join(untested)}")
    if sorted(platforms) != sorted(claim.platforms):
        raise Failure(f"tested on {', '.join(platforms)}, but the image is for {', '.join(sorted(claim.platforms))}")
    return ", ".join(
        f"{suite.annotations.passed} passed on {suite.annotations.platform} ({suite.name})"
        for suite in stated.configuration
    )


def _check_suite(suite: _Suite, claim: Claim) -> None:
    """Raise Failure unless `suite` is of this project and passed for the commit of `claim`."""
    on = suite.annotations.platform
    if suite.name not in {*SUITES.values(), EMULATED}:
        raise Failure(f"tested on {on} with {suite.name}, which is not a suite of this project")
    if suite.digest.git_commit != claim.release.revision:
        raise Failure(f"tested on {on} for a commit other than {claim.release.revision.short}")
    if suite.annotations.failed or suite.annotations.passed <= 0:
        raise Failure(f"{suite.annotations.passed} passed and {suite.annotations.failed} failed on {on}")


def check_sbom(predicate: bytes, digest: Digest) -> str:
    """Return what a bill of materials proves. Raises Failure when it is not of the image `digest`, or lacks parts."""
    stated = document(predicate, _Sbom, "the bill of materials")
    hashes = {one.content for one in stated.metadata.component.hashes if one.alg == "SHA-256"}
    if hashes != {digest.encoded}:
        raise Failure("the bill of materials is for another image")
    kinds = {component.type for component in stated.components}
    if lacking := {"library", "machine-learning-model"} - kinds:
        raise Failure(f"the bill of materials lists no {' and no '.join(sorted(lacking))}")
    return f"{len(stated.components)} components"


def _source() -> Uri:
    """Return the repository of the image's source as a Git URI in the form of pip and SLSA.

    Raises Failure when provenance cannot name its origin.
    """
    return Uri.of(f"git+{checkout.repository(shipment.root())}", "the remote origin", "git remote set-url origin URL")


def _suggest_fetch() -> str:
    """Return the command that fetches commits which this clone may lack."""
    shallow = git.line("rev-parse", "--is-shallow-repository", root=shipment.root()) == "true"
    return "git fetch --unshallow origin" if shallow else "git fetch origin"

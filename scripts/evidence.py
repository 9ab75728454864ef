"""What is said of an image beside its signature: the statements, and what must be true of them.

One place for both sides, so that what `./ship publish` attaches and what `./ship verify` demands cannot drift apart.
Sources: https://slsa.dev/spec/v1.1/provenance, https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md
and https://cyclonedx.org/docs/1.6/json/
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scripts import project, source
from scripts.build import Built
from scripts.failure import Failure
from scripts.integration import Passed

PROVENANCE = "https://slsa.dev/provenance/v1"
TESTS = "https://in-toto.io/attestation/test-result/v0.1"
BILL = "https://cyclonedx.org/bom"
Predicate = dict[str, Any]


@dataclass(frozen=True)
class Claim:
    """What an image says of itself, and is to be shown true: its digest, its labels, its platforms."""

    digest: str
    version: str
    revision: str
    platforms: frozenset[str]


def provenance(image: Built) -> Predicate:
    """Return SLSA provenance of `image`, for a build outside GitHub, which else states it by itself."""
    parameters = ("name", "version", "data", "target", "model_format")
    return {
        "buildDefinition": {
            "buildType": "urn:shipshape:build:v1",
            "externalParameters": {
                **{name: getattr(image, name) for name in parameters},
                "platforms": sorted(image.platforms),
            },
            "resolvedDependencies": [
                {"name": "source", "uri": _home(), "digest": {"gitCommit": image.revision}},
                {"name": "pipeline", "digest": {"gitCommit": image.pipeline}},
                {"name": "base image", "uri": image.base},
            ],
        },
        "runDetails": {"builder": {"id": "urn:shipshape:own-machine"}},
    }


def provenance_fact(predicate: Predicate, claim: Claim, *, workflow: str) -> str:
    """Return what a provenance shows of `claim`. Raises Failure when it is for something else, or by somebody else.

    `workflow` is the identity that must have built the image; without one, a build on a machine of one's own will do,
    and its commit may be on the branch that is checked out.
    """
    stated = _source(predicate)
    commit, origin = stated.get("digest", {}).get("gitCommit", ""), stated.get("uri", "").partition("@")[0]
    home, builder = _home(), predicate.get("runDetails", {}).get("builder", {}).get("id", "")
    if commit != claim.revision:
        raise Failure(f"provenance is for commit {commit[:12]}, and the image says {claim.revision[:12]}")
    if origin != home and (workflow or ("https:" in origin and "https:" in home)):
        raise Failure(f"provenance is for {origin.removeprefix('git+')}, not {home.removeprefix('git+')}")
    if workflow and builder != workflow:
        raise Failure(f"provenance is by {builder}, not by {workflow}")
    if project.is_in(commit, "main", source.root()):
        return f"commit {commit[:12]} on main"
    if not workflow and project.is_in(commit, "HEAD", source.root()):
        return f"commit {commit[:12]} on this branch"
    raise Failure(f"commit {commit[:12]} is not on main, as far as this clone knows")


def test_result(records: Iterable[Passed]) -> Predicate:
    """Return the in-toto test result of the tests that passed."""
    suites = [
        {
            "name": record.suite,
            "digest": {"gitCommit": source.commit().revision},
            "annotations": {"platform": record.platform, **vars(record.counts)},
        }
        for record in records
    ]
    return {"result": "PASSED", "configuration": suites}


def test_fact(predicate: Predicate, claim: Claim) -> str:
    """Return what a test result shows of `claim`. Raises Failure when tests failed, or a platform was not tested."""
    if predicate.get("result") != "PASSED":
        raise Failure(f"the tests ended with {predicate.get('result', 'no result')}")
    passed = {suite["annotations"]["platform"]: suite for suite in predicate.get("configuration", [])}
    untested = sorted(claim.platforms - set(passed))
    if untested:
        raise Failure(f"not tested on {', '.join(untested)}")
    return ", ".join(
        f"{suite['annotations'].get('passed', '?')} passed on {platform} ({suite.get('name', 'no name')})"
        for platform, suite in passed.items()
    )


def bill_fact(predicate: Predicate, claim: Claim) -> str:
    """Return what a bill of materials shows of `claim`. Raises Failure when it is for another image, or lacks parts."""
    if claim.digest not in str(predicate.get("metadata", {}).get("component", {})):
        raise Failure("the bill of materials is for another image")
    components = predicate.get("components", [])
    lacking = {"library", "machine-learning-model"} - {component.get("type") for component in components}
    if lacking:
        raise Failure(f"the bill of materials lists no {' and no '.join(sorted(lacking))}")
    return f"{len(components)} components"


def _home() -> str:
    """Return the repository that the image is made of, as a package manager's Git location."""
    return f"git+{project.repository(source.root())}"


def _source(predicate: Predicate) -> dict[str, Any]:
    """Return the first resolved dependency that is a commit: the source, ahead of what built it."""
    dependencies = predicate.get("buildDefinition", {}).get("resolvedDependencies", [])
    return next((dict(entry) for entry in dependencies if "gitCommit" in entry.get("digest", {})), {})

"""Keyless signing with a private Sigstore: only evidence of the right workflows counts.

Fulcio, Rekor and the timestamp authority are the real ones; the tokens have the claims that GitHub's have.
"""

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.integration.checkout import Checkout
from tests.integration.cosign import BILL, PROVENANCE, SIGNATURE, TESTS, cosign
from tests.integration.issuer import Issuer, Job
from tests.integration.private_sigstore import Sigstore, started_sigstore
from tests.integration.program import ROOT
from tests.integration.registry import Registry, push

pytestmark = pytest.mark.skipif(
    shutil.which("go") is None,
    reason="Go is not installed, which Fulcio, Rekor and the timestamp authority are built with",
)

HOME = "https://github.com/me/shipshape"
IDENTITY = f"{HOME}/.github/workflows/publish.yml@refs/heads/main"
PUBLISH, IMAGE = Job("publish.yml"), Job("image.yml")
KINDS = {"signature": SIGNATURE, "provenance": PROVENANCE, "test result": TESTS, "bill of materials": BILL}


@dataclass(frozen=True)
class Release:
    """A version that the workflows published and released, with its evidence."""

    project: Checkout
    sigstore: Sigstore
    where: str
    """SHIP_REGISTRIES"""
    said: dict[str, Any] = field(default_factory=dict)
    """Predicates by type."""

    @property
    def digest(self) -> str:
        return str(self.project.image["digest"])

    def ship(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run `./ship ARGUMENTS` with the trusted workflows and Sigstore."""
        known = {
            "COSIGN_IDENTITY": IDENTITY,
            "SHIP_REGISTRIES": self.where,
            **PUBLISH.environment,
            **self.sigstore.settings,
        }
        return self.project.ship(*arguments, **known | environment)

    def copied(self, path: Path) -> "Release":
        """Return the same release with a copy of the checkout in `path`, for tests that commit."""
        shutil.copytree(self.project.path, path)
        return replace(self, project=Checkout(path))

    def pushed(self, registry: Registry, repository: str) -> str:
        """Return the same image by digest in a repository where it has no evidence."""
        push(self.project.layout, f"{registry.host}/{repository}:tried")
        return f"{registry.host}/{repository}@{self.digest}"

    def say_all(self, reference: str, config: str = "right", issuer: Issuer | None = None, **wrong: str) -> None:
        """Attach the evidence of the release, from jobs that differ from the right ones in `wrong`."""
        for kind in KINDS.values():
            self.say(reference, kind, replace(IMAGE if kind == PROVENANCE else PUBLISH, **wrong), config, issuer)

    def say(self, reference: str, kind: str, job: Job, config: str = "right", issuer: Issuer | None = None) -> None:
        """Sign or attest `reference` in a step of `job`, as for the release."""
        if kind == SIGNATURE:
            self.sigstore.cosign(job, "sign", reference, config=config, issuer=issuer)
            return
        path = self.sigstore.folder / "predicate.json"
        path.write_text(json.dumps(self.said[kind]))
        what = (f"--type={kind}", f"--predicate={path}")
        self.sigstore.cosign(job, "attest", *what, reference, config=config, issuer=issuer)


def github_provenance(commit: str) -> dict[str, Any]:
    """Return the part of actions/attest's statement that is read (https://github.com/actions/attest)."""
    return {
        "buildDefinition": {
            "buildType": "https://actions.github.io/buildtypes/workflow/v1",
            "externalParameters": {
                "workflow": {"ref": IMAGE.ref, "repository": HOME, "path": ".github/workflows/main.yml"}
            },
            "resolvedDependencies": [{"uri": f"git+{HOME}@{IMAGE.ref}", "digest": {"gitCommit": commit}}],
        },
        "runDetails": {"builder": {"id": f"{HOME}/.github/workflows/image.yml@{IMAGE.at}"}},
    }


def trust(sigstore: Sigstore) -> tuple[str, ...]:
    """Return cosign's options to verify the publishing workflow with a private Sigstore."""
    return (
        f"--certificate-identity={IDENTITY}",
        f"--certificate-oidc-issuer={sigstore.github.url}",
        "--certificate-github-workflow-repository=me/shipshape",
        "--certificate-github-workflow-ref=refs/heads/main",
        f"--trusted-root={sigstore.trusted_root()}",
    )


@pytest.fixture(scope="module")
def sigstore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sigstore]:
    with started_sigstore(tmp_path_factory.mktemp("sigstore")) as sigstore:
        yield sigstore


@pytest.fixture(scope="module")
def release(
    sigstore: Sigstore,
    built_checkout: Checkout,
    registry: Registry,
    second_registry: Registry,
    tmp_path_factory: pytest.TempPathFactory,
) -> Release:
    """Run the commands of the jobs in main.yml and release.yml, in order."""
    project = Checkout(tmp_path_factory.mktemp("keyless") / "project")
    shutil.copytree(built_checkout.path, project.path)
    project.count_as_tested()
    where = [f"{registry.host}/keyless/house-price", f"{second_registry.host}/keyless/house-price"]
    release = Release(project, sigstore, " ".join(where), {PROVENANCE: github_provenance(project.revision)})

    published = release.ship("publish", "--commit-only", **sigstore.github.environment(PUBLISH))
    assert published.returncode == 0, published.stdout
    for repository in where:  # as actions/attest does in image.yml
        release.say(f"{repository}@{release.digest}", PROVENANCE, IMAGE)
    released = release.ship("release")
    assert released.returncode == 0, released.stdout
    for kind in (TESTS, BILL):
        reply = cosign("verify-attestation", *trust(sigstore), f"--type={kind}", f"{where[0]}@{release.digest}")
        [envelope] = [json.loads(line) for line in reply.splitlines()]
        release.said[kind] = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
    return release


def refused(done: "subprocess.CompletedProcess[str]", *reasons: str) -> None:
    """Check that these are all faults, in this order, in one sentence."""
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    [why] = [line for line in done.stdout.splitlines() if line.startswith("  why: ")]
    found = why.partition("cannot be trusted: ")[2].split("; ")
    assert len(found) == len(reasons), why
    for reason, one in zip(reasons, found, strict=True):
        assert reason in one


def test_a_release_by_the_workflows_is_trusted(release: Release) -> None:
    for reference in ("1.0.0", "latest", f"sha-{release.project.revision}", release.digest):
        done = release.ship("verify", reference)
        assert done.returncode == 0, done.stdout
        assert f"trusted: {IDENTITY}, called by {HOME}@refs/heads/main" in done.stdout


def test_a_release_by_the_workflows_is_promoted(release: Release, tmp_path: Path) -> None:
    clone = release.copied(tmp_path / "clone")
    for version, environment in ((f"sha-{release.project.revision}", "dev"), ("1.0.0", "test"), ("1.0.0", "prod")):
        done = clone.ship("promote", version, environment)
        assert done.returncode == 0, done.stdout


def test_publishing_again_signs_nothing(release: Release, registry: Registry) -> None:
    before = registry.referrers("keyless/house-price", release.digest)
    done = release.ship("publish", "--commit-only", **release.sigstore.github.environment(PUBLISH))

    assert done.returncode == 0, done.stdout
    assert registry.referrers("keyless/house-price", release.digest) == before
    assert len(before) == len(KINDS)


@pytest.mark.parametrize("repository", ["me/shipshape", "them/wines"])
def test_a_stranger_verifies_with_cosign_alone(release: Release, repository: str) -> None:
    """With the commands of docs/evidence.md, except for image and Sigstore."""
    page = (ROOT / "docs" / "evidence.md").read_text()
    [script] = [block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "cosign verify " in block]
    sigstore = f"{release.sigstore.github.url} --trusted-root={release.sigstore.trusted_root()}"
    for name, ours in {
        "ghcr.io/me/house-price@sha256:…": f"{release.where.split()[0]}@{release.digest}",
        "https://token.actions.githubusercontent.com": sigstore,
        "repository=me/shipshape": f"repository={repository}",
    }.items():
        assert name in script
        script = script.replace(name, ours)
    done = subprocess.run(["sh", "-euc", script], check=False, capture_output=True, text=True)

    if repository == "me/shipshape":
        assert done.returncode == 0, done.stderr
        assert release.digest in done.stdout
        assert done.stdout.count('"payload"') == len(KINDS) - 1
    else:
        assert done.returncode != 0
        assert 'expected GithubWorkflowRepository to be "them/wines", got "me/shipshape"' in done.stderr


def test_verification_needs_no_network(release: Release) -> None:
    """The trusted root has the authorities, and the bundle the proof of inclusion."""
    done = release.ship("verify", "1.0.0", TUF_MIRROR="http://localhost:1", TUF_ROOT="/nowhere")

    assert done.returncode == 0, done.stdout


CALLER = 'expected GithubWorkflowRepository to be "me/shipshape", got "them/wines"'
REF = 'expected GithubWorkflowRef to be "refs/heads/main", got "%s"'
CERTIFICATE = "failed to verify leaf certificate: leaf certificate verification failed"


@dataclass(frozen=True)
class Wrong:
    """A single fault in all evidence of an image."""

    reason: str
    job: dict[str, str] = field(default_factory=dict)
    config: str = "right"
    issuer: Callable[[Sigstore], Issuer] = lambda sigstore: sigstore.github
    believed: Callable[[Sigstore], dict[str, str]] | None = None
    """Settings that accept the same evidence, if there are any, to prove that this was the only fault."""


def caller(at: str) -> Callable[[Sigstore], dict[str, str]]:
    return lambda _sigstore: {"SHIP_CALLER": f"https://github.com/{at}"}


WRONG = {
    "caller-s-repository": Wrong(CALLER, {"repository": "them/wines"}, believed=caller("them/wines@refs/heads/main")),
    "caller-s-branch": Wrong(
        REF % "refs/heads/try", {"ref": "refs/heads/try"}, believed=caller("me/shipshape@refs/heads/try")
    ),
    "pull-request": Wrong(
        REF % "refs/pull/7/merge",
        {"ref": "refs/pull/7/merge", "event": "pull_request"},
        believed=caller("me/shipshape@refs/pull/7/merge"),
    ),
    "workflow-s-branch": Wrong('.yml@refs/heads/try"', {"at": "refs/heads/try"}),
    "workflow-s-file": Wrong(f'got "{HOME}/.github/workflows/own.yml@', {"file": "own.yml"}),
    "workflow-s-repository": Wrong('got "https://github.com/them/shipshape/', {"pipeline": "them/shipshape"}),
    "issuer": Wrong(
        "expected issuer value",
        issuer=lambda sigstore: sigstore.other_issuer,
        believed=lambda sigstore: {"SHIP_OIDC_ISSUER": sigstore.other_issuer.url},
    ),
    "authority": Wrong(
        CERTIFICATE,
        config="stranger",
        believed=lambda sigstore: {"SHIP_TRUSTED_ROOT": str(sigstore.trusted_root("stranger"))},
    ),
    "no-log": Wrong("not enough verified log entries from transparency log: 0 < 1", config="no-log"),
    "time": Wrong(CERTIFICATE, config="late"),
}


@pytest.mark.parametrize("what", WRONG)
def test_evidence_with_one_fault_does_not_count(release: Release, registry: Registry, what: str) -> None:
    wrong, sigstore = WRONG[what], release.sigstore
    reference = release.pushed(registry, f"wrong/{what}")
    release.say_all(reference, wrong.config, wrong.issuer(sigstore), **wrong.job)

    done = release.ship("verify", reference)
    refused(done, *(f"no {kind} by {HOME}" for kind in KINDS))
    refused(done, *[wrong.reason] * len(KINDS))
    if wrong.believed:
        done = release.ship("verify", reference, **wrong.believed(sigstore))
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", KINDS)
def test_each_piece_of_evidence_needs_the_right_caller(release: Release, registry: Registry, name: str) -> None:
    reference = release.pushed(registry, f"one-of-them/{name.replace(' ', '-')}")
    for kind in KINDS.values():
        job = IMAGE if kind == PROVENANCE else PUBLISH
        release.say(reference, kind, replace(job, repository="them/wines") if kind == KINDS[name] else job)

    done = release.ship("verify", reference)
    refused(done, f"no {name} by {HOME}")
    refused(done, CALLER)


def test_provenance_by_the_publisher_does_not_count(release: Release, registry: Registry, repository: str) -> None:
    reference = release.pushed(registry, repository)
    release.say_all(reference, file="publish.yml")

    done = release.ship("verify", reference)
    refused(done, f"no provenance by {HOME}/.github/workflows/image.yml")
    refused(done, f'got "{IDENTITY}"')


def test_an_image_signed_by_a_stranger_is_neither_released_nor_promoted(
    release: Release, registry: Registry, repository: str
) -> None:
    where, commit = f"{registry.host}/{repository}", f"sha-{release.project.revision}"
    push(release.project.layout, f"{where}:{commit}")
    release.say_all(f"{where}@{release.digest}", repository="them/wines")

    refused(release.ship("release", SHIP_REGISTRIES=where), *[CALLER] * len(KINDS))
    refused(release.ship("promote", commit, "dev", SHIP_REGISTRIES=where), *[CALLER] * len(KINDS))
    assert registry.tags(repository) == [commit]
    assert f"sha-{release.project.revision}" == commit


def test_a_job_of_another_branch_cannot_sign(release: Release, registry: Registry, repository: str) -> None:
    step = release.sigstore.github.environment(replace(PUBLISH, ref="refs/heads/try"))
    done = release.ship("publish", "--commit-only", **{**step, "SHIP_REGISTRIES": f"{registry.host}/{repository}"})

    assert done.returncode == 1
    assert "runs for refs/heads/try, and only signatures for refs/heads/main are trusted" in done.stdout
    assert registry.tags(repository) == []


def test_late_signatures_are_valid_with_a_right_timestamp(release: Release, registry: Registry) -> None:
    """Each gets the timestamp of a right clock instead of the late one, so nothing else was wrong with it."""
    late, mended = (release.pushed(registry, f"late/{name}") for name in ("as-it-was", "mended"))
    release.say_all(late, config="late")
    for entry in registry.referrers("late/as-it-was", release.digest):
        bundle = json.loads(registry.bundle("late/as-it-was", entry["digest"]))
        signature = base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"])
        [stamp] = bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
        stamp["signedTimestamp"] = base64.b64encode(release.sigstore.timestamp(signature)).decode()
        registry.attach("late/mended", release.digest, json.dumps(bundle).encode())

    refused(release.ship("verify", late), *[CERTIFICATE] * len(KINDS))
    done = release.ship("verify", mended)
    assert done.returncode == 0, done.stdout

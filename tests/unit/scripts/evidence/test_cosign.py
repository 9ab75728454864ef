"""How cosign is called, and how its answers are read."""

import base64
import json
from collections.abc import Callable

import pytest

from scripts.errors import Failure
from scripts.evidence import cosign, referrers, statements
from scripts.evidence.cosign import SIGNATURE
from scripts.evidence.referrers import Referrers
from scripts.evidence.signer import KeyPair, Workflow
from scripts.grammar import Caller, Digest, FilePath, Identity, Key, Repository, Url
from scripts.process import Ended, Limit
from tests.unit.scripts.fake_cosign import FakeCosign

GHCR = Repository("ghcr.io/me/x")
DIGEST = Digest(f"sha256:{'1' * 64}")
REFERENCE = f"{GHCR}@{DIGEST}"
KEY = KeyPair(Key("ours.key"), Key("ours.pub"))
WORKFLOW = Workflow(
    Identity("https://github.com/me/x/.github/workflows/publish.yml@refs/heads/main"),
    Caller("https://github.com/me/x@refs/heads/main"),
)
# What cosign 3.1 prints when no bundle is by a trusted signer: a reason for each, and all of it twice.
REASONS = "failed to verify certificate identity: no matching\nfailed to verify signature: no match\n"
NOTHING = (
    f"WARNING: x\nError: no matching attestations: {REASONS}error during command execution: no matching attestations: "
)
# The same for bundles of another type, and for those that it cannot read.
OTHER_TYPE = "none of the attestations matched the predicate type: a, found: b"
UNREADABLE = "no valid bundles found in local layout"


def bundle(kind: str, predicate: object = None) -> bytes:
    """Return a bundle with a statement of type `kind`, by any signer."""
    return json.dumps({"dsseEnvelope": envelope(kind, predicate)}).encode()


def envelope(kind: str, predicate: object = None) -> dict[str, str]:
    statement = {"predicateType": kind, "predicate": predicate or {}}
    return {"payload": base64.b64encode(json.dumps(statement).encode()).decode()}


def found(*envelopes: dict[str, str]) -> bytes:
    """Return what cosign prints of the statements that it accepts."""
    return b"".join(json.dumps(one).encode() + b"\n" for one in envelopes)


def attached(*bundles: bytes) -> Referrers:
    return Referrers(GHCR, DIGEST, bundles)


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSIGN_PASSWORD", "secret")


def test_a_key_signs_without_any_network_service(fake_cosign: FakeCosign) -> None:
    cosign.sign(GHCR, DIGEST, KEY)

    [call] = fake_cosign.calls
    verb, key, *files = call.arguments
    assert (verb, key, files[2:]) == ("sign", "--key=ours.key", ["--yes", "--", REFERENCE])
    assert call.password == "secret"  # noqa: S105 - a test's own
    assert json.loads(call.file("signing-config").read_bytes()) == {
        "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "rekorTlogConfig": {},
        "tsaConfig": {},
    }
    assert json.loads(call.file("trusted-root").read_bytes()) == {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
    }


def test_a_workflow_signs_with_the_public_sigstore(fake_cosign: FakeCosign) -> None:
    cosign.sign(GHCR, DIGEST, WORKFLOW)

    assert [call.arguments for call in fake_cosign.calls] == [["sign", "--yes", "--", REFERENCE]]


def test_a_workflow_signs_with_a_private_sigstore(fake_cosign: FakeCosign) -> None:
    own = Workflow(
        WORKFLOW.identity, WORKFLOW.caller, Url("https://a.org"), FilePath("root.json"), FilePath("config.json")
    )
    cosign.sign(GHCR, DIGEST, own)

    files = ["--signing-config=config.json", "--trusted-root=root.json"]
    assert [call.arguments for call in fake_cosign.calls] == [["sign", *files, "--yes", "--", REFERENCE]]


def test_a_statement_is_attached_with_its_type_and_its_bytes(fake_cosign: FakeCosign) -> None:
    cosign.attest(GHCR, DIGEST, WORKFLOW, statements.TESTS, b'{"result": "PASSED"}')

    [call] = fake_cosign.calls
    verb, kind, file, *rest = call.arguments
    assert file.endswith("/predicate.json")
    assert (verb, kind, rest) == ("attest", f"--type={statements.TESTS}", ["--yes", "--", REFERENCE])
    assert call.file("predicate").read_bytes() == b'{"result": "PASSED"}'


def test_a_key_attests_as_it_signs(fake_cosign: FakeCosign) -> None:
    cosign.attest(GHCR, DIGEST, KEY, statements.SBOM, b"{}")

    [call] = fake_cosign.calls
    assert call.arguments[:2] == ["attest", "--key=ours.key"]
    assert json.loads(call.file("signing-config").read_bytes())["rekorTlogConfig"] == {}


def test_a_registry_that_refuses_a_signature_is_a_failure(fake_cosign: FakeCosign) -> None:
    fake_cosign.answers(error="Error: PUT: denied\n", status=1)

    with pytest.raises(Failure, match="denied"):
        cosign.sign(GHCR, DIGEST, KEY)


def test_writing_has_the_time_limit_of_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[Limit | None] = []

    def output(*_command: str, env: object, limit: Limit | None) -> str:
        assert env
        limits.append(limit)
        return ""

    monkeypatch.setattr(cosign, "output", output)
    cosign.sign(GHCR, DIGEST, KEY)

    assert limits == [Limit(referrers.SECONDS, "ghcr.io")]


@pytest.mark.parametrize("who", [KEY, WORKFLOW])
def test_statements_are_those_that_cosign_accepts(fake_cosign: FakeCosign, who: KeyPair | Workflow) -> None:
    fake_cosign.answers(found(envelope(statements.TESTS, {"a": 1}), envelope(statements.TESTS, {"a": 2})))
    asked = attached(bundle(statements.TESTS), bundle(statements.TESTS, {"a": 1}))

    assert cosign.statements(asked, who, statements.TESTS) == [b'{"a": 1}', b'{"a": 2}']
    assert cosign.explain_refusal(asked, who, statements.TESTS) == ""
    for call in fake_cosign.calls:
        verb, *options, _, _ = call.arguments
        assert (verb, options) == (
            "verify-attestation",
            [f"--type={statements.TESTS}", "--local-image=true", *who.options],
        )
        assert call.arguments[-2] == "--"
        assert (call.last / "oci-layout").exists()


def test_only_bundles_that_claim_the_type_are_checked(fake_cosign: FakeCosign) -> None:
    asked = attached(
        bundle(statements.SBOM), bundle(statements.TESTS), b"junk", b"{}", b'{"dsseEnvelope": {"payload": "e30="}}'
    )
    cosign.statements(asked, KEY, statements.TESTS)

    [call] = fake_cosign.calls
    blobs = [path.read_bytes() for path in (call.last / "blobs" / "sha256").iterdir()]
    assert bundle(statements.TESTS) in blobs
    assert len(blobs) == 2, "the bundle and the manifest that lists it"


@pytest.mark.parametrize("asked", [attached(), attached(bundle(statements.SBOM)), attached(b"junk"), attached(b"{}")])
def test_cosign_is_not_called_without_a_bundle_of_the_type(fake_cosign: FakeCosign, asked: Referrers) -> None:
    assert cosign.statements(asked, KEY, statements.TESTS) == []
    assert cosign.explain_refusal(asked, KEY, statements.TESTS) == ""
    assert fake_cosign.calls == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (f"{NOTHING}{REASONS}", REASONS.strip().replace("\n", " | ")),
        (f"{NOTHING}the same\nthe same\n\n", "the same"),
        (f"Error: {OTHER_TYPE}\nerror during command execution: {OTHER_TYPE}\n", OTHER_TYPE),
        (f"WARNING: x\nError: {UNREADABLE}\nerror during command execution: {UNREADABLE}\n", UNREADABLE),
        (f"{NOTHING}error during command execution: forged\n", "error during command execution: forged"),
    ],
)
def test_statements_by_others_are_rejected_with_a_reason(fake_cosign: FakeCosign, error: str, reason: str) -> None:
    fake_cosign.answers(error=error, status=1)
    asked = attached(bundle(statements.TESTS))

    assert cosign.statements(asked, KEY, statements.TESTS) == []
    assert cosign.explain_refusal(asked, KEY, statements.TESTS) == reason


@pytest.mark.parametrize("ask", [cosign.statements, cosign.explain_refusal])
def test_a_check_that_fails_is_not_a_missing_statement(fake_cosign: FakeCosign, ask: Callable[..., object]) -> None:
    why = "loading public key: open ours.pub: no such file or directory"
    fake_cosign.answers(error=f"WARNING: x\nError: {why}\nerror during command execution: {why}\n", status=1)

    with pytest.raises(Failure, match=f"cosign could not check what the key ours.pub signed: error during .*: {why}$"):
        ask(attached(bundle(statements.TESTS)), KEY, statements.TESTS)


def test_malformed_output_is_a_failure(fake_cosign: FakeCosign) -> None:
    asked = attached(bundle(statements.TESTS))
    for answer, reason in (
        (b"what?\n", "cosign's output is malformed"),
        (found({"payload": "e30="}), "a statement by the key"),
    ):
        fake_cosign.answers(answer)
        with pytest.raises(Failure, match=reason):
            cosign.statements(asked, KEY, statements.TESTS)


@pytest.mark.parametrize(("who", "peer"), [(KEY, "the key ours.pub"), (WORKFLOW, "Sigstore")])
def test_checking_has_a_time_limit_that_names_the_service(
    who: KeyPair | Workflow, peer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[Limit | None] = []

    def attempt(*_command: str, limit: Limit | None) -> Ended:
        limits.append(limit)
        return Ended(0, b"", "")

    monkeypatch.setattr(cosign, "attempt", attempt)
    cosign.statements(attached(bundle(statements.TESTS)), who, statements.TESTS)

    assert limits == [Limit(referrers.SECONDS, peer)]


def test_only_a_signature_counts_as_signed(fake_cosign: FakeCosign) -> None:
    fake_cosign.answers(found(envelope(SIGNATURE)))

    assert cosign.is_signed(attached(bundle(SIGNATURE)), KEY)
    assert not cosign.is_signed(attached(bundle(statements.SBOM)), KEY)
    [call] = fake_cosign.calls
    assert "--type=https://sigstore.dev/cosign/sign/v1" in call.arguments

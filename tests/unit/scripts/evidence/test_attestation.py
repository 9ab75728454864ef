"""Attaching evidence: in which order, by which signer, and what is left alone."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from scripts import checkout
from scripts.artifacts import Built, Counts, Passed
from scripts.errors import Failure
from scripts.evidence import attestation, cosign, referrers, statements
from scripts.evidence.cosign import SIGNATURE
from scripts.evidence.referrers import Referrers
from scripts.evidence.signer import KeyPair, Signer, Workflow
from scripts.evidence.statements import PROVENANCE, SBOM, TESTS
from scripts.grammar import (
    Caller,
    Column,
    Digest,
    Identity,
    Key,
    Name,
    Platform,
    RelativePath,
    Repository,
    Revision,
    Version,
    WorkTree,
)
from tests.unit.scripts.shelf import GHCR, HUB

DIGEST = Digest(f"sha256:{'1' * 64}")
AMD = Platform("linux/amd64")
IMAGE = Built(
    digest=DIGEST,
    platforms={AMD: DIGEST},
    size=1,
    version=Version("1.0.0"),
    revision=WorkTree(Revision("a" * 40)),
    model_format="onnx",
    base="python",
    pipeline=WorkTree(Revision("b" * 40)),
    name=Name("x"),
    data=RelativePath("x.csv"),
    target=Column("y"),
)
PARTS: dict[str, Any] = {
    "metadata": {"component": {"type": "container", "hashes": [{"alg": "SHA-256", "content": DIGEST.encoded}]}},
    "components": [{"type": "library"}, {"type": "machine-learning-model"}],
}
PASSED = [Passed(DIGEST, AMD, "tests/integration", Counts(3, 0, 0))]
KEY = KeyPair(Key("ours.key"), Key("ours.pub"))
WORKFLOW = Workflow(
    Identity("https://github.com/me/x/.github/workflows/publish.yml@refs/heads/main"),
    Caller("https://github.com/me/x@refs/heads/main"),
)
BOTH = [HUB, GHCR]


@dataclass
class Board:
    """The evidence of an image, in place of `cosign` and `referrers`."""

    who: Signer = KEY
    hung: dict[tuple[Repository, str], bytes] = field(default_factory=dict)
    """The signer's statements by repository and type, one of each at most."""
    events: list[str] = field(default_factory=list)
    then: Callable[[str], None] = lambda _event: None
    """What happens right before a statement is written."""
    holes: set[Repository] = field(default_factory=set)
    """Repositories whose list names deleted referrers."""

    def hang(self, repository: Repository, kind: str, predicate: bytes) -> None:
        self.then(f"{kind} {repository}")
        assert (repository, kind) not in self.hung
        self.hung[repository, kind] = predicate
        self.events.append(f"{kind} {repository}")

    def read(self, repository: Repository, digest: Digest) -> Referrers:
        assert digest == DIGEST
        return Referrers(repository, digest, ())

    def statements(self, attached: Referrers, who: Signer, kind: str) -> list[bytes]:
        assert who == self.who
        return [self.hung[attached.repository, kind]] if (attached.repository, kind) in self.hung else []

    def attest(self, repository: Repository, digest: Digest, who: Signer, kind: str, predicate: bytes) -> None:
        assert (digest, who) == (DIGEST, self.who)
        self.hang(repository, kind, predicate)

    def sign(self, repository: Repository, digest: Digest, who: Signer) -> None:
        assert (digest, who) == (DIGEST, self.who)
        self.hang(repository, SIGNATURE, b"")

    def prune(self, repository: Repository, digest: Digest) -> bool:
        assert digest == DIGEST
        self.events.append(f"prune {repository}")
        mended = repository in self.holes
        self.holes.discard(repository)
        return mended


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Board:
    """A tested image with its bill of materials, and no evidence yet."""
    board = Board()
    for name in ("statements", "attest", "sign"):
        monkeypatch.setattr(cosign, name, getattr(board, name))
    monkeypatch.setattr(referrers, "read", board.read)
    monkeypatch.setattr(referrers, "prune", board.prune)
    monkeypatch.setattr(attestation, "tested", lambda: PASSED)
    monkeypatch.setattr(attestation, "SBOM", tmp_path / "sbom.cdx.json")
    monkeypatch.setattr(checkout, "repository", lambda _root=None: "https://github.com/me/x")
    (tmp_path / "sbom.cdx.json").write_text(json.dumps(PARTS))
    return board


def test_a_key_attaches_everything_in_every_registry_and_signs_last(
    board: Board, capsys: pytest.CaptureFixture[str]
) -> None:
    attestation.attest(BOTH, IMAGE, KEY)

    kinds = (SBOM, TESTS, PROVENANCE, SIGNATURE)
    assert board.events == [f"{kind} {repository}" for repository in BOTH for kind in kinds]
    for repository in BOTH:
        assert board.hung[repository, SBOM] == json.dumps(PARTS).encode()
        assert json.loads(board.hung[repository, TESTS]) == statements.make_test_result(PASSED, IMAGE)
        assert json.loads(board.hung[repository, PROVENANCE]) == statements.make_provenance(IMAGE)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "signing as the key ours.pub"
    assert lines[1:5] == [*(f"{kind} → {HUB}" for kind in kinds[:3]), f"signature → {HUB}"]


def test_on_github_another_workflow_file_attests_provenance(board: Board) -> None:
    board.who = WORKFLOW
    attestation.attest(BOTH, IMAGE, WORKFLOW)

    assert [kind for _, kind in board.hung] == [SBOM, TESTS, SIGNATURE] * 2


def test_existing_evidence_is_left_alone(board: Board, capsys: pytest.CaptureFixture[str]) -> None:
    attestation.attest(BOTH, IMAGE, KEY)
    del board.hung[GHCR, TESTS]
    del board.hung[HUB, SIGNATURE]
    board.events.clear()
    capsys.readouterr()
    attestation.attest(BOTH, IMAGE, KEY)

    assert board.events == [f"{SIGNATURE} {HUB}", f"{TESTS} {GHCR}"]
    assert capsys.readouterr().out.count("→") == 2


def test_only_the_bill_of_the_scan_is_attached(tmp_path: Path, board: Board) -> None:
    (tmp_path / "sbom.cdx.json").unlink()
    with pytest.raises(Failure, match=r"sbom\.cdx\.json cannot be read: No such file or directory") as missing:
        attestation.attest(BOTH, IMAGE, KEY)
    assert missing.value.remedy == "./ship scan"

    (tmp_path / "sbom.cdx.json").write_text(json.dumps({**PARTS, "components": []}))
    with pytest.raises(Failure, match=r"sbom\.cdx\.json: the bill of materials lists no library") as partial:
        attestation.attest(BOTH, IMAGE, KEY)
    assert partial.value.remedy == "./ship scan"
    assert board.hung == {}


def test_the_bill_of_another_image_is_not_attached(board: Board) -> None:
    with pytest.raises(Failure, match="the bill of materials is for another image"):
        attestation.attest(BOTH, replace(IMAGE, digest=Digest(f"sha256:{'2' * 64}")), KEY)
    assert board.hung == {}


def test_an_untested_image_is_not_signed(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    def tested() -> list[Passed]:
        raise Failure("it was not tested")

    monkeypatch.setattr(attestation, "tested", tested)
    with pytest.raises(Failure, match="it was not tested"):
        attestation.attest(BOTH, IMAGE, KEY)
    assert board.hung == {}


@pytest.mark.parametrize("kind", [SBOM, SIGNATURE])
def test_a_list_with_deleted_referrers_is_repaired_and_the_write_retried(board: Board, kind: str) -> None:
    board.holes.add(GHCR)

    def refuse(event: str) -> None:
        if event == f"{kind} {GHCR}" and GHCR in board.holes:
            raise Failure("MANIFEST_UNKNOWN")

    board.then = refuse
    attestation.attest(BOTH, IMAGE, KEY)

    assert len(board.hung) == 8
    assert [event for event in board.events if event.startswith("prune")] == [f"prune {GHCR}"]
    assert board.events.index(f"prune {GHCR}") == board.events.index(f"{kind} {GHCR}") - 1


@pytest.mark.parametrize("kind", [SBOM, SIGNATURE])
def test_a_refusal_for_another_reason_is_not_retried(board: Board, kind: str) -> None:
    asked: list[str] = []

    def refuse(event: str) -> None:
        asked.append(event)
        if event == f"{kind} {HUB}":
            raise Failure("denied")

    board.then = refuse
    with pytest.raises(Failure, match=r"^denied$"):
        attestation.attest(BOTH, IMAGE, KEY)

    assert asked[-1] == f"{kind} {HUB}"
    assert asked.count(f"{kind} {HUB}") == 1
    assert board.events[-1] == f"prune {HUB}"


def test_a_write_that_still_fails_after_the_repair_fails(board: Board) -> None:
    board.holes.add(HUB)

    def refuse(_event: str) -> None:
        raise Failure("down")

    board.then = refuse
    with pytest.raises(Failure, match=r"^down$"):
        attestation.attest(BOTH, IMAGE, KEY)
    assert board.events == [f"prune {HUB}"]

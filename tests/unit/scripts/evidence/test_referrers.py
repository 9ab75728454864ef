"""Reading the referrers of an image, within limits, and repairing their list."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.errors import Failure
from scripts.evidence import referrers
from scripts.evidence.referrers import Referrers
from scripts.grammar import Digest, Reference, Repository, Tag
from scripts.oci import registry
from scripts.process import Ended
from tests.unit.scripts.loopback import INDEX, MANIFEST, Registry, serving
from tests.unit.scripts.program import HANGS, Program, prints

HUB = Repository("docker.io/me/x")
IMAGE = Digest(f"sha256:{'1' * 64}")
TAG = Tag(f"sha256-{'1' * 64}")
LIST = HUB.at(TAG)
BUNDLE = json.dumps({"mediaType": f"{referrers.BUNDLE}.v0.3+json"}).encode()

Answer = Callable[..., None]


# The content of a referrer, which cosign lists below it.
LAYER = f"sha256:{'e' * 64}"


def named(number: int) -> str:
    return f"sha256:{number + 2:064x}"


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Let cosign list `listed` referrers, each with a blob of `size` bytes, and give `bundles`."""

    def set_up(listed: int, *, size: int = 1, bundles: int | None = None, unreadable: int = 0, error: str = "") -> None:
        lines = (
            f"└── 🔗 artifacts via OCI referrer: {HUB}@{named(number)}\n   └── 🍒 {LAYER}\n" for number in range(listed)
        )
        tree = "".join(lines)
        given = b"\n".join([BUNDLE] * (listed if bundles is None else bundles))

        def attempt(*command: str, **_: object) -> Ended:
            if "tree" in command:
                return Ended(0, f"{HUB}@{IMAGE}\n{tree}".encode(), "Error fetching x\n" * unreadable)
            return Ended(int(bool(error)), given, error)

        def manifest(reference: Reference) -> bytes:
            assert reference.digest not in {IMAGE, LAYER}, "neither the image itself nor a layer is a referrer"
            layer = {"digest": IMAGE, "size": size}
            return json.dumps({"config": {"digest": IMAGE, "size": 2}, "layers": [layer]}).encode()

        monkeypatch.setattr(referrers, "attempt", attempt)
        monkeypatch.setattr(registry, "manifest", manifest)

    return set_up


def test_referrers_up_to_the_limit_are_read(answer: Answer) -> None:
    answer(referrers.MAX_REFERRERS)

    assert len(referrers.read(HUB, IMAGE).bundles) == referrers.MAX_REFERRERS


@pytest.mark.parametrize(("listed", "unreadable"), [(101, 0), (100, 1), (0, 101)])
def test_more_referrers_than_the_limit_are_refused(answer: Answer, listed: int, unreadable: int) -> None:
    answer(listed, unreadable=unreadable)

    with pytest.raises(Failure, match=f"{HUB}@{IMAGE} has 101 referrers, and the limit is 100") as refused:
        referrers.read(HUB, IMAGE)
    assert refused.value.remedy


def test_referrers_that_are_too_large_together_are_refused(answer: Answer) -> None:
    """All can name the same blob, so the registry need not hold much."""
    answer(4, size=referrers.MAX_BYTES // 4)
    assert len(referrers.read(HUB, IMAGE).bundles) == 4

    answer(4, size=referrers.MAX_BYTES // 4 + 1)
    with pytest.raises(Failure, match="have 64 MiB, and the limit is 64"):
        referrers.read(HUB, IMAGE)


def test_referrers_that_are_gone_or_no_bundles_are_counted(answer: Answer) -> None:
    answer(3, bundles=1, unreadable=2)

    assert referrers.read(HUB, IMAGE).unread == 4


def test_a_registry_may_have_no_referrers(answer: Answer) -> None:
    answer(0, error="Error: found no attestations")
    assert referrers.read(HUB, IMAGE).bundles == ()

    answer(0, error="Error: 500 Internal Server Error")
    with pytest.raises(Failure, match=r"docker.io does not list the referrers of"):
        referrers.read(HUB, IMAGE)


def test_a_deleted_referrer_does_not_hide_the_others(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(16, size=referrers.MAX_BYTES // 8 + 1)
    there, gone = registry.manifest, {HUB.at(Digest(named(number))) for number in range(8)}
    asked = []

    def manifest(reference: Reference) -> bytes:
        asked.append(reference)
        if reference in gone:
            raise registry.Absent(f"{reference} is gone")
        return there(reference)

    monkeypatch.setattr(registry, "manifest", manifest)

    with pytest.raises(Failure, match="have 64 MiB, and the limit is 64"):
        referrers.read(HUB, IMAGE)
    assert sorted(asked) == [HUB.at(Digest(named(number))) for number in range(16)]


@pytest.fixture
def cosign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """A cosign that prints what a test wants, and no other program."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return Program(tmp_path / "bin" / "cosign")


def test_cosign_lists_the_referrers_before_it_downloads_bundles(cosign: Program) -> None:
    cosign.answer(
        {"tree": prints(f"└── 🔗 artifacts via OCI referrer: {HUB}@{named(0)}\n"), "download": prints(BUNDLE.decode())}
    )

    assert referrers.read(HUB, IMAGE) == Referrers(HUB, IMAGE, (BUNDLE,), unread=0)
    assert cosign.calls == [["tree", "--", f"{HUB}@{IMAGE}"], ["download", "attestation", "--", f"{HUB}@{IMAGE}"]]


@pytest.mark.parametrize("refused", ["tree", "download"])
def test_a_registry_that_refuses_is_quoted_once(cosign: Program, refused: str) -> None:
    """It is printed twice, after a warning."""
    why = 'Get "https://docker.io/v2/": connection refused'
    words = f"WARNING: this is old\nError: {why}\nerror during command execution: {why}\n"
    cosign.answer({"tree": prints(), "download": prints()} | {refused: prints(stderr=words, status=1)})

    with pytest.raises(Failure) as failure:
        referrers.read(HUB, IMAGE)

    assert failure.value.reason == f"docker.io does not list the referrers of {HUB}@{IMAGE}: {why}"
    assert failure.value.remedy == "try again later"


def test_a_registry_that_does_not_answer_is_named(cosign: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(referrers, "SECONDS", 0.02)
    cosign.answer({"tree": HANGS})

    with pytest.raises(Failure, match=r"^docker\.io gave no answer within 0\.02 s$"):
        referrers.read(HUB, IMAGE)


def test_output_that_is_not_json_is_refused(cosign: Program) -> None:
    cosign.answer({"tree": prints(), "download": prints("no attestation here")})

    with pytest.raises(Failure, match=r"^cosign's output is malformed"):
        referrers.read(HUB, IMAGE)


def test_cosign_reads_bundles_from_a_layout_with_one_layer_each() -> None:
    """As `cosign save` writes them: https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md."""
    other = b'{"other": true}'

    with Referrers(HUB, IMAGE, (BUNDLE, other)).layout() as folder:
        [image] = json.loads((folder / "index.json").read_bytes())["manifests"]
        blobs = {f"sha256:{blob.name}": blob.read_bytes() for blob in (folder / "blobs" / "sha256").iterdir()}

    assert image["digest"] == IMAGE
    assert all(digest == f"sha256:{hashlib.sha256(blob).hexdigest()}" for digest, blob in blobs.items())
    [manifest] = [json.loads(blob) for blob in blobs.values() if blob not in {BUNDLE, other}]
    assert manifest["subject"]["digest"] == IMAGE
    assert manifest["layers"] == [
        {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "digest": f"sha256:{hashlib.sha256(bundle).hexdigest()}",
            "size": len(bundle),
        }
        for bundle in (BUNDLE, other)
    ]


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed: ./ship setup")
def test_deleted_referrers_are_removed_from_the_list_and_the_others_stay(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(Registry()) as there:
        repository = Repository(f"{there.host}/me/x")
        kept = {"mediaType": MANIFEST, "digest": there.put("", {"layers": []}), "size": 2, "annotations": {"by": "me"}}
        gone = {"mediaType": MANIFEST, "digest": named(1), "size": 2}
        there.put(TAG, {"schemaVersion": 2, "mediaType": INDEX, "manifests": [gone, kept]}, INDEX)

        assert referrers.prune(repository, IMAGE) is True

        kind, written = there.content[TAG]
    assert kind == INDEX
    assert json.loads(written) == {"schemaVersion": 2, "mediaType": INDEX, "manifests": [kept]}
    words = capsys.readouterr().out
    assert f"{repository}:{TAG} lists" in words
    assert "deleted referrers: removed" in words


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Let the list of referrers be a document, in a registry that holds everything it lists and takes nothing."""

    def set_up(document: object) -> None:
        monkeypatch.setattr(registry, "manifest", lambda reference: {LIST: json.dumps(document).encode()}[reference])

    monkeypatch.setattr(registry, "digest", lambda reference: reference.digest)
    monkeypatch.delattr(registry, "push_index")
    return set_up


def entries(number: int) -> dict[str, Any]:
    return {"manifests": [{"digest": named(one), "size": 2} for one in range(number)]}


def test_a_complete_list_is_left_alone(listed: Callable[[object], None]) -> None:
    listed(entries(referrers.MAX_REFERRERS))

    assert referrers.prune(HUB, IMAGE) is False


def test_a_registry_without_a_list_needs_no_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(reference: Reference) -> bytes:
        raise registry.Absent(f"{reference} is not there")

    monkeypatch.setattr(registry, "manifest", absent)

    assert referrers.prune(HUB, IMAGE) is False


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (entries(referrers.MAX_REFERRERS + 1), f"{LIST} has 101 referrers, and the limit is 100"),
        ([], f"the list of referrers {LIST} is malformed"),
        ({"manifests": [{"size": 2}]}, f"the list of referrers {LIST} is malformed"),
        ({"manifests": [{"digest": "latest"}]}, f"the list of referrers {LIST} is malformed"),
    ],
    ids=["too long", "no index", "no digest", "a tag"],
)
def test_a_malformed_or_too_long_list_is_not_rewritten(
    listed: Callable[[object], None], document: object, reason: str
) -> None:
    listed(document)

    with pytest.raises(Failure, match=f"^{reason}"):
        referrers.prune(HUB, IMAGE)

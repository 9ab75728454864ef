"""How much is read of what hangs beside an image."""

import json
from collections.abc import Callable

import pytest

from scripts import referrers, registry
from scripts.failure import Failure
from scripts.grammar import Digest, Reference, Repository
from scripts.process import Ended

HUB = Repository("docker.io/me/x")
IMAGE = Digest(f"sha256:{'1' * 64}")
BUNDLE = json.dumps({"mediaType": f"{referrers.BUNDLE}.v0.3+json"}).encode()

Answer = Callable[..., None]


def named(number: int) -> str:
    return f"sha256:{number + 2:064x}"


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Let cosign list `listed` referrers, each with a blob of `size` bytes, and give `bundles`."""

    def set_up(listed: int, *, size: int = 1, bundles: int | None = None, unreadable: int = 0, error: str = "") -> None:
        tree = "".join(f"└── 🔗 artifacts via OCI referrer: {named(number)}\n" for number in range(listed))
        given = b"\n".join([BUNDLE] * (listed if bundles is None else bundles))

        def attempt(*command: str, **_: object) -> Ended:
            if "tree" in command:
                return Ended(0, f"{HUB}@{IMAGE}\n{tree}".encode(), "Error fetching x\n" * unreadable)
            return Ended(int(bool(error)), given, error)

        def manifest(reference: Reference) -> bytes:
            assert reference.digest != IMAGE, "the image itself is no referrer"
            layer = {"digest": IMAGE, "size": size}
            return json.dumps({"config": {"digest": IMAGE, "size": 2}, "layers": [layer]}).encode()

        monkeypatch.setattr(referrers, "attempt", attempt)
        monkeypatch.setattr(registry, "manifest", manifest)

    return set_up


def test_as_many_as_are_read_are_read(answer: Answer) -> None:
    answer(referrers.MOST)

    assert len(referrers.read(HUB, IMAGE).bundles) == referrers.MOST


@pytest.mark.parametrize(("listed", "unreadable"), [(referrers.MOST + 1, 0), (referrers.MOST, 1), (0, 101)])
def test_more_are_refused(answer: Answer, listed: int, unreadable: int) -> None:
    answer(listed, unreadable=unreadable)

    with pytest.raises(Failure, match="has 101 referrers, and no more than 100 are read") as refused:
        referrers.read(HUB, IMAGE)
    assert refused.value.remedy


def test_a_few_that_are_too_large_together_are_refused(answer: Answer) -> None:
    """Each can name the same blob, so the registry need not hold much."""
    answer(4, size=referrers.LARGEST // 4)
    assert len(referrers.read(HUB, IMAGE).bundles) == 4

    answer(4, size=referrers.LARGEST // 4 + 1)
    with pytest.raises(Failure, match="are 64 MiB, and no more than 64 are read"):
        referrers.read(HUB, IMAGE)


def test_what_is_no_bundle_or_is_gone_is_counted(answer: Answer) -> None:
    answer(3, bundles=1, unreadable=2)

    assert referrers.read(HUB, IMAGE).unread == 4


def test_a_registry_that_has_none_says_so(answer: Answer) -> None:
    answer(0, error="Error: found no attestations")
    assert referrers.read(HUB, IMAGE).bundles == ()

    answer(0, error="Error: 500 Internal Server Error")
    with pytest.raises(Failure, match=r"docker\.io cannot be asked what is said of"):
        referrers.read(HUB, IMAGE)

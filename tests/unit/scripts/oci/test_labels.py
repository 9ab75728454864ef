"""The release that the labels of an image name."""

import re

import pytest

from scripts import ROOT
from scripts.errors import Failure
from scripts.grammar import Digest, Revision, Version
from scripts.oci import labels
from scripts.oci.labels import REVISION, VERSION, Release

DIGEST = Digest(f"sha256:{1:064}")
LABELS = {VERSION: "1.0.0", REVISION: "a" * 40}


def test_labels_name_a_release() -> None:
    assert Release.labelled(DIGEST, LABELS, "x") == Release(Version("1.0.0"), DIGEST, Revision("a" * 40))


@pytest.mark.parametrize(
    "changed", [{VERSION: "1.0"}, {VERSION: ""}, {REVISION: f"{'a' * 40}-dirty"}, {REVISION: "main"}]
)
def test_labels_that_name_no_release_are_refused(changed: dict[str, str]) -> None:
    with pytest.raises(Failure, match=r"the label org\.opencontainers\.image\.\w+ of x: .* is not a"):
        Release.labelled(DIGEST, LABELS | changed, "x")


@pytest.mark.parametrize("label", [VERSION, REVISION])
def test_a_missing_label_is_named(label: str) -> None:
    with pytest.raises(Failure, match=f"the label {re.escape(label)} of x: '' is not a"):
        Release.labelled(DIGEST, {name: text for name, text in LABELS.items() if name != label}, "x")


def test_the_labels_that_are_read_are_those_that_the_build_writes() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8") + (ROOT / "docker-bake.hcl").read_text("utf-8")
    written = set(re.findall(r"(?:org\.opencontainers\.image|com\.shipshape)\.[a-z.]+", text))

    assert written == {value for name, value in vars(labels).items() if name.isupper()}

"""The release that the labels of an image name."""

import pytest

from scripts.errors import Failure
from scripts.grammar import Digest, Revision, Version
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

"""`./ship scan`: its queries, which findings stop a release, and exceptions."""

import json
import sys
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scripts import artifacts, pipeline
from scripts.errors import Failure
from scripts.stages.scan import queries
from scripts.vulnerabilities import exceptions
from scripts.vulnerabilities.osv import CPYTHON, Advisory, Affected, Event, Package, Query, Range, Severity
from scripts.vulnerabilities.policy import Finding, assess

TODAY = date(2026, 11, 20)
OPENSSL = Query("Debian:13", "openssl", "3.5.7-1")
FLASK = Query("PyPI", "flask", "3.1.3")
CRITICAL = Severity("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H")
SEVEN = Severity("CVSS_V3", "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:L/A:L")  # 7.0
BELOW = Severity("CVSS_V3", "CVSS:3.1/AV:L/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:L")  # 6.9
LOW = Severity("CVSS_V3", "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N")


def affected(query: Query, *fixed: str, urgency: str = "") -> Affected:
    events = (Event(), *(Event(fixed=version) for version in fixed))
    package, repo = (None, query.name) if query.ecosystem == "GIT" else (Package(query.ecosystem, query.name), "")
    return Affected(package, (Range(events, repo),), (), {"urgency": urgency} if urgency else {})


def found(query: Query, *of: Affected, **fields: Any) -> Finding:
    [finding] = assess({query: [Advisory("DEBIAN-CVE-2026-1", affected=of, **fields)]}, {query: ["pkg:x"]})
    return finding


@pytest.mark.parametrize(
    ("finding", "stops", "why"),
    [
        (found(FLASK, affected(FLASK)), True, "no fix known"),
        (found(FLASK, affected(FLASK, "3.1.4")), True, "fixed in 3.1.4"),
        (found(Query("GIT", CPYTHON, "v3.13.1"), affected(Query("GIT", CPYTHON, ""))), True, "no fix known"),
        (found(OPENSSL, affected(OPENSSL, "3.5.8-1")), True, "fixed in 3.5.8-1"),
        (found(OPENSSL, affected(OPENSSL, "3.5.8-1", urgency="unimportant")), False, "unimportant"),
        (found(OPENSSL, affected(OPENSSL, urgency="unimportant"), severity=(CRITICAL,)), False, "unimportant"),
        (found(OPENSSL, affected(OPENSSL), severity=(CRITICAL,)), True, "no fix yet"),
        (found(OPENSSL, affected(OPENSSL), severity=(LOW, CRITICAL)), True, "no fix yet"),
        (found(OPENSSL, affected(OPENSSL), severity=(SEVEN,)), True, "high severity"),
        (found(OPENSSL, affected(OPENSSL), severity=(BELOW,)), False, "no fix yet"),
        (
            found(OPENSSL, affected(OPENSSL, "3.5.8-1", urgency="unimportant"), affected(OPENSSL, urgency="low")),
            True,
            "fixed in 3.5.8-1",
        ),
        (
            found(OPENSSL, affected(OPENSSL, "3.5.8-1", urgency="unimportant"), affected(OPENSSL)),
            True,
            "fixed in 3.5.8-1",
        ),
        (found(OPENSSL, affected(OPENSSL, urgency="high**")), True, "no fix yet"),
        (found(OPENSSL, affected(OPENSSL, urgency="end-of-life")), True, "no longer support"),
        (found(OPENSSL, affected(OPENSSL, urgency="low"), severity=(LOW,)), False, "no fix yet"),
        (found(OPENSSL, affected(OPENSSL, urgency="not yet assigned")), False, "no fix yet"),
        (found(OPENSSL, affected(OPENSSL), severity=(Severity("CVSS_V3", "nonsense"),)), False, "no fix yet"),
    ],
)
def test_the_policy_says_what_stops_a_release(finding: Finding, stops: bool, why: str) -> None:  # noqa: FBT001
    assert (finding.stops, why in finding.why) == (stops, True)


def test_a_fix_in_another_release_of_debian_does_not_count() -> None:
    finding = found(OPENSSL, affected(OPENSSL), affected(Query("Debian:14", "openssl", ""), "3.6.0-1"))

    assert finding.fixed == []
    assert not finding.stops


def test_a_withdrawn_advisory_is_ignored() -> None:
    advisory = Advisory("GHSA-1", withdrawn="2026-01-01T00:00:00Z", affected=(affected(FLASK),))

    assert assess({FLASK: [advisory]}, {FLASK: ["pkg:x"]}) == []


def test_the_highest_cvss_score_counts() -> None:
    newest = Severity("CVSS_V4", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N")

    assert found(FLASK, affected(FLASK), severity=(LOW, newest)).severity == 9.3


def test_an_announcement_of_several_vulnerabilities_is_no_alias_of_one() -> None:
    assert found(OPENSSL, upstream=("CVE-2026-1",)).aliases == ["CVE-2026-1"]
    assert found(OPENSSL, upstream=("CVE-2026-1", "CVE-2026-2")).aliases == []


def entry(**changed: Any) -> exceptions.Entry:
    fields = {"id": "CVE-2026-1", "package": "openssl", "reason": "not reachable", "reviewed_by": "Ada"}
    return exceptions.Entry(**{**fields, "expires": TODAY, **changed})


STOPPING = found(OPENSSL, affected(OPENSSL, "3.5.8-1"), upstream=("CVE-2026-1",))
REPORTED = found(OPENSSL, affected(OPENSSL))


def test_an_exception_covers_a_vulnerability_by_any_name_until_it_expires() -> None:
    judged = exceptions.judge([STOPPING], [entry()], TODAY)
    assert [finding for finding, _ in judged.allowed] == [STOPPING]
    assert (judged.stopping, judged.unused) == ([], [])

    assert exceptions.judge([STOPPING], [entry(id="DEBIAN-CVE-2026-1")], TODAY).allowed


def test_an_expired_exception_covers_nothing_and_is_named() -> None:
    judged = exceptions.judge([STOPPING], [entry()], TODAY + timedelta(days=1))

    assert judged.stopping == [STOPPING]
    assert judged.expired == [entry()]
    assert judged.unused == []


@pytest.mark.parametrize("changed", [{"id": "CVE-2026-2"}, {"package": "libssl3t64"}, {"package": "zlib"}])
def test_an_exception_for_something_else_covers_nothing_and_is_named(changed: dict[str, str]) -> None:
    judged = exceptions.judge([STOPPING, REPORTED], [entry(**changed)], TODAY)

    assert judged.stopping == [STOPPING]
    assert judged.reported == [REPORTED]
    assert judged.unused == [entry(**changed)]


VALID = """
[[exception]]
id = "CVE-2026-1"
package = "openssl"
reason = "not reachable"
reviewed_by = "Ada"
expires = 2026-11-20
"""


def test_the_file_is_read_and_may_be_missing(tmp_path: Path) -> None:
    (tmp_path / "exceptions.toml").write_text(VALID)

    assert exceptions.read(tmp_path / "exceptions.toml", TODAY) == [entry()]
    assert exceptions.read(tmp_path / "nowhere.toml", TODAY) == []


def test_an_exception_may_expire_on_the_latest_day(tmp_path: Path) -> None:
    (tmp_path / "exceptions.toml").write_text(VALID.replace("2026-11-20", "2027-02-18"))

    assert exceptions.read(tmp_path / "exceptions.toml", TODAY) == [entry(expires=date(2027, 2, 18))]


def test_the_file_of_this_project_is_valid() -> None:
    exceptions.read()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (VALID.replace('reason = "not reachable"', ""), "reason"),
        (VALID.replace('"not reachable"', '" "'), "reason"),
        (VALID.replace("reviewed_by", "reviewer"), "reviewer"),
        (VALID.replace("2026-11-20", '"soon"'), "expires"),
        (VALID.replace("2026-11-20", "2027-02-19"), "but the latest is 2027-02-18"),
        (VALID + VALID, "twice"),
        (VALID.replace("[[exception]]", "[[exceptions]]"), "exceptions"),
        ("[[exception", "exceptions.toml"),
    ],
)
def test_a_malformed_file_is_refused_with_the_reason(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "exceptions.toml").write_text(text)

    with pytest.raises(Failure, match=complaint):
        exceptions.read(tmp_path / "exceptions.toml", TODAY)


def component(purl: str, *properties: str) -> dict[str, Any]:
    return {"purl": purl, "properties": [{"name": name, "value": ""} for name in properties]}


def test_debian_packages_are_queried_by_source_and_python_packages_by_name() -> None:
    gcc = "pkg:deb/debian/gcc-14-base@14.2.0-19?arch=amd64&distro=debian-13&upstream=gcc-14%4014.2.0-19"
    libgcc = "pkg:deb/debian/libgcc-s1@14.2.0-19%2Bb1?arch=amd64&distro=debian-13&upstream=gcc-14%4014.2.0-19"
    bill = [gcc, libgcc, "pkg:deb/debian/dash@0.5.12-12?arch=amd64&distro=debian-13", "pkg:pypi/flask@3.1.3"]

    assert queries({"components": [component(purl) for purl in bill]}) == {
        Query("Debian:13", "gcc-14", "14.2.0-19"): [gcc, libgcc],
        Query("Debian:13", "dash", "0.5.12-12"): [bill[2]],
        FLASK: [bill[3]],
    }


def test_a_compiled_python_is_queried_but_not_that_of_debian() -> None:
    python = "pkg:generic/cpython@3.13.15"

    assert queries({"components": [component(python)]}) == {Query("GIT", CPYTHON, "v3.13.15"): [python]}
    assert queries({"components": [component(python, "shipshape:installed-by")]}) == {}


def test_components_that_are_no_packages_are_not_queried() -> None:
    assert queries({"components": [{"name": "house-price", "type": "machine-learning-model"}]}) == {}


def test_a_package_without_any_source_of_advisories_is_refused() -> None:
    with pytest.raises(Failure, match="pkg:deb/ubuntu/libc6"):
        queries({"components": [component("pkg:deb/ubuntu/libc6@2.39?arch=amd64&distro=ubuntu-24.04")]})


DIGEST, OTHER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
RECORD: dict[str, object] = {
    "digest": DIGEST,
    "outcome": "clean",
    "source": "https://api.osv.dev",
    "at": "2026-11-20T00:00:00Z",
    "checked": 59,
    "findings": [],
    "allowed": [],
}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the scan record, when the image DIGEST is built."""
    for module in (artifacts, pipeline):
        monkeypatch.setattr(module, "built", lambda: SimpleNamespace(digest=DIGEST))
    monkeypatch.setattr(artifacts, "BUILD", tmp_path)
    return tmp_path / "scan.json"


@pytest.mark.parametrize("outcome", ["clean", "not checked"])
def test_a_scan_of_the_built_image_counts(outcome: str, written: Path) -> None:
    written.write_text(json.dumps({**RECORD, "outcome": outcome}))

    assert (artifacts.scanned().digest, artifacts.scanned().outcome) == (DIGEST, outcome)


def test_a_scan_of_another_image_does_not_count(written: Path) -> None:
    with pytest.raises(Failure, match=f"{DIGEST} has not been scanned"):
        artifacts.scanned()

    written.write_text(json.dumps({**RECORD, "digest": OTHER}))
    with pytest.raises(Failure, match=f"{DIGEST} has not been scanned"):
        artifacts.scanned()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 5000,
        json.dumps({**RECORD, "outcome": "stopped"}).encode(),
        json.dumps({**RECORD, "digest": "sha256:1"}).encode(),
        json.dumps({**RECORD, "digest": None}).encode(),
        json.dumps({**RECORD, "findings": {}}).encode(),
        json.dumps({**RECORD, "source": "\x1b[32m"}).encode(),
        json.dumps({"digest": DIGEST}).encode(),
    ],
)
def test_a_damaged_record_is_refused(content: bytes, written: Path) -> None:
    written.write_bytes(content)

    with pytest.raises(Failure, match=r"scan\.json is malformed") as damaged:
        artifacts.scanned()
    assert damaged.value.remedy == "./ship scan"


def test_integration_tests_depend_on_the_image_and_the_base(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not written.exists()
    monkeypatch.setattr(pipeline, "fingerprint", lambda: "files")
    before = [pipeline.key(stage) for stage in ("integration", "lint", "unit")]
    monkeypatch.setattr(pipeline, "built", lambda: SimpleNamespace(digest=OTHER))
    after = [pipeline.key(stage) for stage in ("integration", "lint", "unit")]

    monkeypatch.setattr(sys, "version", "3.99.0 (main)")
    of_another_python = [pipeline.key(stage) for stage in ("integration", "lint", "unit")]

    assert before[0] != after[0]
    assert before[1:] == after[1:]
    assert not {*after} & {*of_another_python}

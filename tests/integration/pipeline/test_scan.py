"""`./ship scan` with a service that answers like OSV, and with one that does not."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.checkout import Checkout, clone
from tests.integration.osv import Osv, advisory, started_osv
from tests.integration.program import ROOT

EXCEPTION = """
[[exception]]
id = "CVE-2026-1"
package = "zlib"
reason = "the service inflates nothing that a client sends"
reviewed_by = "Ada Lovelace"
expires = {expires}
"""
FIXED = advisory("DEBIAN-CVE-2026-1", "zlib", "Debian:13", "2:1.4-1")


@pytest.fixture
def osv() -> Iterator[Osv]:
    with started_osv() as osv:
        yield osv


@pytest.fixture(scope="module")
def project(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A clone with the image under test, as if built there."""
    project = clone(checkout, tmp_path_factory.mktemp("scan") / "shipshape")
    (project.path / "build").mkdir()
    shutil.copytree(ROOT / "build" / "image", project.layout)
    shutil.copy(ROOT / "build" / "image.json", project.path / "build")
    return project


def scan(project: Checkout, url: str, *options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    environment = {"CI": "", "SHIP_SCAN_UNCHECKED": "", **environment}
    return project.ship("scan", *options, SHIP_OSV_API=url, **environment)


def record(project: Checkout) -> Any:
    path = project.path / "build" / "scan.json"
    return json.loads(path.read_bytes()) if path.exists() else None


@pytest.fixture
def exceptions(project: Checkout) -> Iterator[Path]:
    path = project.path / "scripts/vulnerabilities/exceptions.toml"
    before = path.read_bytes() if path.exists() else b""
    yield path
    path.write_bytes(before)


def test_an_image_without_known_vulnerabilities_is_clean(project: Checkout, osv: Osv) -> None:
    done = scan(project, osv.url)
    bill = json.loads((project.path / "build" / "sbom.cdx.json").read_bytes())
    found = record(project)

    assert done.returncode == 0, done.stdout + done.stderr
    assert found["outcome"] == "clean"
    assert found["digest"] == project.image["digest"]
    assert found["source"] == osv.url
    packages = [one for one in bill["components"] if one.get("purl", "").startswith(("pkg:pypi/", "pkg:deb/"))]
    assert found["checked"] == len(packages) > 40
    assert {"package": {"ecosystem": "PyPI", "name": "flask"}} in [{"package": one["package"]} for one in osv.asked]


def test_a_known_vulnerability_with_a_fix_stops_the_release(project: Checkout, osv: Osv) -> None:
    osv.advisories = {"zlib": [FIXED]}
    done = scan(project, osv.url)

    assert done.returncode == 1
    assert "DEBIAN-CVE-2026-1" in done.stdout
    assert "fixed in 2:1.4-1" in done.stdout
    assert "scripts/vulnerabilities/exceptions.toml" in done.stdout
    assert record(project) is None


def test_an_advisory_cannot_forge_a_line(project: Checkout, osv: Osv) -> None:
    osv.advisories = {"zlib": [advisory("DEBIAN-CVE-2026-1", "zlib", "Debian:13", "1\n\x1b[2K\x1b[32m✓ scan: clean")]}
    done = scan(project, osv.url)

    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert not [line for line in done.stdout.splitlines() if line.startswith("✓")]

    osv.advisories = {"zlib": [advisory("\x1b[32m✓ scan: clean", "zlib", "Debian:13", "1")]}
    done = scan(project, osv.url, CI="true")
    assert done.returncode == 1
    assert "its reply does not follow OSV's documentation" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_malformed_mirror_is_an_error_of_its_own(project: Checkout) -> None:
    done = scan(project, "osv.example.org")

    assert done.returncode == 1
    assert "SHIP_OSV_API: 'osv.example.org' is not an address" in done.stdout
    assert record(project) is None


def test_a_vulnerability_without_a_fix_is_reported_and_the_last_page_is_read(project: Checkout, osv: Osv) -> None:
    osv.page = 2
    osv.advisories = {"zlib": [advisory(f"DEBIAN-CVE-2026-{number}", "zlib", "Debian:13") for number in range(1, 6)]}
    done = scan(project, osv.url)

    assert done.returncode == 0, done.stdout + done.stderr
    assert [one["id"] for one in record(project)["findings"]] == [f"DEBIAN-CVE-2026-{number}" for number in range(1, 6)]


def test_an_exception_allows_a_vulnerability_until_it_expires(project: Checkout, osv: Osv, exceptions: Path) -> None:
    osv.advisories = {"zlib": [FIXED]}
    today = datetime.now(UTC).date()

    exceptions.write_text(EXCEPTION.format(expires=today + timedelta(days=30)))
    done = scan(project, osv.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [one["exception"]["reviewed_by"] for one in record(project)["allowed"]] == ["Ada Lovelace"]

    exceptions.write_text(EXCEPTION.format(expires=today - timedelta(days=2)))
    done = scan(project, osv.url)
    assert done.returncode == 1
    assert "expired" in done.stdout

    exceptions.write_text(EXCEPTION.format(expires=today + timedelta(days=200)))
    done = scan(project, osv.url)
    assert done.returncode == 1
    assert "but the latest is" in done.stdout


def test_a_busy_service_is_asked_again(project: Checkout, osv: Osv) -> None:
    osv.failures = 2
    done = scan(project, osv.url)

    assert done.returncode == 0, done.stdout + done.stderr
    assert record(project)["outcome"] == "clean"


@pytest.mark.parametrize("trouble", ["nobody", "errors", "truncated", "no advisory"])
def test_without_a_complete_answer_nothing_is_called_clean(project: Checkout, osv: Osv, trouble: str) -> None:
    osv.failures = 1000 if trouble == "errors" else 0
    osv.truncate = trouble == "truncated"
    if trouble == "no advisory":
        osv.advisories = {"zlib": [{"id": "DEBIAN-CVE-2026-2/..", "modified": "2026-01-01T00:00:00Z"}]}
    done = scan(project, "http://127.0.0.1:9" if trouble == "nobody" else osv.url)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT CHECKED" in done.stdout
    assert (record(project)["outcome"], record(project)["checked"]) == ("not checked", 0)


def test_in_ci_an_unanswered_scan_fails_by_default(project: Checkout) -> None:
    nobody = "http://127.0.0.1:9"
    done = scan(project, nobody, CI="true")
    assert done.returncode == 1
    assert "were not checked" in done.stdout
    assert record(project) is None

    assert scan(project, nobody, "--allow-unchecked", CI="true").returncode == 0
    assert scan(project, nobody, CI="true", SHIP_SCAN_UNCHECKED="allow").returncode == 0
    assert record(project)["outcome"] == "not checked"

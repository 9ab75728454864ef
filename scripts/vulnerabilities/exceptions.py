"""The exceptions in `exceptions.toml` beside this module: reviewed like code, and each with an expiry date."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec

from scripts import ROOT
from scripts.errors import Failure
from scripts.vulnerabilities.policy import Finding

FILE = ROOT / "scripts" / "vulnerabilities" / "exceptions.toml"
LONGEST = timedelta(days=90)
Words = Annotated[str, msgspec.Meta(min_length=1, pattern=r"\S")]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lets releases pass with one vulnerability of one package, up to and including the day it expires."""

    id: Words
    package: Words
    reason: Words
    reviewed_by: Words
    expires: date

    def covers(self, finding: Finding) -> bool:
        return self.id in {finding.id, *finding.aliases} and self.package == finding.package


class _File(msgspec.Struct, forbid_unknown_fields=True):
    exception: list[Entry] = []


@dataclass(frozen=True)
class Judged:
    """Findings by their effect on the release, and the exceptions without effect."""

    stopping: list[Finding]
    allowed: list[tuple[Finding, Entry]]
    reported: list[Finding]
    expired: list[Entry]
    """Exceptions that would have covered a finding in `stopping`."""
    unused: list[Entry]


def read(path: Path = FILE, today: date | None = None) -> list[Entry]:
    """Return the entries of `path`, none when there is no such file. Raises Failure when one is malformed."""
    remedy = "docs/scanning.md has an example"
    try:
        entries = msgspec.toml.decode(path.read_bytes(), type=_File).exception
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Failure(f"{path.name}: {error}", remedy) from error
    last = (today or _today()) + LONGEST
    for entry in entries:
        if entry.expires > last:
            raise Failure(f"{path.name}: {entry.id} expires on {entry.expires}, but the latest is {last}", remedy)
    if len({(entry.id, entry.package) for entry in entries}) < len(entries):
        raise Failure(f"{path.name}: the same id and package occurs twice", remedy)
    return entries


def judge(findings: Iterable[Finding], entries: Sequence[Entry], today: date | None = None) -> Judged:
    """Sort `findings` by what `entries` allow on the day `today` (UTC)."""
    day = today or _today()
    judged = Judged([], [], [], [], [])
    used: set[Entry] = set()
    for finding in findings:
        covering = [entry for entry in entries if entry.covers(finding)]
        used |= {*covering}
        valid = [entry for entry in covering if entry.expires >= day]
        if valid:
            judged.allowed.append((finding, valid[0]))
        elif finding.stops:
            judged.stopping.append(finding)
            judged.expired.extend(covering)
        else:
            judged.reported.append(finding)
    judged.unused.extend(entry for entry in entries if entry not in used)
    return judged


def _today() -> date:
    return datetime.now(UTC).date()

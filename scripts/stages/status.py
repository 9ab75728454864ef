"""`./ship status`: for each environment what is recorded, since when and by whom, and whether that is what runs."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scripts.console import Rows, console
from scripts.environments.drift import Comparison, State, compare
from scripts.environments.record import ENVIRONMENTS, Entry, Record, require_history
from scripts.errors import Failure

UNITS = (("day", 86400), ("hour", 3600), ("minute", 60))


@dataclass(frozen=True)
class Status:
    """One row of the table."""

    environment: str
    entry: Entry | None
    """None before the first promotion, and where the record is refused."""
    edited: bool
    running: Comparison


def status(*, check: bool = False) -> str:
    """Show the table and return it in a phrase. Raises Failure, with `check`, where something else runs than should."""
    found = statuses()
    table = Rows("environment", "version", "digest", "since (UTC)", "by", "runs")
    for row in found:
        table.row(*_cells(row))
    console.print(table)
    refused = [f"record refused: {row.running.detail}" for row in found if row.running.state is State.REFUSED]
    silent = [f"{row.environment} does not answer" for row in found if row.running.state is State.SILENT]
    others = [row.environment for row in found if row.running.state in {State.OTHER, State.NOTHING}]
    drifted = [f"what is recorded does not run in {' and '.join(others)}"] if others else []
    said = "; ".join([*refused, *drifted, *silent])
    if check and said:
        raise Failure(
            said, "mend the record and commit it" if refused else "deploy what is recorded, or ./ship rollback"
        )
    return said or "no drift is known"


def statuses() -> list[Status]:
    """Return how each environment is, in their order. Raises Failure where there is no history to read it from."""
    require_history()
    with ThreadPoolExecutor() as pool:  # an environment that does not answer must not keep the others waiting
        return list(pool.map(_status, ENVIRONMENTS))


def as_json(found: list[Status]) -> str:
    """Return `found` for programs: a list, with null where nothing is recorded."""
    return json.dumps([_fields(row) for row in found], indent=2)


def age(seconds: float) -> str:
    """Return `seconds` as a person says it: `3 days`, `1 hour`, `under a minute`."""
    for name, length in UNITS:
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {name}{'s' if count > 1 else ''}"
    return "under a minute"


def _status(environment: str) -> Status:
    record = Record(environment)
    try:
        fields = record.fields
    except Failure as refused:  # the others are still shown
        return Status(environment, None, record.edited, Comparison(State.REFUSED, refused.reason))
    entry = record.stack()[-1] if fields.release else None
    return Status(environment, entry, record.edited, compare(environment, fields.release, fields.url))


def _cells(row: Status) -> list[str]:
    runs = f"{row.running.state}: {row.running.detail}" if row.running.detail else str(row.running.state)
    name = f"{row.environment} (edited, not committed)" if row.edited else row.environment
    if row.entry is None:
        return [name, "" if row.running.state is State.REFUSED else "nothing yet", "", "", "", runs]
    release, at = row.entry.release, datetime.fromtimestamp(row.entry.epoch, UTC)
    since = f"{at:%Y-%m-%d %H:%M}, {age(time.time() - row.entry.epoch)}"
    return [name, release.version, release.digest.short, since, f"{row.entry.commit.short} {row.entry.author}", runs]


def _fields(row: Status) -> dict[str, Any]:
    entry = row.entry
    return {
        "environment": row.environment,
        "version": entry and entry.release.version,
        "digest": entry and entry.release.digest,
        "revision": entry and entry.release.revision,
        "since": entry and datetime.fromtimestamp(entry.epoch, UTC).isoformat(),
        "commit": entry and entry.commit,
        "author": entry and entry.author,
        "edited": row.edited,
        "runs": str(row.running.state),
        "detail": row.running.detail,
    }

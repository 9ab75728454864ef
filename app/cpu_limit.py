"""How many processors this container may use, which is not how many the host has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_CGROUP = Path("/sys/fs/cgroup")


class CpuLimit(NamedTuple):
    """Whole processors to use, at least 1, and the reason in words."""

    processors: int
    reason: str


def find_limit(cgroup: Path = _CGROUP) -> CpuLimit:
    """Return what both the CPU quota and the CPU affinity allow."""
    allowed = len(os.sched_getaffinity(0))
    quota, source = _read_quota(cgroup)
    if quota is None or allowed <= quota:
        return CpuLimit(allowed, f"{allowed} processors by affinity")
    return CpuLimit(max(1, int(quota)), f"a quota of {quota:g} processors ({source})")


def _read_quota(cgroup: Path) -> tuple[float | None, str]:
    """Return the container's CPU quota in processors, None if there is none, and where it was read."""
    try:
        limit, period = (cgroup / "cpu.max").read_text().split()
        source = "cgroup v2"
    except OSError:
        try:
            limit = (cgroup / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text().strip()
            source = "cgroup v1"
        except OSError:
            return None, "no cgroup"
    return None if limit in {"max", "-1"} else int(limit) / int(period), source

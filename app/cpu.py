"""How many processors this container may use, which is not how many the host has."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def quota(cgroup: Path = _CGROUP) -> float | None:
    """Give the processors that the container's CPU quota is worth (cgroup v2, then v1), None where there is none."""
    try:
        limit, period = (cgroup / "cpu.max").read_text().split()
    except OSError:
        try:
            limit = (cgroup / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    return None if limit in {"max", "-1"} else int(limit) / int(period)


def available(cgroup: Path = _CGROUP) -> int:
    """Give the whole processors that fit into quota and affinity, at least 1."""
    allowed = len(os.sched_getaffinity(0))
    return max(1, min(allowed, int(quota(cgroup) or allowed)))

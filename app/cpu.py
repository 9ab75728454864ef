"""How many processors this container may use, which is not how many the host has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_CGROUP = Path("/sys/fs/cgroup")


class Share(NamedTuple):
    """Whole processors to use, at least 1, and in words what bounds them."""

    processors: int
    because: str


def quota(cgroup: Path = _CGROUP) -> tuple[float | None, str]:
    """Give the processors that the container's CPU quota is worth, None without one, and where that is written."""
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


def share(cgroup: Path = _CGROUP) -> Share:
    """Give what fits into both quota and affinity."""
    allowed = len(os.sched_getaffinity(0))
    processors, source = quota(cgroup)
    if processors is None or allowed <= processors:
        return Share(allowed, f"{allowed} processors by affinity")
    return Share(max(1, int(processors)), f"a quota of {processors:g} processors ({source})")

"""How many threads compute when one core is left to HTTP."""

import math
import os
from pathlib import Path


def threads_beside_http(root: Path = Path("/")) -> int:
    """Physical cores that this process may use, less one; at least one. `root` holds proc and sys."""
    return max(1, math.ceil(min(_physical_cores(root), _granted(root))) - 1)


def _physical_cores(root: Path) -> int:
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    siblings = root / "sys/devices/system/cpu"
    return len(
        {
            _text(siblings / f"cpu{cpu}/topology/thread_siblings_list") or cpu
            for cpu in os.sched_getaffinity(0)
        }
    )


def _granted(root: Path) -> float:
    """Processors that the control groups grant, both versions of them; infinity where nothing is said."""
    groups, least = root / "sys/fs/cgroup", math.inf
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for top in [groups / controllers, groups / "cpu"] if controllers else [groups, groups / "unified"]:
            places = [top / path.strip("/"), *(top / path.strip("/")).parents]
            least = min([least, *(_ratio(place) for place in places if place.is_relative_to(top))])
    return least


def _ratio(group: Path) -> float:
    words = _text(group / "cpu.max").split()
    if not words:  # version 1 writes -1 for none
        words = [_text(group / "cpu.cfs_quota_us").strip(), _text(group / "cpu.cfs_period_us").strip()]
    quota, period = words[0], words[-1]
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else math.inf


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""

"""What a figure was measured on."""

import os
import platform
from contextlib import suppress
from pathlib import Path


def processor() -> str:
    known = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8")
    name = _cpuinfo("model name") or platform.processor()
    return f"{name} ({', '.join(flag for flag in known if flag in _flags())})"


def has_bfloat16() -> bool:
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(_flags())


def _flags() -> list[str]:
    return _cpuinfo("flags").split()


def _cpuinfo(key: str) -> str:
    """Of the first core; "" where the system has no such file."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith(key)), "")


def available_bytes() -> float:
    """Memory that a process could take."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def memory_mb(key: str) -> float:
    """ "VmHWM", the largest resident memory so far, or "VmRSS", what is resident now, of this process and all
    that it has started (10^6 bytes)."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):  # it has ended
            lines = dict(line.split(":", 1) for line in path.read_text().splitlines())
            found[int(lines["Pid"])] = lines
    family = {os.getpid()}
    while more := {pid for pid, lines in found.items() if int(lines["PPid"]) in family} - family:
        family |= more
    return sum(int(found[pid].get(key, "0 kB").split()[0]) for pid in family) * 1024 / 1e6

"""What a command says as JSON."""

import struct
from typing import Any


def as_written(value: Any) -> Any:
    """Numbers that were float32 in a file as a person wrote them: .1, not .10000000149011612."""
    if isinstance(value, dict):
        return {key: as_written(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [as_written(entry) for entry in value]
    return _shortest(value) if isinstance(value, float) else value


def _shortest(value: float) -> float:
    """What has up to six digits and is the same float32; a number that nobody wrote stays as it is."""
    if not _is_float32(value):
        return value
    shorter = (float(f"{value:.{digits}g}") for digits in range(1, 7))
    return next((short for short in shorter if _float32(short) == value), value)


def _is_float32(value: float) -> bool:
    return abs(value) < 3e38 and _float32(value) == value


def _float32(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])

"""Arguments that are not what they must be: one short line each, whatever was given."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

from ltu.errors import Error, ModelFileError

SHOWN = 60  # characters of a value that is shown


def short(value: object) -> str:
    """A value for one line of a message."""
    text = " ".join(repr(value).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def whole(name: str, value: Any, least: int, end: int = 1 << 31) -> int:
    """A whole number, NumPy's too, from `least` to below `end`. Raises Error."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= int(value) < end:
        raise Error(f"{name} is {short(value)}; give a whole number from {least} to {end - 1}")
    return int(value)


def at_most(table: object, **limits: int) -> None:
    """Raises ValueError naming the first field above its limit: what no machine could hold or end."""
    for name, most in limits.items():
        if (value := getattr(table, name)) > most:
            raise ValueError(f"{name}: {short(value)} is more than {most}")


def flag(name: str, value: object) -> bool:
    """True or False. Raises Error."""
    if not isinstance(value, bool):
        raise Error(f"{name} is {short(value)}; give True or False")
    return value


def is_real(value: object) -> bool:
    """Whether it is a number, NumPy's too; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def text(name: str, value: object, error: type[Error] = Error) -> str:
    """A text. Raises `error`."""
    if not isinstance(value, str):
        raise error(f"{name} is {short(value)}; give text, a str")
    return value


def unicode(name: str, value: object) -> str:
    """A text without halves of characters, as Python makes of bytes that are no UTF-8. Raises Error."""
    given = text(name, value)
    try:
        given.encode()
    except UnicodeEncodeError:
        raise Error(f"{name} {short(value)} holds what is no Unicode character; write it in UTF-8") from None
    return given


def path(name: str, value: object) -> str:
    """A path that the engine can open. Raises Error for what is none; NUL would end it."""
    given = os.fsdecode(value) if isinstance(value, os.PathLike | bytes) else text(name, value)
    if not given:
        raise Error(f"{name} is empty; give a path")
    if "\0" in given:
        raise Error(f"{name} {short(given)} holds a NUL; give a path")
    try:
        os.fsencode(given)
    except UnicodeEncodeError:
        raise Error(f"{name} {short(given)} holds half a character; give a path") from None
    return given


@contextmanager
def path_bytes(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """A path as the system has it, which the engine takes, and around it a translation of what it raises:
    a message with a name that is no UTF-8 doesn't come through otherwise. Raises ModelFileError."""
    try:
        yield os.fsencode(path)
    except UnicodeDecodeError as error:
        raise ModelFileError(os.fsdecode(error.object)) from None


def texts(name: str, values: Any) -> tuple[str, ...]:
    """Several texts; one alone is a mistake, not a list of its letters. Raises Error."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise Error(f"{name} are {short(values)}; give a list of texts")
    return tuple(text(f"one of {name}", value) for value in values)

"""Standard input, output and error, as odd shells, terminals and libraries leave them."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper


def prepare_streams() -> None:
    """Streams that were closed lead nowhere, and characters that a stream can't encode are replaced."""
    for name, mode, errors in (
        ("stdin", "r", "surrogateescape"),
        ("stdout", "w", "replace"),
        ("stderr", "w", None),
    ):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
        elif errors and isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=errors)


def drop_output() -> None:
    """Nothing more can be written, or the interpreter would complain when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def silenced_libraries() -> Iterator[None]:
    """Drops what libraries in C write on standard error: libmpg123 has a note for each damaged frame."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)

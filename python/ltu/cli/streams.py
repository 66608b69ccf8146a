"""Standard input, output and error, as odd shells, terminals and libraries leave them."""

import os
import sys
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

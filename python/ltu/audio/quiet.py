"""What libraries in C write on standard error is held back: libmpg123 has notes of its own on damaged MP3."""

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

STDERR = 2
NOTES = re.compile(rb"(?:Note: |Warning: |\[[^\]]*libmpg123[^\]]*\] ).*")


class _Held:
    """Standard error while MP3 files are decoded, in any number of threads: the last one gives back what
    others have written meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._stderr = -1
        self._said: BinaryIO | None = None

    def begin(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._redirect()

    def end(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._said is not None:
                os.dup2(self._stderr, STDERR)
                self._give_back(self._said)
                os.close(self._stderr)
                self._said = None

    def _redirect(self) -> None:
        try:
            said = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            self._stderr = os.dup(STDERR)
        except OSError:  # standard error is closed: nothing can be written there
            return
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(said.fileno(), STDERR)
        self._said = said

    def _give_back(self, said: BinaryIO) -> None:
        with said:
            said.seek(0)
            for line in said:
                if line.strip() and not NOTES.match(line):
                    os.write(self._stderr, line)


_held = _Held()


@contextmanager
def without_notes() -> Iterator[None]:
    """Around libmpg123: nothing of it reaches standard error."""
    _held.begin()
    try:
        yield
    finally:
        _held.end()

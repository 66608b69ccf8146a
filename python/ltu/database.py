"""A SQLite file as an interface: one schema, one writer at a time, whole transactions."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ltu.errors import Error


class Database:
    """Reading needs no lock; writing is for whoever holds `writing`.

    `what` names the file in errors, `option` is where the command takes its name.
    """

    def __init__(self, path: Path, schema: str, version: int, what: str, option: str, create: bool) -> None:
        self.path, self._option = path, option
        try:
            self.db = sqlite3.connect(path, isolation_level=None, timeout=30)
            self.db.row_factory = sqlite3.Row
            found = self.db.execute("PRAGMA user_version").fetchone()[0]
            empty = not self.db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        except sqlite3.Error as error:
            raise Error(f"{path}: is not a {what}: {error}") from None
        if empty and create:
            self.db.execute("PRAGMA journal_mode = WAL")
            self.db.executescript(f"BEGIN; {schema} PRAGMA user_version = {version}; COMMIT;")
        elif found != version:
            raise Error(f"{path}: is not a {what} of this version; give another name to {option}")
        self.db.execute("PRAGMA synchronous = NORMAL")  # a power cut costs the last transactions, no more

    def close(self) -> None:
        self.db.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """The right to write, for one process at a time; the system takes it back when a process dies."""
        lock = sqlite3.connect(f"{self.path}.lock", isolation_level=None, timeout=0)
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            raise Error(
                f"{self.path}: {self._writer()} is writing to it; wait for it or use another {self._option}"
            ) from None
        try:
            yield
        finally:
            lock.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self.db.execute("BEGIN IMMEDIATE")
            yield self.db
            self.db.execute("COMMIT")
        except BaseException as error:
            if self.db.in_transaction:  # a full disk ends it by itself
                self.db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise Error(f"{self.path}: cannot be written ({error}); cure that and start again") from error
            raise

    def _writer(self) -> str:
        return "another process"

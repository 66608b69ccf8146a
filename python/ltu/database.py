"""A SQLite file as an interface: one schema, one writer at a time, whole transactions."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ltu.errors import Error
from ltu.files import target, unwritable

# SQLite's messages quote a damaged schema, whose bytes needn't be text for Python's module to decode.
DAMAGE = (sqlite3.Error, UnicodeDecodeError)


class Database:
    """Reading needs no lock; writing is for whoever holds `writing`.

    `what` names the file in errors, `option` is where the command takes its name. With `create` a file that
    is not there is made; without, it is read where nothing can be written, too.
    """

    def __init__(self, path: Path, schema: str, version: int, what: str, option: str, create: bool) -> None:
        self.path, self._option, self._what = path, option, what
        if create:
            target(path)
        try:
            self.db = self._connected(create)
            found = self.db.execute("PRAGMA user_version").fetchone()[0]
            empty = not self.db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if empty and create:
                self.db.execute("PRAGMA journal_mode = WAL")
                self.db.executescript(f"BEGIN; {schema} PRAGMA user_version = {version}; COMMIT;")
                found = version
            self.db.execute("PRAGMA synchronous = NORMAL")  # a power cut costs the last transactions, no more
        except DAMAGE as error:
            if not path.exists():
                raise unwritable(path, FileNotFoundError(2, str(error))) from None
            raise Error(f"{path}: is not a {what}: {_reason(error)}") from None
        if found != version:
            advice = f"give another name to {option}" if create else "check the path"
            raise Error(f"{path}: is {'empty' if empty else f'not a {what} of this version'}; {advice}")

    def _connected(self, create: bool) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, isolation_level=None, timeout=30)
        db.row_factory = sqlite3.Row
        try:
            db.execute("PRAGMA user_version")
            db.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.OperationalError:
            log = self.path.with_name(self.path.name + "-wal")
            if create or (log.exists() and log.stat().st_size):
                raise
            # on a read-only disk SQLite can't make the files beside it, which a whole file does not need
            db.close()
            db = sqlite3.connect(f"file:{quote(str(self.path))}?immutable=1", uri=True, isolation_level=None)
            db.row_factory = sqlite3.Row
        return db

    def close(self) -> None:
        self.db.close()

    def select(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[sqlite3.Row]:
        """All rows of a query. Raises Error for a damaged file."""
        try:
            return self.db.execute(statement, values).fetchall()
        except DAMAGE as error:
            raise self._damaged(error) from None

    def each(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Iterator[sqlite3.Row]:
        """The same, one by one."""
        try:
            yield from self.db.execute(statement, values)
        except DAMAGE as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> Error:
        return Error(
            f"{self.path}: is a damaged {self._what}: {_reason(error)}; take a copy, or save what is left of "
            "it with sqlite3 FILE .recover"
        )

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


def _reason(error: Exception) -> str:
    return "it holds bytes that are no text" if isinstance(error, UnicodeDecodeError) else str(error)

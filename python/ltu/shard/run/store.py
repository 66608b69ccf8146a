"""Results in one SQLite file: docs/shard.md documents the tables, which are an interface.

Everything that is asked stands there before the first answer; a question's answers are written in one
transaction. So a sweep that was killed leaves whole questions, answered or not, and goes on with the rest.
"""

import json
import os
import socket
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltu.database import Database
from ltu.errors import Error
from ltu.query import Distribution

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE runs (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, created REAL NOT NULL,
  model TEXT NOT NULL, model_sha256 TEXT NOT NULL, spec TEXT NOT NULL, spec_sha256 TEXT NOT NULL,
  repeats INTEGER NOT NULL, seed INTEGER NOT NULL, sampling TEXT NOT NULL, max_new_tokens INTEGER NOT NULL,
  selection TEXT NOT NULL, header TEXT NOT NULL, licence TEXT NOT NULL);
CREATE TABLE sessions (
  id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs, started REAL NOT NULL, ended REAL,
  process INTEGER NOT NULL, host TEXT NOT NULL, device TEXT NOT NULL);
CREATE TABLE words (
  run INTEGER NOT NULL REFERENCES runs, label TEXT NOT NULL, row TEXT NOT NULL,
  PRIMARY KEY (run, label)) WITHOUT ROWID;
CREATE TABLE clips (
  run INTEGER NOT NULL REFERENCES runs, id INTEGER NOT NULL, label TEXT NOT NULL, file TEXT NOT NULL,
  recording TEXT NOT NULL, hash TEXT NOT NULL, other INTEGER, seen INTEGER NOT NULL,
  PRIMARY KEY (run, id)) WITHOUT ROWID;
CREATE TABLE questions (
  run INTEGER NOT NULL REFERENCES runs, id INTEGER NOT NULL, base INTEGER NOT NULL, control TEXT NOT NULL,
  clip INTEGER NOT NULL, task TEXT NOT NULL, position TEXT NOT NULL, wording TEXT NOT NULL,
  term TEXT NOT NULL, term_label TEXT NOT NULL, expected INTEGER, tiers TEXT NOT NULL, prompt TEXT NOT NULL,
  clip_seen INTEGER NOT NULL, term_seen INTEGER NOT NULL,
  audio_hash TEXT, finished REAL, seconds REAL,
  p_yes REAL, p_no REAL, p_neither REAL, p_undecided REAL, nodes INTEGER, log_odds REAL,
  PRIMARY KEY (run, id)) WITHOUT ROWID;
CREATE TABLE answers (
  run INTEGER NOT NULL, question INTEGER NOT NULL, repeat INTEGER NOT NULL, text TEXT NOT NULL,
  token_ids TEXT NOT NULL, logprob REAL NOT NULL, stop TEXT NOT NULL,
  PRIMARY KEY (run, question, repeat), FOREIGN KEY (run, question) REFERENCES questions) WITHOUT ROWID;
CREATE TABLE failures (
  run INTEGER NOT NULL REFERENCES runs, clip INTEGER NOT NULL, reason TEXT NOT NULL,
  PRIMARY KEY (run, clip)) WITHOUT ROWID;
"""

RESULT = (
    "UPDATE questions SET audio_hash = ?, finished = ?, seconds = ?, p_yes = ?, p_no = ?, p_neither = ?,"
    " p_undecided = ?, nodes = ?, log_odds = ? WHERE run = ? AND id = ?"
)


@dataclass(frozen=True)
class Asked:
    """A question, or a control of one (`base`), as it stands in the table."""

    id: int
    base: int
    control: str
    clip: int
    task: str
    position: str
    wording: str
    term: str
    term_label: str
    expected: bool | None
    tiers: str
    prompt: str
    clip_seen: bool
    term_seen: bool


@dataclass(frozen=True)
class Answered:
    """What was asked once, for all its questions; a repeat is (text, token ids, logprob, stop)."""

    questions: tuple[int, ...]
    audio_hash: str | None
    finished: float
    seconds: float
    repeats: tuple[tuple[str, tuple[int, ...], float, str], ...]
    exact: tuple[Distribution, ...] = ()  # one for each question; empty: not asked for
    log_odds: float | None = None


def _result(group: Answered, place: int) -> tuple[Any, ...]:
    d = group.exact[place] if group.exact else None
    exact = (d.yes, d.no, d.neither, d.undecided, d.nodes) if d else (None,) * 5
    return (group.audio_hash, group.finished, group.seconds, *exact, group.log_odds)


def is_result_file(path: Path) -> bool:
    """Whether it is one, or something else that is there. Raises Error for a file that is not."""
    if not path.is_file():
        raise Error(f"{path}: no such file")
    with path.open("rb") as file:
        return file.read(15) == b"SQLite format 3"


class Store(Database):
    """One result file."""

    def __init__(self, path: Path, create: bool = False) -> None:
        if not create and not path.is_file():
            raise Error(f"{path}: no such file; make one with ltu-shard run")
        super().__init__(path, SCHEMA, SCHEMA_VERSION, "result file", "--out", create)

    def _writer(self) -> str:
        last = self.select("SELECT process, host FROM sessions ORDER BY id DESC LIMIT 1")
        return f"process {last[0]['process']} on {last[0]['host']}" if last else super()._writer()

    def run_with_key(self, key: str) -> int | None:
        found = self.select("SELECT id FROM runs WHERE key = ?", (key,))
        return int(found[0]["id"]) if found else None

    def add_run(
        self,
        run: dict[str, Any],
        words: Iterable[tuple[str, str]],
        clips: Iterable[Sequence[Any]],
        questions: Iterable[Asked],
    ) -> int:
        """Everything that will be asked, in one transaction. `run` holds the columns of the table."""
        with self.transaction() as db:
            columns = ", ".join(run)
            marks = ", ".join("?" * len(run))
            id = db.execute(f"INSERT INTO runs ({columns}) VALUES ({marks})", tuple(run.values())).lastrowid
            assert id is not None
            db.executemany(f"INSERT INTO words VALUES ({id}, ?, ?)", words)
            db.executemany(f"INSERT INTO clips VALUES ({id}, ?, ?, ?, ?, ?, ?, ?)", clips)
            rows = (tuple(vars(question).values()) for question in questions)
            marks = ", ".join("?" * len(Asked.__dataclass_fields__))
            db.executemany(f"INSERT INTO questions VALUES ({id}, {marks}{', NULL' * 9})", rows)
        return id

    def start_session(self, run: int, device: dict[str, Any]) -> int:
        """Failures of an earlier session are forgotten: their clips are tried again."""
        with self.transaction() as db:
            db.execute("DELETE FROM failures WHERE run = ?", (run,))
            values = (run, time.time(), os.getpid(), socket.gethostname(), json.dumps(device))
            statement = "INSERT INTO sessions (run, started, process, host, device) VALUES (?, ?, ?, ?, ?)"
            id = db.execute(statement, values).lastrowid
        assert id is not None
        return id

    def end_session(self, session: int) -> None:
        with self.transaction() as db:
            db.execute("UPDATE sessions SET ended = ? WHERE id = ?", (time.time(), session))

    def record(self, run: int, answered: Iterable[Answered], failures: Iterable[tuple[int, str]]) -> None:
        with self.transaction() as db:
            db.executemany(f"INSERT OR REPLACE INTO failures VALUES ({run}, ?, ?)", failures)
            for group in answered:
                for place, question in enumerate(group.questions):
                    db.execute(RESULT, (*_result(group, place), run, question))
                    for repeat, (text, ids, logprob, stop) in enumerate(group.repeats):
                        row = (run, question, repeat, text, json.dumps(ids), logprob, stop)
                        db.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def pending(self, run: int) -> list[Asked]:
        """Questions without answers."""
        return self._asked("SELECT * FROM questions WHERE run = ? AND finished IS NULL ORDER BY id", run)

    def questions(self, run: int) -> list[Asked]:
        return self._asked("SELECT * FROM questions WHERE run = ? ORDER BY id", run)

    def _asked(self, select: str, run: int) -> list[Asked]:
        names = tuple(Asked.__dataclass_fields__)
        rows = self.each(select, (run,))
        asked = [{name: row[name] for name in names} for row in rows]
        for values in asked:
            values["expected"] = None if values["expected"] is None else bool(values["expected"])
            values["clip_seen"], values["term_seen"] = bool(values["clip_seen"]), bool(values["term_seen"])
        return [Asked(**values) for values in asked]

    def measured(self, run: int) -> dict[int, tuple[Distribution | None, float | None]]:
        """Question → its exact probabilities and its log-odds, where they were asked for."""
        columns = "id, p_yes, p_no, p_neither, p_undecided, nodes, log_odds"
        rows = self.each(f"SELECT {columns} FROM questions WHERE run = ?", (run,))
        return {r[0]: (None if r[1] is None else Distribution(*r[1:6]), r[6]) for r in rows}

    def problems(self) -> list[str]:
        """What is broken in the file, one line each."""
        broken = [row[0] for row in self.select("PRAGMA integrity_check") if row[0] != "ok"]
        orphans = self.select("PRAGMA foreign_key_check")
        return broken + [f"a row of {r[0]} refers to a row of {r[2]} that is missing" for r in orphans]

    def rows(self, table: str, run: int) -> list[sqlite3.Row]:
        """All rows of a table of one run: sessions, words, clips, answers or failures, in key order."""
        return self.select(f"SELECT * FROM {table} WHERE run = ?", (run,))

    def runs(self) -> list[sqlite3.Row]:
        """Runs in order, with how many questions each has and how many of them are answered."""
        return self.select(
            "SELECT runs.*, count(q.id) AS asked, count(q.finished) AS answered"
            " FROM runs LEFT JOIN questions q ON q.run = runs.id GROUP BY runs.id ORDER BY runs.id"
        )

    def run(self, id: int | None = None) -> sqlite3.Row:
        """One run, by default the latest. Raises Error."""
        for row in reversed(self.runs()):
            if id is None or row["id"] == id:
                return row
        raise Error(
            f"{self.path}: has no run" + (f" {id}" if id else "") + "; ltu-shard list shows what it has"
        )

"""The progress of the work in one SQLite file, whose tables are an interface (docs/reformulate.md).

Every item stands there before the first request, every answer as soon as it has come. So work that was killed
goes on with what has no answer yet.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ltu.database import Database
from ltu.errors import Error
from ltu.training.reformulate.checks import Verdict
from ltu.training.reformulate.completion import Reply
from ltu.training.reformulate.cost import Tokens
from ltu.training.reformulate.openaqa import Item, Kind
from ltu.training.reformulate.question import Question

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (
  number INTEGER PRIMARY KEY, kind TEXT NOT NULL, instruction TEXT NOT NULL, digest TEXT NOT NULL,
  prompt TEXT, attempts INTEGER NOT NULL DEFAULT 0, batch TEXT);
CREATE TABLE batches (number INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE attempts (
  item INTEGER NOT NULL REFERENCES items, attempt INTEGER NOT NULL, answer TEXT NOT NULL,
  problem TEXT NOT NULL, batch TEXT, model TEXT NOT NULL, input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL, finished REAL NOT NULL, PRIMARY KEY (item, attempt)) WITHOUT ROWID;
"""
ATTEMPT = "INSERT INTO attempts VALUES (?, ?, ?, ?, (SELECT batch FROM items WHERE number = ?), ?, ?, ?, ?)"
PAGE = 1000  # items that are read at a time, so that all of them need not fit into memory


@dataclass(frozen=True)
class Settings:
    """What a later start on the same progress file must repeat."""

    source: str  # the file's name
    bytes: int
    datasets: tuple[str, ...]
    limit: int | None
    seed: int
    by: str  # a model's name, or what stands in its place
    prompts: str  # fingerprint of what the model, or the rules, are told

    def to_json(self) -> dict[str, object]:
        return {**asdict(self), "datasets": list(self.datasets)}


@dataclass(frozen=True)
class Done:
    """An item as it goes into the output; without a prompt, `problem` says why."""

    number: int
    digest: str
    prompt: str | None
    problem: str
    attempts: int


@dataclass(frozen=True)
class Counts:
    """`waiting` items stand in batch files whose results were not read yet; they are not `pending`."""

    items: int
    written: int
    failed: int
    waiting: int

    @property
    def pending(self) -> int:
        return self.items - self.written - self.failed - self.waiting


class Progress(Database):
    """`tries`: how many answers an item may have before it counts as failed."""

    def __init__(self, path: Path, tries: int) -> None:
        super().__init__(path, SCHEMA, SCHEMA_VERSION, "progress file", "--output", create=True)
        self.db.execute("PRAGMA synchronous = FULL")  # an answer was paid for: not even a power cut loses it
        self.tries = tries

    def begin(self, settings: Settings, items: Callable[[], Iterable[Item]]) -> None:
        """Writes all items, or checks that those of an earlier start were chosen in the same way."""
        before = {r["name"]: json.loads(r["value"]) for r in self.select("SELECT * FROM settings")}
        now = settings.to_json()
        for name in before:
            if before[name] != now[name]:
                raise Error(
                    f"{self.path}: was begun with {name} {before[name]}, not {now[name]}; give the same "
                    "options, or another --output"
                )
        if before:
            return
        with self.transaction() as db:
            rows = ((item.number, item.kind, item.instruction, item.digest) for item in items())
            db.executemany("INSERT INTO items (number, kind, instruction, digest) VALUES (?, ?, ?, ?)", rows)
            values = ((name, json.dumps(value)) for name, value in now.items())
            db.executemany("INSERT INTO settings VALUES (?, ?)", values)

    def pending(self) -> Iterator[Question]:
        """In order; what is recorded meanwhile does not disturb the reading."""
        last = 0
        select = (
            "SELECT number, kind, instruction, attempts FROM items WHERE number > ? AND prompt IS NULL"
            " AND attempts < ? AND batch IS NULL ORDER BY number LIMIT ?"
        )
        while page := self.select(select, (last, self.tries, PAGE)):
            for row in page:
                yield self._question(row)
            last = page[-1]["number"]

    def question(self, number: int) -> Question | None:
        """An item without an accepted prompt, in a batch file or not; None: it has one, or is not there."""
        select = "SELECT * FROM items WHERE number = ? AND prompt IS NULL"
        found = self.select(select, (number,))
        return self._question(found[0]) if found else None

    def _question(self, row: Any) -> Question:
        select = "SELECT answer, problem FROM attempts WHERE item = ? ORDER BY attempt"
        refused = self.select(select, (row["number"],)) if row["attempts"] else ()
        return Question(row["number"], row["kind"], row["instruction"], tuple((r[0], r[1]) for r in refused))

    def record(self, answered: Iterable[tuple[Question, Reply, Verdict]]) -> None:
        """Records the next answer to each question."""
        with self.transaction() as db:
            for question, reply, verdict in answered:
                attempt = len(question.refused) + 1
                tokens = (reply.input_tokens, reply.output_tokens)
                values = (question.number, attempt, reply.answer, verdict.problem, question.number)
                db.execute(ATTEMPT, (*values, reply.model, *tokens, time.time()))
                db.execute(
                    "UPDATE items SET prompt = ?, attempts = ?, batch = NULL WHERE number = ?",
                    (verdict.prompt or None, attempt, question.number),
                )

    def batches(self) -> int:
        """The number of batch files that were written."""
        return int(self.select("SELECT count(*) FROM batches")[0][0])

    def wrote(self, batch: str) -> bool:
        return bool(self.select("SELECT 1 FROM batches WHERE name = ?", (batch,)))

    def put_in_batch(self, number: int, name: str, items: Iterable[int]) -> None:
        with self.transaction() as db:
            db.execute("INSERT INTO batches VALUES (?, ?)", (number, name))
            values = ((name, item) for item in items)
            db.executemany("UPDATE items SET batch = ? WHERE number = ?", values)

    def take_from_batch(self, name: str, item: int) -> int:
        """Lets the item be asked again if it waits in that file; returns how many items that are (0 or 1)."""
        update = "UPDATE items SET batch = NULL WHERE number = ? AND batch = ?"
        with self.transaction() as db:
            return db.execute(update, (item, name)).rowcount

    def forget_batches(self) -> None:
        """All items may be asked again."""
        with self.transaction() as db:
            db.execute("UPDATE items SET batch = NULL")

    def counts(self) -> Counts:
        select = (
            "SELECT count(*), count(prompt), coalesce(sum(prompt IS NULL AND attempts >= ?), 0), count(batch)"
            " FROM items"
        )
        return Counts(*self.select(select, (self.tries,))[0])

    def work(self) -> list[tuple[Kind, int, int]]:
        """Pending questions by kind: (kind, questions, characters of the questions)."""
        select = (
            "SELECT kind, count(*), sum(length(instruction)) FROM items WHERE prompt IS NULL AND attempts < ?"
            " AND batch IS NULL GROUP BY kind ORDER BY kind"
        )
        return [(row[0], row[1], row[2]) for row in self.select(select, (self.tries,))]

    def done(self) -> Iterator[Done]:
        """All items in order, those that failed with the last reason."""
        rows = self.each(
            "SELECT number, digest, prompt, coalesce(a.problem, ''), items.attempts FROM items"
            " LEFT JOIN attempts a ON a.item = number AND a.attempt = items.attempts ORDER BY number"
        )
        return (Done(*row) for row in rows)

    def tokens(self, batched: bool) -> Tokens:
        """Tokens of the answers that came from batch files, or of those that were asked for directly."""
        select = (
            "SELECT coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0) FROM attempts"
            " WHERE (batch IS NOT NULL) = ?"
        )
        return Tokens(*self.select(select, (batched,))[0])

    def models(self) -> list[str]:
        """Names of the models that answered, as the server calls them."""
        return [row[0] for row in self.select("SELECT DISTINCT model FROM attempts WHERE model != ''")]

    def validity(self) -> dict[Kind, tuple[int, int, int]]:
        """Kind → (items, accepted at the first try, accepted)."""
        rows = self.each(
            "SELECT kind, count(*), coalesce(sum(prompt IS NOT NULL AND attempts = 1), 0), count(prompt)"
            " FROM items GROUP BY kind"
        )
        return {row[0]: (row[1], row[2], row[3]) for row in rows}

    def problems(self) -> list[tuple[str, int]]:
        """Why answers were refused, the most frequent first."""
        rows = self.each(
            "SELECT problem, count(*) FROM attempts WHERE problem != '' GROUP BY problem ORDER BY 2 DESC, 1"
        )
        return [(row[0], row[1]) for row in rows]

"""What contradicts itself in a result file: nothing after a killed sweep; a damaged or edited file has it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ltu.errors import Error
from ltu.shard.run.store import Store
from ltu.shard.spec.relations import relations_of
from ltu.shard.spec.words import Word
from ltu.text_files import parse_json

# (what is wrong, questions that have it); :run and :repeats are the run's
QUESTIONS = (
    ("no clip of theirs", "clip NOT IN (SELECT id FROM clips WHERE run = :run)"),
    (
        "a term of no word",
        "term_label != '' AND term_label NOT IN (SELECT label FROM words WHERE run = :run)",
    ),
    (
        "other answers than the run's repeats, each once",
        "finished IS NOT NULL AND id NOT IN (SELECT question FROM answers WHERE run = :run GROUP BY question"
        " HAVING count(*) = :repeats AND min(repeat) = 0 AND max(repeat) = :repeats - 1)",
    ),
    (
        "answers and are not finished",
        "finished IS NULL AND id IN (SELECT question FROM answers WHERE run = :run)",
    ),
)
DOCUMENTS = ("sampling", "selection", "header")
KINDS = {  # declared type → what may stand there: SQLite itself takes anything anywhere
    "INTEGER": ("integer", "null"),
    "REAL": ("real", "integer", "null"),
    "TEXT": ("text", "null"),
}
TABLES = {"runs": "id", "words": "run", "clips": "run", "questions": "run", "answers": "run"}


def contradictions(store: Store, row: Mapping[str, Any]) -> Iterator[str]:
    """One line for each kind of what is wrong with a run, `row` of the table of runs."""
    run = row["id"]
    found = list(_other_types(store, run))
    for name in () if found else DOCUMENTS:
        try:
            value = parse_json(row[name], f"run {run}: its {name} is no JSON")
            if not isinstance(value, dict):
                raise Error(f"run {run}: its {name} is no JSON object")
        except Error as error:
            found.append(str(error))
    yield from found
    if found:
        return
    yield from _words_and_clips(store, row)
    for what, condition in QUESTIONS:
        statement = f"SELECT id FROM questions WHERE run = :run AND {condition} ORDER BY id"
        if ids := [r["id"] for r in store.select(statement, {"run": run, "repeats": row["repeats"]})]:
            yield f"run {run}: {len(ids)} questions have {what}, the first: {ids[0]}"


def _other_types(store: Store, run: int) -> Iterator[str]:
    for table, key in TABLES.items():
        for column in store.select(f"PRAGMA table_info({table})"):
            name, kinds = column["name"], KINDS[column["type"]]
            statement = f"SELECT count(*) FROM {table} WHERE {key} = ? AND typeof({name}) NOT IN "
            [[count]] = store.select(f"{statement} ({', '.join('?' * len(kinds))})", (run, *kinds))
            if count:
                yield f"run {run}: {count} rows of {table} have no {column['type']} in {name}"


def _words_and_clips(store: Store, row: Mapping[str, Any]) -> Iterator[str]:
    run = row["id"]
    header = parse_json(row["header"], "")
    tables = {table: store.rows(table, run) for table in ("words", "clips")}
    for table, rows in tables.items():
        expected = (header.get("counts") or {}).get(table, len(rows))
        if len(rows) != expected:
            yield f"run {run}: {len(rows)} of {expected} {table} are there"
    labels = {word["label"] for word in tables["words"]}
    if lost := [clip["id"] for clip in tables["clips"] if clip["label"] not in labels]:
        yield f"run {run}: {len(lost)} clips are of no word, the first: {lost[0]}"
    for word in tables["words"]:
        try:
            Word.from_json(parse_json(word["row"], "no JSON"), relations_of(header))
        except (Error, AttributeError, KeyError, TypeError, ValueError) as error:
            yield f"run {run}: the word {word['label']!r} is of another form: {error}"
            return


def refuse(store: Store, problems: Iterable[str]) -> None:
    """Raises Error that names the first problems, if there are any."""
    if found := list(problems):
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise Error(f"{store.path}: {'; '.join(found[:3])}{more}; take a copy of the file, or run it again")

"""Damaged, edited and read-only result files are read, or one line names them."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from fake import Benchmark
from typer.testing import CliRunner

from ltu.cli.shard import app
from ltu.database import Database
from ltu.errors import Error
from ltu.shard.run.runs import Settings
from ltu.shard.run.session import run
from ltu.shard.run.store import Store

COMMANDS = ["validate", "report", "list"]


@pytest.fixture(scope="module")
def whole(benchmark: Benchmark, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A result file, closed."""
    folder = tmp_path_factory.mktemp("results")
    settings = Settings(repeats=2, limit=40)
    run(benchmark.model(folder / "m.gguf"), benchmark.spec, folder / "r.db", settings, {"kernels": "none"})
    assert not (folder / "r.db-wal").exists(), "all of it is in one file"
    return (folder / "r.db").read_bytes()


def typed(command: str, *arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [command, *map(str, arguments)])
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("DELETE FROM answers WHERE question % 2", "questions have other answers than the run's repeats"),
        ("UPDATE answers SET repeat = repeat + 7", "questions have other answers than the run's repeats"),
        (
            "UPDATE questions SET finished = NULL WHERE id = (SELECT min(id) FROM questions)",
            "1 questions have answers and are not finished",
        ),
        ("DELETE FROM clips WHERE id = 1", "clips are there"),
        ("DELETE FROM words", "0 of 10 words are there"),
        ("UPDATE words SET row = '{}'", "is of another form"),
        ("UPDATE runs SET header = 'no'", "its header is no JSON"),
        ("UPDATE runs SET selection = '[]'", "its selection is no JSON object"),
        (
            "UPDATE questions SET clip = 999 WHERE id = (SELECT min(id) FROM questions)",
            "1 questions have no clip of theirs",
        ),
        ("DROP TABLE answers", "no such table: answers"),
        ("UPDATE answers SET text = x'ff'", "rows of answers have no TEXT in text"),
        ("UPDATE runs SET created = 'yesterday'", "1 rows of runs have no REAL in created"),
    ],
)
def test_what_was_edited_is_found_by_validate_and_named_by_report(
    whole: bytes, tmp_path: Path, change: str, problem: str
) -> None:
    path = tmp_path / "r.db"
    path.write_bytes(whole)
    assert typed("validate", path)[0] == 0
    with sqlite3.connect(path) as db:
        db.execute(change)
    db.close()
    for command in ("validate", "report"):
        code, said = typed(command, path)
        assert (code, said.count("\n")) == (1, 1), said
        assert said.startswith("error: ")
        assert str(path) in said
        assert problem in said
        assert "unexpected" not in said


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 3],
        lambda data: data[:8192] + bytes(8192) + data[16384:],
        lambda data: data[:4096] + b"\xff" * 4096 + data[8192:],
        lambda data: data[:100] + bytes(len(data) - 100),
        lambda data: b"SQLite format 3\0" + bytes(200),
    ],
)
def test_damaged_pages_are_one_line_with_the_files_name(
    whole: bytes, tmp_path: Path, damage: Callable[[bytes], bytes], command: str
) -> None:
    path = tmp_path / "r.db"
    path.write_bytes(damage(whole))
    code, said = typed(command, path)
    assert code in ((0, 1) if command == "list" else (1,))  # the table of runs may be whole
    if code:
        assert said.count("\n") == 1, said
        assert said.startswith("error: ")
        assert str(path) in said
        assert "unexpected" not in said


def test_a_file_on_a_read_only_disk_is_read(
    whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only disk is played by SQLite's message: root may write in read-only folders."""
    path = tmp_path / "r?#.db"
    path.write_bytes(whole)
    connect = sqlite3.connect

    class OnlyImmutable(sqlite3.Connection):
        def execute(self, *arguments: object) -> sqlite3.Cursor:  # type: ignore[override]
            raise sqlite3.OperationalError("attempt to write a readonly database")

    def refusing(database: object, **options: object) -> sqlite3.Connection:
        factory = sqlite3.Connection if "immutable" in str(database) else OnlyImmutable
        return connect(database, factory=factory, **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(sqlite3, "connect", refusing)
    assert len(Store(path).runs()) == 1
    path.with_name(f"{path.name}-wal").write_bytes(b"what was not written back")
    with pytest.raises(Error, match="readonly"):
        Store(path)


def test_a_database_is_not_made_where_no_file_belongs(tmp_path: Path) -> None:
    for path, problem in (
        ("/dev/null", "is a device"),
        ("-", "standard output"),
        (tmp_path, "is a folder"),
        (tmp_path / "none" / "r.db", "there is no folder"),
    ):
        with pytest.raises(Error, match=problem):
            Database(Path(path), "", 1, "result file", "--out", create=True)

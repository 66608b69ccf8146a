"""labels.csv is read however it was saved, and what of it cannot be used is named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
from fake import write_clips
from typer.testing import CliRunner

from ltu.cli.shard import app
from ltu.errors import Error
from ltu.shard.spec.labels_csv import Labelled, read_labels
from ltu.shard.spec.words import shipped_words

PLAIN = "file,fold,label,source\ndog.ogg,1,Dog bark,7\nsea.ogg,4,Sea waves,8\n"
ROWS = [Labelled("dog.ogg", "Dog bark", 1, "7"), Labelled("sea.ogg", "Sea waves", 4, "8")]
CLASSES = ("Dog bark", "Sea waves")


def read(folder: Path, table: str | bytes) -> tuple[list[Labelled], list[str]]:
    """Rows, and what was said without the table's name."""
    (folder / "labels.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    notes: list[str] = []
    rows = read_labels(folder, CLASSES, say=notes.append)
    assert all(note.startswith(f"{folder / 'labels.csv'}: ") for note in notes)
    return rows, [note.removeprefix(f"{folder / 'labels.csv'}: ") for note in notes]


@pytest.mark.parametrize(
    "save",
    [
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
        lambda text: text.replace(",", ";").encode(),
        lambda text: text.replace(",", "\t").encode("utf-16"),
        lambda text: b"sep=;\r\n" + text.replace(",", ";").replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: b"\n" + text.replace("\n", "\n\n").encode(),
        lambda text: text.replace("file,fold,label,source", "File , FOLD,Label, Source ").encode(),
        lambda text: text.replace(",", '","').replace("\n", '"\n"').encode().join((b'"', b"")).rstrip(b'"'),
        lambda text: text.replace("Dog bark", "dog  bark ").replace("Sea waves", "SEA WAVES").encode(),
        lambda text: text.replace(",1,", ",1.0,").encode(),
        lambda text: text.replace("\n", ",,\n").encode(),
        lambda text: (
            text.replace("label,", "label,note,").replace("k,7", "k,é,7").replace("s,8", "s,,8").encode()
        ),
    ],
)
def test_a_table_is_read_however_it_was_saved(save: Callable[[str], bytes], tmp_path: Path) -> None:
    assert read(tmp_path, save(PLAIN)) == (ROWS, [])


def test_an_older_encoding_is_read_and_said(tmp_path: Path) -> None:
    rows, notes = read(tmp_path, (PLAIN + "Tür.ogg,2,Dog bark,9\n").encode("cp1252"))
    assert rows == [*ROWS, Labelled("Tür.ogg", "Dog bark", 2, "9")]
    assert notes == ["is not UTF-8; it was read as Windows-1252"]


@pytest.mark.parametrize(
    ("more", "note"),
    [
        (",,,", "left out, empty: line 4"),
        ("  , ", "left out, empty: line 4"),
        (",1,Dog bark,9", "left out, without file: line 4"),
        ("cat.ogg,1", "left out, without label and source: line 4"),
        ("cat.ogg,one,Dog bark,9", "left out, with a fold that is no whole number: line 4"),
        ("cat.ogg,1,Waves, surf,9", "left out, with more cells than the header: line 4"),
        ("dog.ogg,1,Dog bark,7", "left out, listed more than once, taken once: dog.ogg"),
        ("cat.ogg,1,Cat,9\nmew.ogg,1,Cat,9", "left out, of another class: Cat (2)"),
    ],
)
def test_what_is_left_out_is_named(more: str, note: str, tmp_path: Path) -> None:
    rows, notes = read(tmp_path, PLAIN + more + "\n")
    assert (rows, notes) == (ROWS, [note])


def test_a_file_with_two_labels_holds_neither_alone(tmp_path: Path) -> None:
    rows, notes = read(tmp_path, PLAIN + "dog.ogg,1,Sea waves,7\n")
    assert rows == ROWS[1:]
    assert notes == ["left out, listed twice and not alike: dog.ogg"]


def test_many_are_counted(tmp_path: Path) -> None:
    _, notes = read(tmp_path, PLAIN + "".join(f"{n}.ogg,1,Class {n},9\n" for n in range(40)))
    assert notes == ["left out, of another class: Class 0, Class 1, Class 2, Class 3, Class 4 and 35 more"]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("file,label\na.ogg,Rain\n", r"lacks the columns fold, source; it has file, label"),
        ("", "lacks the columns file, fold, label, source; it is empty"),
        (b"PK\x03\x04\0\0", "is a zip archive or a spreadsheet; unpack it, or save it as text"),
    ],
)
def test_what_is_no_table_is_one_line(table: str | bytes, problem: str, tmp_path: Path) -> None:
    with pytest.raises(Error, match=problem):
        read(tmp_path, table)


def test_what_is_left_out_of_a_spreadsheets_table_is_named(tmp_path: Path) -> None:
    words = [word for word in shipped_words("esc10") if word.dataset_class in (*CLASSES, "Rain")]
    write_clips(tmp_path, words, per_word=5)
    rows = ["\ufefffile;fold;label;source"]
    for word in words:
        rows += [f"{word.word}/{n}.wav;4;{word.dataset_class.upper()};{word.word}{n}" for n in range(5)]
    (tmp_path / "labels.csv").write_text("\n".join([*rows, rows[1], ";;;", "gone.wav;4;Rain;x"]))
    broken = tmp_path / words[0].word / "0.wav"
    broken.write_text("not audio")
    (tmp_path / words[1].word / "1.wav").write_bytes((tmp_path / words[1].word / "0.wav").read_bytes())
    arguments = ["build", "--preset", "esc10", "--clips", tmp_path, "--out", tmp_path / "s.jsonl", "--json"]
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["clips"] == 12, "others were taken in the place of what cannot be read"
    assert "listed more than once, taken once" in done.stderr
    assert "empty: line 18" in done.stderr
    assert str(broken) in "".join(done.stderr.split())
    assert "gone.wav" in done.stderr


def test_one_unreadable_clip_does_not_end_a_build(tmp_path: Path) -> None:
    words = [word for word in shipped_words() if word.word in ("cat", "owl")]
    write_clips(tmp_path, words)
    (tmp_path / "cat" / "0.wav").write_text("not audio")
    soundfile.write(tmp_path / "owl" / "1.wav", soundfile.read(tmp_path / "owl" / "0.wav")[0], 16000, "FLOAT")
    arguments = ["build", "--clips", tmp_path, "--out", tmp_path / "s.jsonl", "--json"]
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["clips"] == 6
    said = done.stderr
    assert "cat/0.wav" in said
    assert "same recording as" in said
    assert "Cat: 3 clips instead of 4" in said

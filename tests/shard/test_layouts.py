"""Recordings are found in whatever layout their folders have."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ltu.errors import Error
from ltu.shard.spec.layouts import from_layouts
from ltu.shard.spec.words import left_out, shipped_words

ESC50 = shipped_words("esc50")


def published(folder: Path) -> Path:
    """As much of ESC-50 as the reader looks at."""
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for fold in (1, 4):
        categories = ("dog", "door_wood_knock", "can_opening", "hand_saw", "yodelling")
        for target, category in enumerate(categories):
            rows += [
                f"{fold}-{fold}00{n}-{take}-{target}.wav,{fold},{target},{category},False,{fold}00{n},{take}"
                for n in (1, 2)
                for take in "AB"
            ]
    (folder / "meta").mkdir()
    (folder / "meta" / "esc50.csv").write_text("\n".join(rows))
    return folder


def per_label(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def test_esc50_is_read_as_it_is_published(tmp_path: Path) -> None:
    notes: list[str] = []
    root, found = from_layouts([published(tmp_path)], ESC50, [4], notes.append)
    assert root == tmp_path
    assert {c.label for c in found} == {"Dog", "Knock", "Sawing"}
    assert {(c.file, c.recording) for c in found if c.label == "Dog"} == {
        (f"audio/4-400{n}-{take}-0.wav", f"400{n}") for n in (1, 2) for take in "AB"
    }
    [note] = notes
    assert note.endswith("left out, of another class: yodelling (8)")
    with pytest.raises(Error, match="choose other --folds"):
        from_layouts([tmp_path], ESC50, [5], notes.append)


@pytest.mark.parametrize(
    "save",
    [
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace(",", ";").replace("\n", "\r\n").encode(),
        lambda text: text.replace(",4,", ",4.0,").encode() + b"\n\n,,,,,,\n",
    ],
)
def test_esc50s_table_is_read_however_it_was_saved(tmp_path: Path, save: Callable[[str], bytes]) -> None:
    expected = from_layouts([published(tmp_path)], ESC50, [4], lambda note: None)
    table = tmp_path / "meta" / "esc50.csv"
    table.write_bytes(save(table.read_text()))
    assert from_layouts([tmp_path], ESC50, [4], lambda note: None) == expected


def test_names_of_hidden_files_and_other_suffixes(tmp_path: Path) -> None:
    files = ("Dog/a.wav", "Dog/._a.wav", "Dog/b.AIFF", "Dog/c.w64", "Dog/notes.txt", "Dog/.DS_Store")
    notes: list[str] = []
    _, found = from_layouts([per_label(tmp_path, *files)], ESC50, (), notes.append)
    assert [c.file for c in found] == ["Dog/a.wav", "Dog/b.AIFF", "Dog/c.w64"]
    assert notes == [f"{tmp_path}: left out, by their names no recordings: Dog/notes.txt"]


def test_several_folders_of_several_layouts_are_one_set(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    per_label(other, "Acoustic guitar/a.wav", "hi_hat/b.flac", "violin/c.ogg", "something/d.wav")
    notes: list[str] = []
    root, found = from_layouts([published(one), other], ESC50, [4], notes.append)
    assert root == tmp_path
    labels = {"Dog", "Knock", "Sawing", "Acoustic guitar", "Hi-hat", "Violin, fiddle"}
    assert {c.label for c in found} == labels
    assert {c.file for c in found if c.label == "Hi-hat"} == {"other/hi_hat/b.flac"}
    assert f"{other}: has a folder per label and no folds; all of its recordings are taken" in notes


def test_esc50s_file_names_say_fold_and_recording_in_folders_too(tmp_path: Path) -> None:
    folder = per_label(tmp_path, *(f"Dog/{fold}-77-{take}-0.wav" for fold in (1, 4) for take in "AB"))
    _, found = from_layouts([folder], ESC50, [4], lambda note: None)
    assert [(c.file, c.recording) for c in found] == [("Dog/4-77-A-0.wav", "77"), ("Dog/4-77-B-0.wav", "77")]


def test_the_words_of_esc50_and_those_left_out_are_its_classes_and_the_instruments() -> None:
    classes = {word.dataset_class for word in ESC50}
    assert len(ESC50) == 53
    assert len(classes | left_out().keys()) == 60
    assert not classes & left_out().keys()

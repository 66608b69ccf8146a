"""Which recordings stand for a word."""

import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ltu.errors import Error
from ltu.shard.spec.clips import (
    Candidate,
    Reader,
    as_on_disk,
    choose,
    from_audioset,
    from_folders,
    from_labels_csv,
)
from ltu.shard.spec.ontology import audioset
from ltu.shard.spec.segments import find_segments
from ltu.shard.spec.words import shipped_words

WORDS = shipped_words()
ESC10 = shipped_words("esc10")


def esc10(folder: Path) -> Path:
    rows = ["file,fold,label,source,take"]
    for fold in (1, 4):
        for label in ("Dog bark", "Rain"):
            rows += [
                f"{fold}-{label}-{take}.ogg,{fold},{label},{fold}{take // 2},{take}" for take in range(6)
            ]
    folder.joinpath("labels.csv").write_text("\n".join(rows))
    return folder


def test_esc10_takes_the_folds_that_are_asked_for(tmp_path: Path) -> None:
    found = from_labels_csv(esc10(tmp_path), ESC10, [4])
    assert {c.file[0] for c in found} == {"4"}
    assert {c.label for c in found} == {"Bark", "Rain"}
    assert len(from_labels_csv(tmp_path, ESC10)) == 24


def test_one_clip_per_recording_while_there_are_enough(tmp_path: Path) -> None:
    found = from_labels_csv(esc10(tmp_path), ESC10, [4])
    for seed in range(10):
        three = choose(found, 3, random.Random(seed))
        assert all(len({c.recording for c in three if c.label == label}) == 3 for label in ("Bark", "Rain"))
        four = choose(found, 4, random.Random(seed))
        assert len(four) == len(set(four)) == 8


def test_a_fold_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(Error, match="choose other --folds"):
        from_labels_csv(esc10(tmp_path), ESC10, [5])
    with pytest.raises(Error, match="no such file"):
        from_labels_csv(tmp_path / "nowhere", ESC10)


def test_folders_may_be_named_after_label_part_or_word(tmp_path: Path) -> None:
    for name in ("Violin, fiddle", "airplane", "owl", "unknown thing"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.wav").touch()
        (tmp_path / name / "notes.txt").touch()
    found = from_folders(tmp_path, WORDS)
    assert {c.label for c in found} == {"Violin, fiddle", "Fixed-wing aircraft, airplane", "Owl"}
    assert len(found) == 3


@pytest.fixture
def segments(tmp_path: Path) -> Path:
    ids = audioset().id
    rows = {
        "aaaaaaaaaaa": ["Dog", "Animal", "Domestic animals, pets"],
        "bbbbbbbbbbb": ["Dog", "Speech"],
        "ccccccccccc": ["Dog"],
        "ddddddddddd": ["Dog", "Bark"],  # more than the word and what stands above it
        "eeeeeeeeeee": ["Owl"],  # no audio
    }
    lines = ["# YTID, start_seconds, end_seconds, positive_labels"]
    lines += [f'{name}, 0.000, 10.000, "{",".join(map(ids, labels))}"' for name, labels in rows.items()]
    (tmp_path / "eval.csv").write_text("\n".join(lines))
    for name in ("Yaaaaaaaaaaa.wav", "bbbbbbbbbbb.flac", "ccccccccccc_30.000.wav", "ddddddddddd.wav"):
        (tmp_path / name).touch()
    return tmp_path / "eval.csv"


def test_a_clip_qualifies_if_its_labels_are_the_word_and_what_stands_above(segments: Path) -> None:
    found = from_audioset(segments.parent, segments, WORDS, None)
    assert found == [
        Candidate("Dog", "Yaaaaaaaaaaa.wav", "aaaaaaaaaaa"),
        Candidate("Dog", "ccccccccccc_30.000.wav", "ccccccccccc"),
    ]


def test_a_label_that_always_carries_a_child_is_read_with_it(tmp_path: Path) -> None:
    """AudioSet's dogs all bark, growl or howl; a child that is a word of its own stays with that word."""
    ids = audioset().id
    rows = {
        "a": ["Dog", "Bark"],
        "b": ["Dog", "Bark", "Speech"],
        "c": ["Dog", "Yip"],
        "d": ["Owl"],
        "e": ["Owl", "Hoot"],
    }
    lines = [f'{name}, 0.000, 10.000, "{",".join(map(ids, labels))}"' for name, labels in rows.items()]
    (tmp_path / "eval.csv").write_text("\n".join(lines))
    found = {each.label: each for each in find_segments(tmp_path / "eval.csv", WORDS)}
    assert (found["Dog"].segments, found["Dog"].with_children, found["Dog"].total) == (("a",), True, 3)
    assert (found["Owl"].segments, found["Owl"].with_children) == (("d",), False)
    assert found["Dog"].besides[0] in ("Speech", "Yip")
    assert found["Rain"].segments == ()


def test_only_clips_checked_by_ear_where_a_list_is_given(segments: Path, tmp_path: Path) -> None:
    reviewed = tmp_path / "reviewed.txt"
    reviewed.write_text("ccccccccccc\nbbbbbbbbbbb\n")
    assert [c.recording for c in from_audioset(tmp_path, segments, WORDS, reviewed)] == ["ccccccccccc"]


def test_a_tables_names_are_found_as_macos_and_windows_spell_them(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "cafe\u0301.wav").touch()
    for name in ("audio/caf\u00e9.wav", "audio\\cafe\u0301.wav", "audio\\caf\u00e9.wav"):
        assert as_on_disk(tmp_path, name) == "audio/cafe\u0301.wav"
    assert as_on_disk(tmp_path, "audio\\gone.wav") == "audio\\gone.wav"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_audiosets_segments_are_read_however_they_were_saved(segments: Path, encoding: str) -> None:
    expected = find_segments(segments, WORDS)
    segments.write_bytes(segments.read_text().encode(encoding))
    assert find_segments(segments, WORDS) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such files")
def test_what_no_specification_can_name_and_pipes_are_left_out_and_said(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 1000))
    soundfile.write(tmp_path / "a.wav", noise[0], 16_000)
    soundfile.write(tmp_path / "b.wav", noise[1], 16_000)
    (tmp_path / "b.wav").rename(tmp_path / "caf\udce9.wav")
    os.mkfifo(tmp_path / "pipe.wav")  # which nobody writes to
    said: list[str] = []
    read = Reader(tmp_path, said.append)
    found = [read(Candidate("Rain", name, name)) for name in ("a.wav", "café.wav", "pipe.wav", "gone.wav")]
    assert [candidate is not None for candidate in found] == [True, False, False, False]
    assert said == [
        "left out: caf\udce9.wav: its name is not UTF-8, which specifications are; rename it",
        f"left out: {tmp_path}/pipe.wav: is no file",
        f"left out: {tmp_path}/gone.wav: no such file; check the path",
    ]


def test_no_folds_are_asked_for_and_none_are_blamed(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,fold,label,source\na.wav,1,Spaceship,1\n")
    with pytest.raises(Error, match=r"no recording of these classes$"):
        from_labels_csv(tmp_path, ESC10)

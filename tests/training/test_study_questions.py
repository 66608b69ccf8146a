"""The study's questions: true of their clips, balanced, reproducible, and without what the benchmark asks."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from ltu.audio import SAMPLE_RATE, Clip
from ltu.errors import Error
from ltu.files import read_json_lines
from ltu.training.demo.properties import OPPOSITE, PROPERTIES, Scale
from ltu.training.demo.questions import terms
from ltu.training.reformulate.openaqa import KINDS, Item
from ltu.training.study.folder import Folder
from ltu.training.study.generate import ASKED_AS, BLOCK, Row, Sound, base_rows, taught_terms, tuning_rows
from ltu.training.study.materials import write_items
from ltu.training.study.split import splits
from ltu.training.study.terms import leaks, refuse_leaks, token_leaks
from ltu.training.study.texts import classes, labels, names

HEARD = [
    ("loud", "continuous"),
    ("quiet", "noisy"),
    ("high-pitched", "tonal"),
    ("low-pitched", "intermittent"),
]
SOUNDS = [Sound(f"{name}-{n}.ogg", name, words) for name in classes() for n, words in enumerate(HEARD)]
BY_FILE = {sound.file: sound for sound in SOUNDS}
BY_TERM = {term.text.lower(): term for term in terms("sounds")}


@pytest.fixture(scope="module", params=range(3))
def base(request: pytest.FixtureRequest) -> tuple[int, list[Row]]:
    number = int(request.param)
    return number, base_rows(SOUNDS, splits()[number], 4000, np.random.default_rng(number))


@pytest.fixture(scope="module")
def tuning() -> list[Row]:
    return tuning_rows(SOUNDS, 10 * BLOCK, np.random.default_rng(0))


def test_a_base_models_items_hold_no_new_term(base: tuple[int, list[Row]]) -> None:
    number, rows = base
    text = "\n".join(f"{row.instruction}\n{row.output}" for row in rows).casefold()
    for term in splits()[number].new_terms:
        assert not re.search(rf"\b{re.escape(term.casefold())}(e?s)?\b", text), term


def test_relations_are_about_taught_words_alone(base: tuple[int, list[Row]]) -> None:
    number, rows = base
    taught = {word.dataset_class for word in splits()[number].taught}
    related = [row for row in rows if "similar to" in row.instruction or "a type of" in row.instruction]
    assert len(related) == pytest.approx(4000 / 3, abs=4)
    assert {BY_FILE[row.audio_id].label for row in related} <= taught


def test_half_are_relations_and_names_a_quarter_labels(base: tuple[int, list[Row]]) -> None:
    _, rows = base
    kinds = Counter(
        "label"
        if row.output.startswith("Labels:")
        else "relation"
        if row.term and row.term not in OPPOSITE
        else "other"
        for row in rows
    )
    assert kinds == {"relation": 2000, "label": 1000, "other": 1000}


def test_every_term_is_true_as_often_as_false(base: tuple[int, list[Row]], tuning: list[Row]) -> None:
    for rows in (base[1], tuning):
        counts = Counter((row.term, row.output.split(",")[0]) for row in rows if row.term)
        for term in {row.term for row in rows if row.term}:
            assert counts[term, "Yes"] == counts[term, "No"], term


def test_answers_are_true_of_their_clips(base: tuple[int, list[Row]], tuning: list[Row]) -> None:
    for row in (*base[1], *tuning):
        sound = BY_FILE[row.audio_id]
        if row.term in OPPOSITE:
            assert (row.term if row.output.startswith("Yes, ") else OPPOSITE[row.term]) in sound.words
        elif row.term:
            of = BY_TERM[row.term]
            assert sound.label in (of.true_of if row.output.startswith("Yes, ") else of.false_of)
        elif row.output.startswith("Labels:"):
            assert row.output == f"Labels: {labels(sound.label)}"
        else:
            assert any(word in row.output.lower() for word in sound.words)


def test_the_wording_alone_says_nothing_about_the_answer() -> None:
    answers: dict[str, Counter[bool]] = {}
    for row in base_rows(SOUNDS, splits()[0], 40_000, np.random.default_rng(2)):
        if row.term:
            answers.setdefault(row.instruction, Counter())[row.output.startswith("Yes")] += 1
    off = [(n[True] - n[False]) / n.total() ** 0.5 for n in answers.values() if n.total() >= 16]
    assert len(off) > 60
    assert np.mean(np.square(off)) < 1.5  # each about N(0, 1)


def test_tuning_items_are_of_openaqas_kinds_a_third_each_wherever_a_block_ends(tuning: list[Row]) -> None:
    for end in (BLOCK, 4 * BLOCK, 10 * BLOCK):
        kinds = Counter(Item(1, dict(row.to_json())).kind for row in tuning[:end])
        assert kinds == dict.fromkeys(KINDS, end // 3)
        answers = Counter(row.output.split(",")[0] for row in tuning[:end] if row.term)
        assert answers["Yes"] == answers["No"]


def test_tuning_items_ask_for_no_relation(tuning: list[Row]) -> None:
    assert not [r for r in tuning if "similar to" in r.instruction or "type of" in r.instruction]


def test_the_same_seed_makes_the_same_questions(tuning: list[Row]) -> None:
    assert tuning_rows(SOUNDS, 10 * BLOCK, np.random.default_rng(0)) == tuning
    assert tuning_rows(SOUNDS, BLOCK, np.random.default_rng(0)) == tuning[:BLOCK]
    assert tuning_rows(SOUNDS, BLOCK, np.random.default_rng(1)) != tuning[:BLOCK]


def test_taught_terms_are_many_and_of_every_kind() -> None:
    for split in splits():
        assert all(len(taught_terms(split, kind)) >= 40 for kind in ASKED_AS)


@pytest.mark.parametrize("text", ["It is a Plane.", "two planes", "PLANE", "a plane-spotter's plane"])
def test_a_leak_is_found_in_any_case_and_number(text: str) -> None:
    assert leaks([text], ("plane", "hound"))


@pytest.mark.parametrize("text", ["an airplane", "planet", "explained"])
def test_part_of_a_word_is_no_leak(text: str) -> None:
    assert not leaks([text], ("plane",))


def test_terms_are_found_by_their_tokens(base_folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(base_folder / "tokenizer.json"))
    assert token_leaks(["is it planes?"], ("plane",), tokenizer) == ["plane"]
    assert token_leaks(["is it a bird?"], ("plane",), tokenizer) == []
    with pytest.raises(Error, match="training texts hold plane"):
        refuse_leaks(["is it a plane?"], ("plane",), tokenizer)


def test_properties_of_sounds_that_have_them() -> None:
    time = np.arange(SAMPLE_RATE * 2) / SAMPLE_RATE
    noise = np.random.default_rng(0).normal(0, 0.3, len(time))
    low, high = (np.sin(2 * np.pi * hertz * time) for hertz in (200, 3000))
    short = np.where(time < 0.3, low, 0)
    made = {
        name: Clip(wave.astype(np.float32), name)
        for name, wave in {
            "low": 0.5 * low,
            "high": 0.5 * high,
            "faint": 0.01 * high,
            "noise": noise,
            "short": short,
        }.items()
    }
    by_word = {p.word: {name: p.measure(clip) for name, clip in made.items()} for p in PROPERTIES}
    assert by_word["loud"]["low"] == pytest.approx(20 * np.log10(0.5 / 2**0.5), abs=0.01)
    assert by_word["loud"]["faint"] < by_word["loud"]["high"]
    assert by_word["continuous"]["short"] < 0.3 < 0.9 < by_word["continuous"]["low"]
    assert by_word["high-pitched"]["low"] < by_word["high-pitched"]["high"]
    assert max(by_word["noisy"][name] for name in ("low", "high")) < by_word["noisy"]["noise"]


def test_a_clip_that_is_neither_loud_nor_quiet_gets_neither_word() -> None:
    clips = [Clip(np.full(SAMPLE_RATE, level, np.float32), "") for level in (0.01, 0.02, 0.1, 0.5, 0.6)]
    words = [{"loud", "quiet"} & set(Scale(clips).words(clip)) for clip in clips]
    assert words == [{"quiet"}, {"quiet"}, set(), {"loud"}, {"loud"}]


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [row for _, row in read_json_lines(path)]


def test_both_versions_have_the_same_items_and_small_is_their_beginning(
    tmp_path: Path, base_folder: Path, tuning: list[Row]
) -> None:
    folder = Folder(tmp_path)
    folder.questions("s").mkdir(parents=True)
    rows = tuning[: 2 * BLOCK]
    write_items(folder, "s", rows, {"large": 2 * BLOCK, "small": BLOCK}, ("plane",), base_folder)
    prepended, interleaved = (
        read_rows(folder.items("s", form, "large")) for form in ("prepended", "interleaved")
    )
    for one, other in zip(prepended, interleaved, strict=True):
        assert {**one, "instruction": ""} == {**other, "instruction": ""}
        assert "[AUDIO]" not in one["instruction"]
        assert other["instruction"].count("[AUDIO]") == 1
    for form, whole in (("prepended", prepended), ("interleaved", interleaved)):
        assert read_rows(folder.items("s", form, "small")) == whole[:BLOCK]
    provenance = json.loads((folder.questions("s") / "interleaved.provenance.json").read_text())
    assert provenance["by"] == "rules, no language model"
    assert folder.questions_done("s").is_file()


def test_items_that_would_tell_what_is_asked_are_not_written(
    tmp_path: Path, base_folder: Path, tuning: list[Row]
) -> None:
    folder, name = Folder(tmp_path), next(row.term for row in tuning if row.term not in (*OPPOSITE, ""))
    assert name in {text.lower() for label in classes() for text in names(label)}
    folder.questions("s").mkdir(parents=True)
    with pytest.raises(Error, match=re.escape(name)):
        write_items(folder, "s", tuning, {"large": len(tuning)}, (name,), base_folder)
    assert not folder.questions_done("s").exists()

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
from ltu.shard.spec.words import shipped_words
from ltu.training.demo.properties import OPPOSITE, PROPERTIES, Scale
from ltu.training.demo.questions import labels_of, terms
from ltu.training.reformulate.openaqa import KINDS, Item
from ltu.training.study.folder import Folder
from ltu.training.study.generate import Row, Sound, generate, names_of
from ltu.training.study.materials import write_questions
from ltu.training.study.terms import asked_terms, benchmark_words, leaks, refuse_leaks, token_leaks

CLASSES = sorted({name for term in terms() for name in term.true_of})
WORDS = [
    ("loud", "continuous"),
    ("quiet", "noisy"),
    ("high-pitched", "tonal"),
    ("low-pitched", "intermittent"),
]
SOUNDS = [Sound(f"{name}-{n}.ogg", name, words) for name in CLASSES for n, words in enumerate(WORDS)]
BY_FILE = {sound.file: sound for sound in SOUNDS}


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [row for _, row in read_json_lines(path)]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return generate(SOUNDS, 30, np.random.default_rng(0))


def texts_of(rows: list[Row]) -> list[str]:
    return [f"{row.instruction}\n{row.output}" for row in rows]


def test_no_text_holds_a_term_of_the_benchmark_in_any_case_or_number(rows: list[Row]) -> None:
    """Independently of the study's own check, which is asked for the same."""
    text = "\n".join([*texts_of(rows), *CLASSES]).casefold()
    for word in benchmark_words():
        for term in word.all_terms:
            for form in (term, f"{term}s", f"{term}es", re.sub("y$", "ies", term)):
                assert not re.search(rf"(?<!\w){re.escape(form.casefold())}(?!\w)", text), form
    assert leaks([text]) == []


def test_no_token_stream_holds_a_term_of_the_benchmark(rows: list[Row], base_folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(base_folder / "tokenizer.json"))
    assert token_leaks(texts_of(rows), tokenizer) == []


@pytest.mark.parametrize("text", ["It is a Vehicle.", "two machines", "A natural sound", "ticking"])
def test_a_leak_is_found_and_refused(text: str, base_folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(base_folder / "tokenizer.json"))
    assert leaks([text])
    with pytest.raises(Error, match="which the benchmark asks about"):
        refuse_leaks([text], tokenizer)
    assert token_leaks([text], tokenizer)
    assert leaks(["crying babies", "vehicular", "sticking"]) == []


def test_the_benchmark_keeps_every_term_that_no_label_holds() -> None:
    labels = " ".join(
        f"{word.label} {labels_of(word.dataset_class)}" for word in shipped_words("esc10")
    ).lower()
    dropped = {t for w in shipped_words("esc10") for t in w.all_terms} - set(asked_terms())
    assert dropped == {"cry", "infant cry", "cock-a-doodle-doo"}
    assert all(term in labels for term in dropped)


def test_every_question_is_true_as_often_as_false(rows: list[Row]) -> None:
    counts = Counter((row.term, row.output.split(",")[0]) for row in rows if row.term)
    for term in {term for term, _ in counts}:
        assert counts[term, "Yes"] == counts[term, "No"] > 0, term


def test_whole_rounds_are_balanced_wherever_they_end() -> None:
    each = [generate(SOUNDS, n, np.random.default_rng(1)) for n in (1, 3)]
    assert each[1][: len(each[0])] == each[0]
    answers = Counter(row.output.split(",")[0] for row in each[0] if row.term)
    assert answers["Yes"] == answers["No"] == 2 * len(CLASSES) + len(OPPOSITE)


def test_the_wording_alone_says_nothing_about_the_answer() -> None:
    answers: dict[str, Counter[bool]] = {}
    for row in generate(SOUNDS, 300, np.random.default_rng(2)):
        if row.term:
            answers.setdefault(row.instruction, Counter())[row.output.startswith("Yes")] += 1
    off = [(n[True] - n[False]) / n.total() ** 0.5 for n in answers.values() if n.total() >= 16]
    assert len(off) > 60
    assert np.mean(np.square(off)) < 1.5  # each about N(0, 1)


def test_answers_are_true_of_their_clips(rows: list[Row]) -> None:
    for row in rows:
        sound = BY_FILE[row.audio_id]
        if row.term in OPPOSITE:
            wanted = row.term if row.output.startswith("Yes, ") else OPPOSITE[row.term]
            assert wanted in sound.words
        elif row.term:
            of = next(t for t in terms() if t.text == row.term)
            assert sound.label in (of.true_of if row.output.startswith("Yes, ") else of.false_of)
        elif row.output.startswith("Labels:"):
            assert row.output == f"Labels: {labels_of(sound.label)}"
        else:
            assert any(word in row.output.lower() for word in sound.words)


def test_the_same_seed_makes_the_same_questions(rows: list[Row]) -> None:
    assert generate(SOUNDS, 30, np.random.default_rng(0)) == rows
    assert generate(SOUNDS, 30, np.random.default_rng(1)) != rows


def test_rows_are_openaqas_and_of_every_kind(rows: list[Row]) -> None:
    assert {Item(1, dict(row.to_json())).kind for row in rows} == set(KINDS)


def test_every_class_has_names() -> None:
    assert all(names_of(name) for name in CLASSES)


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


def test_both_versions_have_the_same_items_and_small_is_their_beginning(
    tmp_path: Path, base_folder: Path
) -> None:
    folder = Folder(tmp_path)
    folder.questions("s").mkdir(parents=True)
    write_questions(folder, "s", SOUNDS, {"large": 2, "small": 1}, base_folder)
    prepended, interleaved = (
        read_rows(folder.items("s", form, "large")) for form in ("prepended", "interleaved")
    )
    for one, other in zip(prepended, interleaved, strict=True):
        assert {**one, "instruction": ""} == {**other, "instruction": ""}
        assert "[AUDIO]" not in one["instruction"]
        assert other["instruction"].count("[AUDIO]") == 1
    for form, whole in (("prepended", prepended), ("interleaved", interleaved)):
        assert read_rows(folder.items("s", form, "small")) == whole[: len(whole) // 2]
    provenance = json.loads((folder.questions("s") / "interleaved.provenance.json").read_text())
    assert provenance["by"] == "rules, no language model"

"""Listeners whose score is known: every figure of their whole report is what it must be."""

import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake import ABOUT, Benchmark, FakeModel

from ltu.query import Query
from ltu.shard.report.document import report
from ltu.shard.run.runs import Settings, prepare
from ltu.shard.run.store import Store
from ltu.shard.run.sweep import sweep
from ltu.shard.score.scored import load_run
from ltu.shard.spec.words import Word, true_terms

Document = dict[str, Any]
Say = Callable[[Word | None, Word | None, str], str]  # heard, told in words, term or "" → answer


def by_term(term: str) -> str:
    return "Yes." if zlib.crc32(term.encode()) % 2 else "No."


def truth(word: Word | None, term: str) -> str:
    if not term:
        return word.label if word else "Nothing"
    return "Yes." if word and term.casefold() in true_terms(word) else "No."


LISTENERS: dict[str, Say] = {
    "deaf": lambda heard, told, term: by_term(term) if term else "Music",
    "perfect": lambda heard, told, term: truth(heard or told, term),
    "evasive": lambda heard, told, term: "It could be.",
    "always yes": lambda heard, told, term: "Yes.",
    "always no": lambda heard, told, term: "No.",
    "label only": lambda heard, told, term: by_term(term) if term else truth(heard, ""),
    "knows": lambda heard, told, term: truth(told, term),
}


class Listener(FakeModel):
    say: Say

    def _speaker(self, query: Query) -> Callable[[Any], str]:
        text = bytes(id for id in query.sequence.ids if id >= 0).decode()
        about = ABOUT.search(text)
        heard = next((self.hears.get(clip.hash) for clip in query.sequence.clips), None)
        told = re.match("Is (.+?) (?:similar to|a type of) ", text)
        word = None
        if not query.sequence.clips and told:
            word = next((w for w in self.hears.values() if w.word == told[1]), None)
        said = type(self).say(heard, word, about[1] if about else "")
        return lambda _: said


@pytest.fixture(scope="module")
def documents(benchmark: Benchmark, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Document]:
    """The report of each listener, asked with all controls."""
    folder = tmp_path_factory.mktemp("listeners")
    return {name: heard(benchmark, folder / f"{at}.db", name) for at, name in enumerate(LISTENERS)}


def heard(benchmark: Benchmark, path: Path, name: str, **settings: Any) -> Document:
    kind = type("Kind", (Listener,), {"say": staticmethod(LISTENERS[name])})
    model = kind(path.with_suffix(".gguf"), benchmark.hears)
    store = Store(path, create=True)
    with store.writing():
        asked = Settings(**{"repeats": 1, "controls": True, **settings})
        id = prepare(store, benchmark.spec, model, benchmark.folder, asked)
        sweep(model, store, id, lambda count: None, {})
    run = load_run(store)
    store.close()
    return report(run).to_json()


def rows(document: Document, *parts: str) -> Iterator[Document]:
    found = [r for r in document["conditions"] if r["part"] in parts and r["reading"] == "careful"]
    assert found
    return iter(found)


def shown(figure: dict[str, float | None]) -> float | None:
    return figure["value"]


DOES_NOT_LISTEN = ("deaf", "always yes", "always no", "label only", "knows")


@pytest.mark.parametrize("name", DOES_NOT_LISTEN)
def test_who_does_not_listen_has_no_j_anywhere(documents: dict[str, Document], name: str) -> None:
    document = documents[name]
    for row in rows(document, "all", "distance", "baseline", "control"):
        if (name, row["name"]) != ("knows", "word"):
            assert row["figures"]["j"]["value"] == pytest.approx(0, abs=1e-12), row
    inside = [r for r in rows(document, "distance") if "," in r["name"]]
    assert {(r["task"], r["name"]) for r in inside} == {("synonym", "branch, anthrophony")}, "of five words"
    assert all(r["balanced"] for r in inside)
    for row in rows(document, "group", "seen"):
        j = row["figures"]["j"]["value"]
        assert j == pytest.approx(0, abs=1e-12) if row["balanced"] else j is None, row
        assert row["over_noise"]["value"] == pytest.approx(0, abs=1e-12), row
    for row in document["given_named"]:
        assert row["over_noise"]["value"] == pytest.approx(0, abs=1e-12), row
    for row in document["audio_use"]:
        assert row["difference"]["value"] == pytest.approx(0, abs=1e-12), row
    for row in document["words"]:
        assert "j" not in row
        assert (row["recall"], row["specificity"]) == (row["noise_recall"], row["noise_specificity"])
    for row in document["comparisons"]:
        assert row["difference"]["value"] == pytest.approx(0, abs=1e-12), row


def test_the_perfect_listener_has_all_of_it(documents: dict[str, Document]) -> None:
    document = documents["perfect"]
    for row in rows(document, "all", "distance"):
        figures = {name: shown(figure) for name, figure in row["figures"].items()}
        for name in ("j", "accuracy", "precision", "recall", "f1", "specificity", "auroc"):
            assert figures[name] == 1, (row["task"], name)
        assert figures["unparsed"] == figures["within_question_variance"] == 0
        assert row["figures"]["j"]["low"] < row["figures"]["j"]["high"] == 1
    for row in rows(document, "control"):
        assert row["figures"]["j"]["value"] == (1 if row["name"] == "word" else 0), row
    for row in rows(document, "group", "seen"):
        assert row["over_noise"]["value"] == row["figures"]["recall"]["value"] == 1
    for row in document["words"]:
        assert (row["recall"], row["specificity"], row["noise_recall"], row["noise_specificity"]) == (
            1,
            1,
            0,
            1,
        )
    for row in document["identity"]:
        assert row["strict"]["value"] == (1 if row["control"] == "" else 0), row
    for row in document["audio_use"]:
        assert row["difference"]["value"] == 1, "another word's clip is one of which no term is true"
    assert [row["errors"] for row in document["errors"]] == [0] * 4
    assert document["readings"]["disagree"] == 0
    assert not any("neither" in note for note in document["notes"])


def test_the_evasive_listener_is_said_to_be_one(documents: dict[str, Document]) -> None:
    document = documents["evasive"]
    for row in rows(document, "all"):
        assert row["figures"]["j"]["value"] == -1
        assert row["figures"]["unparsed"]["value"] == 1
    told = [note for note in document["notes"] if "100 % of the answers are neither" in note]
    assert len(told) == 4
    assert all("J is −1" in note for note in told)


def test_errors_have_the_cause_that_the_listener_has(documents: dict[str, Document]) -> None:
    for row in documents["knows"]["errors"]:
        assert row["shares"] == {"not heard": 1, "not known": 0, "not joined": 0}
    for row in documents["label only"]["errors"]:
        assert row["shares"]["not heard"] == 0
        assert row["shares"]["not known"] + row["shares"]["not joined"] == pytest.approx(1)
    for row in rows(documents["knows"], "control"):
        assert row["figures"]["j"]["value"] == (1 if row["name"] == "word" else 0)
    for row in documents["label only"]["identity"]:
        assert row["strict"]["value"] == (1 if row["control"] == "" else 0)


def test_intervals_stay_inside_what_a_figure_can_be(documents: dict[str, Document]) -> None:
    for name, document in documents.items():
        for row in document["conditions"]:
            for figure, bound in (("j", (-1, 1)), ("recall", (0, 1)), ("unparsed", (0, 1)), ("f1", (0, 1))):
                shown = row["figures"][figure]
                if shown["low"] is not None:
                    assert bound[0] <= shown["low"] <= shown["value"] <= shown["high"] <= bound[1], (
                        name,
                        row,
                    )
                    assert shown["low"] < shown["high"], "of width 0"


def test_without_controls_a_group_has_recall_and_specificity_and_no_j(
    benchmark: Benchmark, tmp_path: Path
) -> None:
    document = heard(benchmark, tmp_path / "r.db", "perfect", controls=False)
    for row in rows(document, "group"):
        assert row["figures"]["j"]["value"] is None
        assert row["over_noise"] is None
        assert row["figures"]["recall"]["value"] == row["figures"]["specificity"]["value"] == 1


def test_a_run_of_one_word_calls_itself_one(benchmark: Benchmark, tmp_path: Path) -> None:
    document = heard(benchmark, tmp_path / "r.db", "perfect", controls=False, words=("Rain",))
    assert (document["run"]["words"], document["run"]["clips"]) == (1, 4)
    assert any(note.startswith("1 word: ") for note in document["notes"])


def test_after_a_failed_clip_all_rows_keep_to_the_same_balanced_questions(
    benchmark: Benchmark, tmp_path: Path
) -> None:
    broken = benchmark.folder / benchmark.spec.clips[5].file
    kept = broken.read_bytes()
    broken.write_bytes(b"")
    try:
        document = heard(benchmark, tmp_path / "r.db", "deaf")
        perfect = heard(benchmark, tmp_path / "p.db", "perfect")
    finally:
        broken.write_bytes(kept)
    for task in ("synonym", "hypernym"):
        mine = [r for r in rows(document, "all", "control") if r["task"] == task and r["name"] != "other"]
        assert len({r["questions"] for r in mine}) == 1
        assert all(r["figures"]["j"]["value"] == pytest.approx(0, abs=1e-12) for r in mine)
        assert all(2 * r["positives"] == r["questions"] > 60 for r in mine)
    assert all(r["figures"]["j"]["value"] == 1 for r in rows(perfect, "all"))
    assert any("1 clip could not be read" in note and "for the balance" in note for note in document["notes"])

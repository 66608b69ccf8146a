"""The source: read item by item, sorted by its form, drawn from in strata."""

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openaqa_rows import items, write_source

from ltu.errors import Error
from ltu.training import json_list
from ltu.training.reformulate import openaqa
from ltu.training.reformulate.openaqa import read_openaqa
from ltu.training.reformulate.subset import Selection, apportion, selected, survey


def numbers(selection: Selection) -> list[int]:
    return [item.number for item in selected(selection, survey(selection))]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_items_are_those_of_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, indent: int | None
) -> None:
    monkeypatch.setattr(json_list, "CHUNK", chunk)
    rows = items(12)
    rows[0]["output"] = 'Labels: "}]" \\ \u2028 😀 {'
    path = tmp_path / "source.json"
    path.write_text(json.dumps(rows, indent=indent, ensure_ascii=chunk == 7), encoding="utf-8")
    found = list(read_openaqa(path))
    assert [item.row for item in found] == rows
    assert [item.number for item in found] == list(range(1, 13))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["cut", "insert"]))
def test_broken_json_is_an_error_wherever_json_says_so(
    tmp_path_factory: pytest.TempPathFactory, place: int, damage: str
) -> None:
    text = json.dumps(items(6))
    place %= len(text)
    text = text[:place] if damage == "cut" else f"{text[:place]}],{text[place:]}"
    path = tmp_path_factory.mktemp("broken") / "source.json"
    path.write_text(text)
    try:
        rows = json.loads(text)
        assert all(field in row for row in rows for field in openaqa.FIELDS)
    except (ValueError, AssertionError):
        with pytest.raises(Error, match=r"source\.json: item"):
            list(read_openaqa(path))
    else:
        assert [item.row for item in read_openaqa(path)] == rows


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "item 1 cannot be read (the file is no JSON list)"),
        ('{"instruction": "a"}', "no JSON list"),
        ("[3]", "item 1 cannot be read (no object)"),
        ('[{"instruction": "a"}]', "item 1 cannot be read (audio_id is missing)"),
        ('[{"instruction": 3}]', "instruction is no text"),
        ("[] []", "text after the end"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "source.json"
    path.write_text(text)
    with pytest.raises(Error) as error:
        list(read_openaqa(path))
    assert words in str(error.value)


def test_bytes_that_are_no_utf8_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "source.json"
    path.write_bytes(b'[{"instruction": "\xff"}]')
    with pytest.raises(Error, match="item 1"):
        list(read_openaqa(path))


def test_a_broken_item_does_not_draw_the_rest_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_list, "CHUNK", 1000)
    monkeypatch.setattr(json_list, "LONGEST", 5000)
    path = tmp_path / "source.json"
    path.write_text('[{"instruction": broken, ' + " " * 1_000_000)
    read = 0
    scanner_more = json_list._Scanner._more

    def counted(scanner: json_list._Scanner) -> bool:
        nonlocal read
        read += 1
        return scanner_more(scanner)

    monkeypatch.setattr(json_list._Scanner, "_more", counted)
    with pytest.raises(Error, match="item 1"):
        list(read_openaqa(path))
    assert read < 10


def test_the_form_of_the_answer_sorts_classifications(source: Path) -> None:
    kinds = [item.kind for item in read_openaqa(source)]
    assert kinds == ["label", "acoustic", "open", None, "label"] * 6


def test_the_papers_datasets_are_taken_by_default(tmp_path: Path) -> None:
    rows = items(30)
    rows[2]["dataset"] = "as_20k"  # an open question: the paper takes only as_strong_train's
    path = write_source(tmp_path / "source.json", rows)
    found = survey(Selection(path))
    assert sum(found.counts.values()) == 17
    assert found.left_out == {"neither a classification nor an open question": 6, "of another dataset": 7}
    assert len(numbers(Selection(path, ("fsd50k",)))) == 6


def test_items_that_cannot_be_asked_or_written_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = items(10)
    rows[0]["instruction"] = " "
    path = tmp_path / "source.json"
    path.write_text(json.dumps(rows).replace("barks", "\\ud83d", 1))
    found = survey(Selection(path))
    assert found.left_out["without a question"] == 1
    assert found.left_out["not valid Unicode"] == 1
    assert found.qualified == 4


def test_a_source_without_a_usable_item_is_an_error(tmp_path: Path) -> None:
    path = write_source(tmp_path / "source.json", [items(5)[4]])
    with pytest.raises(Error, match="--datasets"):
        survey(Selection(path))


@pytest.mark.parametrize(
    ("value", "problem"),
    [("NaN", "holds NaN"), ("-Infinity", "holds -Infinity"), ("9" * 5000, "holds a number of 5000 digits")],
)
def test_what_json_does_not_have_is_named_before_anybody_is_asked(
    tmp_path: Path, value: str, problem: str
) -> None:
    path = write_source(tmp_path / "source.json", items(5))
    path.write_text(path.read_text().replace('"input": ""', f'"input": {value}', 1))
    with pytest.raises(Error, match=rf"item 1 cannot be read \(it {problem}[^\n]*"):
        survey(Selection(path))


def big_source(path: Path, count: int = 1500) -> Path:
    """Uneven strata, shuffled."""
    rows = [row for place, row in enumerate(items(count)) if place % 5 != 0 or place % 4 == 0]
    random.Random(3).shuffle(rows)
    return write_source(path, rows)


def test_a_draw_is_stratified_ordered_and_reproducible(tmp_path: Path) -> None:
    path = big_source(tmp_path / "source.json")
    selection = Selection(path, limit=90, seed=4)
    found = survey(selection)
    chosen = list(selected(selection, found))
    assert len(chosen) == 90
    drawn = Counter((item.kind, item.dataset) for item in chosen)
    for stratum, count in found.counts.items():
        assert abs(drawn[stratum] - 90 * count / found.qualified) < 1
    order = [item.number for item in chosen]
    assert order == sorted(order) == numbers(selection)
    assert order != numbers(Selection(path, limit=90, seed=5))


def test_the_small_draw_lies_within_the_large_one(tmp_path: Path) -> None:
    path = big_source(tmp_path / "source.json")
    smaller: set[int] = set()
    for limit in (1, 2, 7, 90, 400, 10_000):
        larger = set(numbers(Selection(path, limit=limit)))
        assert smaller <= larger
        smaller = larger
    assert smaller == set(numbers(Selection(path)))


def test_every_stratum_is_drawn_from_evenly_over_the_file(tmp_path: Path) -> None:
    path = big_source(tmp_path / "source.json", 6000)
    order = numbers(Selection(path, limit=600))
    half = len(list(read_openaqa(path))) / 2
    assert 240 < sum(number <= half for number in order) < 360  # 5 standard deviations


@given(st.dictionaries(st.sampled_from("abcdefg"), st.integers(1, 60), min_size=1), st.integers(0, 120))
def test_seats_are_given_out_whole_and_none_is_taken_away(counts: dict[str, int], seats: int) -> None:
    strata = {("label", name): count for name, count in counts.items()}
    given_out = apportion(strata, seats)  # type: ignore[arg-type]
    assert sum(given_out.values()) == min(seats, sum(counts.values()))
    assert all(given_out[stratum] <= strata[stratum] for stratum in strata)  # type: ignore[index]
    more = apportion(strata, seats + 1)  # type: ignore[arg-type]
    assert all(given_out[stratum] <= more[stratum] for stratum in more)


PEAK = """
import sys
from pathlib import Path
from ltu.training.reformulate.subset import Selection, selected, survey
if sys.argv[2] == "load":
    import json
    count = len(json.loads(Path(sys.argv[1]).read_text()))
else:
    selection = Selection(Path(sys.argv[1]), limit=1000)
    count = sum(1 for _ in selected(selection, survey(selection)))
status = Path("/proc/self/status").read_text()  # not ru_maxrss, which a child inherits
print(count, status.split("VmHWM:")[1].split()[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    peaks: dict[str, int] = {}
    for name, count, how in (("small", 5_000, ""), ("large", 100_000, ""), ("loaded", 100_000, "load")):
        path = tmp_path / f"{count}.json"
        if not path.exists():
            with path.open("w") as file:
                row = json.dumps({**items(3)[2], "output": "A dog barks. " * 30})
                file.write("[" + ",\n".join([row] * count) + "]")
        run = [sys.executable, "-c", PEAK, str(path), how]
        found, peak = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
        assert int(found) == (count if how else 1000)
        peaks[name] = int(peak)
    assert peaks["large"] - peaks["small"] < 8_000  # kB; the hashes of the larger file are 760 kB
    assert peaks["loaded"] - peaks["small"] > 40_000  # so the measure sees what loading costs

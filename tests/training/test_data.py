"""Clips are read once, items are tokenised to disk, and what is left out is counted."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from training_run import ITEMS, write_run

from ltu import audio
from ltu.audio import load_audio
from ltu.defaults import TEMPLATE
from ltu.errors import Error
from ltu.training.config import DataConfig, read_config
from ltu.training.items import clips as clips_module
from ltu.training.items import data
from ltu.training.items.clips import ROW, read_clips
from ltu.training.items.data import check_files, summary
from ltu.training.items.examples import cut, read_items
from ltu.training.items.inputs import features_of
from ltu.training.items.packing import Example
from ltu.training.items.tokenised import Tokeniser, tokenised
from ltu.training.model.base import load_base
from ltu.training.model.loss import AUDIO_POSITION
from ltu.training.run.train import train

NAMES = [f"{i}.wav" for i in range(4)]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the clips that were read from their files."""
    names: list[str] = []

    def counted(path: Path) -> Any:
        names.append(path.name)
        return load_audio(path)

    monkeypatch.setattr(clips_module, "load_audio", counted)
    return names


def test_clips_are_read_once_and_come_back_in_half_precision(
    recordings: Path, tmp_path: Path, read: list[str]
) -> None:
    read_clips(NAMES[:2], recordings, tmp_path / "cache")
    clips = read_clips(reversed(NAMES), recordings, tmp_path / "cache")
    assert read == ["0.wav", "1.wav", "3.wav", "2.wav"]
    assert clips.bytes == 4 * ROW == (tmp_path / "cache" / "features.f16").stat().st_size
    sounds = features_of(clips)
    for name in NAMES:
        clip = load_audio(recordings / name)
        assert clips.stored[name].hash == clip.hash
        assert clips.stored[name].frames == len(audio.log_mel(clip.waveform))
        assert torch.equal(sounds[name][0], torch.from_numpy(clip.features().astype(np.float16)).float())


def test_a_changed_file_is_read_again_and_a_kill_costs_one_clip(
    recordings: Path, tmp_path: Path, read: list[str]
) -> None:
    cache = tmp_path / "cache"
    read_clips(NAMES[:2], recordings, cache)
    (recordings / "0.wav").write_bytes((recordings / "3.wav").read_bytes())
    changed = read_clips(NAMES[:2], recordings, cache)
    assert changed.stored["0.wav"].hash == load_audio(recordings / "3.wav").hash
    assert read == ["0.wav", "1.wav", "0.wav"]
    index = (cache / "clips.jsonl").read_bytes()
    (cache / "clips.jsonl").write_bytes(index + b'{"name": "2.w')  # killed while it wrote the line
    with (cache / "features.f16").open("ab") as features:
        features.write(b"half of a clip")
    again = read_clips(NAMES[:3], recordings, cache)
    assert read == ["0.wav", "1.wav", "0.wav", "2.wav"]
    for name in NAMES[:3]:
        expected = load_audio(recordings / name).features().astype(np.float16)
        assert np.array_equal(again.features[again.stored[name].row], expected), name


def test_items_with_broken_clips_are_left_out_and_counted(
    recordings: Path, base_folder: Path, read: list[str]
) -> None:
    (recordings / "1.wav").write_text("no sound")
    (recordings / "3.wav").unlink()
    path = write_run(recordings.parent, base_folder, ["lora"], items=ITEMS * 2, data="allow_missing = true")
    trained = train(read_config(path))
    assert trained.data.train.counts.broken == 4
    assert trained.clips == {load_audio(recordings / "0.wav").hash}
    said = "\n".join(summary(trained.data, read_config(path).data))
    assert "8 items about 1 clips" in said
    assert "4 left out: their clips can't be read" in said
    assert "2 broken clips, the first:" in said
    train(read_config(path))
    assert sorted(read) == NAMES

    write_run(recordings.parent, base_folder, ["lora"], items=ITEMS[1:2], data="allow_missing = true")
    unusable = r"items\.jsonl: holds no items that can be used: .*1\.wav: is text, not audio"
    with pytest.raises(Error, match=unusable):
        train(read_config(path))


def test_text_is_cut_at_the_limit_and_audio_is_not_counted() -> None:
    audio = (AUDIO_POSITION,) * 32
    example = Example((0, 5, *audio, 6, 10, 11, 1), 35, ("a",))
    assert cut(example, 6) is example
    assert cut(example, 5) == Example((0, 5, *audio, 6, 10, 11), 35, ("a",))
    assert cut(example, 4) == Example((0, 5, *audio, 6, 10), 35, ("a",))
    assert cut(example, 3) is None  # nothing of the answer


def test_items_on_disk_are_those_of_the_file_and_what_was_cut_is_counted_by_format(
    base_folder: Path, tmp_path: Path
) -> None:
    rows = [
        {"audio_id": "0.wav", "instruction": "Is [AUDIO] a?", "output": "Yes." * n, "term": "a"}
        for n in range(1, 40)
    ]
    rows += [{"audio_id": "1.wav", "instruction": "A?" * 40, "output": "No."}]
    rows += [{"audio_id": "broken.wav", "instruction": "A?", "output": "No."}]
    items = tmp_path / "items.jsonl"
    items.write_text("".join(json.dumps(row) + "\n" for row in rows))
    base = load_base(base_folder)
    tokeniser = Tokeniser(base.tokenizer_json, TEMPLATE, base.bos_id, base.eos_id, limit=100)
    examples, counts = tokenised(items, "digest", {"0.wav", "1.wav"}, [], tokeniser, tmp_path)
    assert (counts.items, counts.broken, counts.clips, counts.terms) == (41, 1, ["0.wav"], ["a"])
    text = [sum(id != AUDIO_POSITION for id in example.ids) for example in examples]
    whole = [len(e.ids) for e in examples if e.ids[-1] == base.eos_id]
    assert max(text) == 100
    assert counts.cut == {"interleaved": 39 - len(whole)}
    assert 10 < len(whole) < 39
    assert counts.left_out == {"prepended": 1}
    assert examples.lengths.tolist() == [len(example.ids) for example in examples]
    assert [example.audio for example in examples] == [("0.wav",)] * 39

    items.unlink()  # a second reading takes them from the cache
    again, _ = tokenised(items, "digest", {"0.wav", "1.wav"}, [], tokeniser, tmp_path)
    assert list(again) == list(examples)


def test_an_item_with_too_few_clips_names_its_line(recordings: Path, base_folder: Path) -> None:
    row = {"audio_id": "0.wav", "instruction": "[AUDIO] or [AUDIO]?", "output": "x"}
    path = write_run(recordings.parent, base_folder, ["lora"], items=[ITEMS[0], row])
    with pytest.raises(Error, match=r"items\.jsonl:2: the prompt holds 2 \[AUDIO\] and there are 1 clips"):
        train(read_config(path))


def test_many_clips_are_read_by_several_processes_with_the_same_bits(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (recordings / "2.wav").write_bytes(b"no audio")
    alone = read_clips(NAMES, recordings, tmp_path / "alone")
    monkeypatch.setattr(clips_module, "POOLED", 1)
    monkeypatch.setattr(clips_module.os, "sched_getaffinity", lambda _: {0, 1})
    pooled = read_clips(NAMES, recordings, tmp_path / "pooled")
    assert (pooled.stored, pooled.broken) == (alone.stored, alone.broken)
    assert list(pooled.broken) == ["2.wav"]
    for name in ("clips.jsonl", "features.f16"):
        assert (tmp_path / "pooled" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


OPENAQA = [
    {
        "instruction": "What is heard?",
        "input": "",
        "audio_id": f"/data/sls/audioset/dave_version/audio/{name}",
        "dataset": "as_20k",
        "task": "open-ended question",
        "output": "A tone.",
    }
    for name in NAMES
]


@pytest.mark.parametrize("indent", [None, 1])
def test_openaqa_as_released_is_read_and_its_absolute_paths_are_mapped(
    tmp_path: Path, indent: int | None
) -> None:
    items = tmp_path / "openaqa.json"
    items.write_text(json.dumps(OPENAQA, indent=indent))
    rows = list(read_items(items, ["/data/", "/data/sls/audioset/dave_version/audio"]))
    assert [row.audio for row in rows] == [(name,) for name in NAMES]
    assert [row.format for row in rows] == ["prepended"] * 4
    assert rows[2].where == f"{items}: item 3"
    items.write_text(json.dumps(OPENAQA)[:-1])
    with pytest.raises(Error, match=r"openaqa\.json: item 5 is not an item with audio_id.*ends too early"):
        list(read_items(items))


def test_missing_clips_are_said_before_anything_is_loaded(recordings: Path, tmp_path: Path) -> None:
    items = tmp_path / "openaqa.json"
    items.write_text(json.dumps(OPENAQA))
    config = DataConfig(items, recordings)
    with pytest.raises(Error, match=r"4 of 4 clips are not there, the first: /data/.*data\.audio_prefixes"):
        check_files(config)
    mapped = replace(config, audio_prefixes=("/data/sls/audioset/dave_version/audio/",))
    check_files(mapped)
    (recordings / "1.wav").unlink()
    with pytest.raises(Error, match=r"1 of 4 clips are not in .*, the first: 1\.wav; .*--allow-missing"):
        check_files(mapped)
    check_files(replace(mapped, allow_missing=True))


def test_features_that_will_not_fit_on_the_disk_are_said_at_once(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = tmp_path / "items.jsonl"
    items.write_text(json.dumps({**OPENAQA[0], "audio_id": NAMES}) + "\n")
    monkeypatch.setattr(data.shutil, "disk_usage", lambda _: SimpleNamespace(free=4 * ROW - 1))
    with pytest.raises(Error, match=r"free some space, or set data\.cache"):
        check_files(DataConfig(items, recordings))
    read_clips(NAMES[:1], recordings, tmp_path / "cache")
    check_files(DataConfig(items, recordings))

"""What would be wrong in silence is said: in items, in the cache, in the numbers, and after the training."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from training_run import ITEMS, write_run
from typer.testing import CliRunner

from ltu import load_audio
from ltu.cli.train import app
from ltu.errors import Error, ModelFileError
from ltu.training.config import DataConfig, read_config
from ltu.training.items.clips import ROW, read_clips
from ltu.training.items.data import check_files
from ltu.training.items.inputs import encoded, features_of
from ltu.training.items.tokenised import Tokeniser, tokenised
from ltu.training.model.base import open_base
from ltu.training.model.encoder import AudioEncoder, EncoderConfig
from ltu.training.run import finish as finish_module
from ltu.training.run.train import train

BAD: list[Any] = [
    {"audio_id": "0.wav", "instruction": "Is this a bird?"},
    {"audio_id": "0.wav", "instruction": "[AUDIO] or [AUDIO]?", "output": "x"},
    {"audio_id": "0.wav", "instruction": "Which?", "input": "Is [AUDIO] a bird?", "output": "x"},
    {"audio_id": "0.wav", "instruction": "Is this a bird?", "output": "\ud83d"},
    ["no", "object"],
]


def run(path: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(path), *options])
    return result.exit_code, result.output


def test_bad_items_are_counted_and_named_up_to_a_limit(
    recordings: Path, base_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = recordings.parent
    path = write_run(folder, base_folder, ["lora"], items=[*ITEMS * 2, *BAD], data="bad_items = 0.5")
    with (folder / "items.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"audio_id": "0.wav", \n')
    trained = train(read_config(path))
    assert trained.data.train.counts.items == 8
    assert [bad.split(":")[1] for bad in trained.data.bad] == ["9", "10", "11", "12", "13", "14"]
    said = capsys.readouterr().err
    assert "6 items left out that can't be used: " in said
    assert said.count("items.jsonl:") == 1 + 3  # the first three
    path.write_text(path.read_text().replace("bad_items = 0.5", "bad_items = 0.4"))
    code, output = run(path)
    assert (code, output.count("\n")) == (1, 1)
    assert "items.jsonl:9: is not an item" in output
    assert "(6 of 14 items)" in output


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\xff\xfeI\x00", "is not an item"),
        (b'{"audio_id": "\xe4"}', "items.jsonl:1: is not UTF-8"),
        (b"", "no items"),
    ],
)
def test_items_that_are_no_text_are_named(
    recordings: Path, base_folder: Path, data: bytes, problem: str
) -> None:
    path = write_run(recordings.parent, base_folder, ["lora"])
    (recordings.parent / "items.jsonl").write_bytes(data)
    code, output = run(path)
    assert (code, output.count("\n")) == (1, 1)
    assert problem in output


def test_a_configuration_is_read_with_a_mark_and_refused_in_another_encoding(
    tmp_path: Path, base_folder: Path
) -> None:
    path = write_run(tmp_path, base_folder, ["lora"])
    text = path.read_text()
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert read_config(path).name == "tiny"
    path.write_bytes(text.replace("tiny llama", "kleines Läma").encode("latin-1"))
    with pytest.raises(Error, match=r"out\.toml:6: is not UTF-8 text"):
        read_config(path)


@pytest.mark.parametrize(
    ("line", "changed", "message"),
    [
        ("dropout = 0.0", "dropout = 2.0", "dropout: must be from 0 to below 1"),
        ("r = 2", "r = 0", "r: must be above 0"),
        ("r = 2", 'r = 2\ntargets = ["lm_head"]', "targets: 'lm_head' can't have LoRA"),
        ("views = 1", "views = 0", "views: must be above 0"),
        ("views = 1", "shared = 0", "shared: must be above 0"),
        ("heads = 2", "heads = 3", "width: 16 must be a multiple of 4 and of heads, 3"),
        ('train = ["lora"]', "train = []", "train: must name some of lora"),
        ("warm_up = 1", "seed = -1", "seed: must be 0 or more"),
        ("warm_up = 1", 'scheduler = "warmup_stable_decay"', "that needs no settings of its own"),
        ("learning_rate = 0.01", "learning_rate = nan", "learning_rate: must be above 0"),
        ("warm_up = 1", "gradient_clipping = -1.0", "gradient_clipping: must be 0 or more"),
    ],
)
def test_settings_that_would_fail_later_are_named_at_once(
    tmp_path: Path, base_folder: Path, line: str, changed: str, message: str
) -> None:
    path = write_run(tmp_path, base_folder, ["lora"])
    assert line in path.read_text()
    path.write_text(path.read_text().replace(line, changed))
    with pytest.raises(Error, match=message):
        read_config(path)


def test_a_cache_that_was_cut_short_is_read_again(recordings: Path, tmp_path: Path) -> None:
    cache, names = tmp_path / "cache", [f"{i}.wav" for i in range(3)]
    read_clips(names, recordings, cache)
    os.truncate(cache / "features.f16", 2 * ROW - 1)
    for _ in range(2):  # and stays whole
        clips = read_clips(names, recordings, cache)
        for name in names:
            expected = load_audio(recordings / name).features().astype(np.float16)
            assert np.array_equal(clips.features[clips.stored[name].row], expected), name


def test_damaged_features_are_one_line_and_not_trained_on(recordings: Path, tmp_path: Path) -> None:
    clips = read_clips(["0.wav", "1.wav"], recordings, tmp_path)
    with (tmp_path / "features.f16").open("r+b") as file:
        file.seek(ROW + 100)
        file.write(b"\xff")
    assert features_of(clips)["0.wav"].shape == (1, 1024, 128)
    with pytest.raises(Error, match=r"features\.f16: the features of 1\.wav are damaged; remove that file"):
        features_of(clips)["1.wav"]
    (tmp_path / "features.f16").unlink()
    clips = read_clips(["0.wav", "1.wav"], recordings, tmp_path)  # as the message says
    expected = load_audio(recordings / "1.wav").features().astype(np.float16)
    assert np.array_equal(features_of(clips)["1.wav"][0].numpy(), expected)


@pytest.mark.parametrize("suffix", ["arrow", "json"])
@pytest.mark.parametrize("share", [0, 0.99, 1])
def test_tokenised_items_that_were_cut_short_or_damaged_are_made_anew(
    tmp_path: Path, base_folder: Path, suffix: str, share: float
) -> None:
    opened = open_base(base_folder)
    tokeniser = Tokeniser(opened.tokenizer_json, "{prompt}", opened.bos_id, opened.eos_id, None)
    items = tmp_path / "items.jsonl"
    rows = ({"audio_id": "", "instruction": f"Is {n} odd?", "output": "Yes."} for n in range(1500))
    items.write_text("".join(json.dumps(row) + "\n" for row in rows))
    whole, counts = tokenised(items, "digest", (), [], tokeniser, tmp_path)
    expected = list(whole)
    (path,) = tmp_path.glob(f"examples-*.{suffix}")
    damaged = path.read_bytes()
    if share < 1:
        os.truncate(path, int(share * len(damaged)))
    else:  # as long as before
        path.write_bytes(damaged[: len(damaged) // 2] + bytes(len(damaged) - len(damaged) // 2))
    again, others = tokenised(items, "digest", (), [], tokeniser, tmp_path)
    assert others == counts
    assert list(again) == expected


@pytest.mark.parametrize("damage", [b"\xe9\n", b"[1]\n", b'{"name": "1.wav"}\n', b"half", b"\0" * 50 + b"\n"])
def test_a_cache_is_believed_up_to_its_first_damaged_line(
    recordings: Path, tmp_path: Path, damage: bytes
) -> None:
    cache, names = tmp_path / "cache", [f"{i}.wav" for i in range(3)]
    read_clips(names, recordings, cache)
    first, _, last = (cache / "clips.jsonl").read_bytes().splitlines(keepends=True)
    (cache / "clips.jsonl").write_bytes(first + damage + last)
    for _ in range(2):
        clips = read_clips(names, recordings, cache)
        for name in names:
            expected = load_audio(recordings / name).features().astype(np.float16)
            assert np.array_equal(clips.features[clips.stored[name].row], expected), name


def test_encoder_outputs_are_computed_anew_for_other_heads_and_after_a_cut(
    recordings: Path, tmp_path: Path
) -> None:
    clips = read_clips(["0.wav"], recordings, tmp_path)
    outputs = []
    for heads in (1, 2):
        torch.manual_seed(0)
        encoder = AudioEncoder(EncoderConfig(16, 32, heads, 1, 0))
        outputs.append(encoded(tmp_path, encoder, clips, 1, 0, None)["0.wav"])
    assert not torch.equal(*outputs)
    for path in tmp_path.glob("encoded-*.f16"):
        os.truncate(path, 10)
    assert torch.equal(encoded(tmp_path, encoder, clips, 1, 0, None)["0.wav"], outputs[1])


def test_damaged_encoder_outputs_are_named(recordings: Path, tmp_path: Path) -> None:
    clips = read_clips(["0.wav", "1.wav"], recordings, tmp_path)
    encoder = AudioEncoder(EncoderConfig(16, 32, 1, 1, 0))
    whole = dict(encoded(tmp_path, encoder, clips, 2, 0, None))
    [path] = tmp_path.glob("encoded-*.f16")
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    again = encoded(tmp_path, encoder, clips, 2, 0, None)
    assert torch.equal(again["1.wav"], whole["1.wav"])
    with pytest.raises(
        Error, match=rf"{path.name}: what the encoder made of 0\.wav is damaged; remove that file"
    ):
        again["0.wav"]


def test_a_run_that_leaves_the_numbers_stops_and_writes_nothing(recordings: Path, base_folder: Path) -> None:
    options = "logging_steps = 1\ngradient_clipping = 0.0"
    path = write_run(recordings.parent, base_folder, ["lora", "projector"], options=options)
    path.write_text(path.read_text().replace("learning_rate = 0.01", "learning_rate = 1e30"))
    code, output = run(path, "--gguf", str(recordings.parent / "m.gguf"))
    assert code == 1
    assert "nothing is written" in output.splitlines()[-1]
    assert not (recordings.parent / "out" / "ltu.safetensors").exists()
    assert not (recordings.parent / "m.gguf").exists()


def test_what_fails_after_training_does_not_cost_the_training(
    recordings: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_run(recordings.parent, base_folder, ["lora"], options="logging_steps = 1")

    def full(*_: object) -> None:
        raise Error("no space is left")

    with monkeypatch.context() as patched:
        patched.setattr(finish_module, "write_text", full)
        code, output = run(path)
    assert (code, output.splitlines()[-1]) == (1, "error: no space is left")
    trained = load_file(recordings.parent / "out" / "ltu.safetensors")
    code, output = run(path)
    assert code == 0
    assert "'loss'" not in output  # no step was made again
    again = load_file(recordings.parent / "out" / "ltu.safetensors")
    assert all(torch.equal(tensor, again[name]) for name, tensor in trained.items())
    assert not list((recordings.parent / "out").glob("checkpoint-*"))


def test_gradients_are_clipped_at_the_configured_norm_and_the_card_says_so(
    recordings: Path, base_folder: Path
) -> None:
    moved = []
    for norm in (1.0, 1e-12):  # Adam's epsilon is 1e-8: what is clipped below it moves nothing
        path = write_run(
            recordings.parent,
            base_folder,
            ["projector"],
            f"out-{norm}",
            options=f"gradient_clipping = {norm}",
        )
        assert run(path)[0] == 0
        [weight] = (
            t
            for n, t in load_file(recordings.parent / f"out-{norm}" / "ltu.safetensors").items()
            if n.endswith("audio_proj.1.bias")
        )
        moved.append(weight.float())
    assert (moved[0] - moved[1]).abs().max() > 1e-3
    card = (recordings.parent / "out-1.0" / "MODEL_CARD.md").read_text()
    for setting in ("gradient_clipping = 1.0", "adam_beta1 = 0.9", "adam_epsilon = 1e-08"):
        assert f"`train.{setting}`" in card


def test_a_checkpoint_whose_lora_counts_otherwise_is_refused(recordings: Path, base_folder: Path) -> None:
    folder = recordings.parent
    train(read_config(write_run(folder, base_folder, ["lora"], "first")))
    path = write_run(folder, base_folder, ["lora"], "second", start="first")
    path.write_text(path.read_text().replace("alpha = 4", "alpha = 8"))
    with pytest.raises(ModelFileError, match=r"ltu\.json: its LoRA counts α / r = 2, this run's 4"):
        train(read_config(path))


def test_a_training_that_loses_most_of_its_items_ends(recordings: Path, base_folder: Path) -> None:
    for name in ("0.wav", "1.wav", "2.wav"):
        (recordings / name).write_text("no sound")
    path = write_run(recordings.parent, base_folder, ["lora"])
    code, output = run(path)
    assert (code, len(output.strip().splitlines())) == (1, 1)  # a bar of older releases leaves an empty line
    assert "3 of 4 items are about clips that can't be read" in output
    assert run(path, "--allow-missing")[0] == 0


def test_a_clip_that_is_reported_on_is_found_by_its_name_before_any_clip_is_read(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items, spec = tmp_path / "items.jsonl", tmp_path / "spec.jsonl"
    items.write_text("".join(json.dumps(item) + "\n" for item in ITEMS))
    hash = load_audio(recordings / "2.wav").hash

    class Clip:
        file = "elsewhere/2.wav"

        def __init__(self, hash: str) -> None:
            self.hash = hash

    class Spec:
        def __init__(self, hash: str) -> None:
            self.clips = (Clip(hash),)

    config = DataConfig(items, recordings, reported=(spec,))
    monkeypatch.setattr("ltu.training.items.data.read_spec", lambda path: Spec(hash))
    with pytest.raises(Error, match=r"2\.wav is clip elsewhere/2\.wav of .*which is reported on"):
        check_files(config)
    monkeypatch.setattr("ltu.training.items.data.read_spec", lambda path: Spec("0" * 64))
    check_files(config)  # the same name for another sound


def test_weights_that_float16_cannot_hold_are_named(recordings: Path, base_folder: Path) -> None:
    folder = recordings.parent
    train(read_config(write_run(folder, base_folder, ["projector"], "first")))
    path = folder / "first" / "ltu.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if name.endswith("audio_proj.1.bias"))
    save_file({**{n: t.float() for n, t in tensors.items()}, name: torch.full((32,), 1e5)}, path)
    with pytest.raises(Error, match=rf"{name} holds what is no number of float16"):
        train(read_config(write_run(folder, base_folder, ["lora"], "second", start="first")))

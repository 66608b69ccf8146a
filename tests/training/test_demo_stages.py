"""The demo model's stages on tiny data: teacher, bank, encoder; killed and started again they go on."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import ltu
from ltu.audio import load_audio, log_mel
from ltu.errors import Error
from ltu.training.demo import bank, distil, made, sounds
from ltu.training.demo.bank import Maker, follow, mix, read_bank, vary
from ltu.training.demo.distil import Recipe
from ltu.training.demo.yamnet import EMBEDDING, SCORES, YAMNet, patches_of, read_onnx
from ltu.training.model.encoder import EncoderConfig

RATE = 16_000
SMALL = EncoderConfig(width=16, mlp=32, heads=2, blocks_a=1, blocks_u=1)
RECIPE = Recipe(steps=4, batch=2, kept=8, last_steps=1, last_kept=12, warm_up=2)


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE).astype(np.float32)


def test_the_teacher_computes_what_its_file_says(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    rng = np.random.default_rng(0)
    shapes = {"w1": (4, 1, 3, 3), "b1": (4,), "w2": (4, 1, 3, 3), "b2": (4,), "w": (5, 4), "b": (5,)}
    values = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    scale, zero = np.float32(0.05), np.int8(0)
    values["w1"] = (np.round(values["w1"] / scale) * scale).astype(np.float32)  # on the 8-bit grid
    nodes = [
        helper.make_node("QuantizeLinear", ["w1", "scale", "zero"], ["w1q"]),
        helper.make_node("DequantizeLinear", ["w1q", "scale", "zero"], ["w1d"]),
        helper.make_node("Conv", ["x", "w1d", "b1"], ["c1"], pads=[0, 0, 1, 1], strides=[2, 2], group=1),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1], strides=[1, 1], group=4),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("GlobalAveragePool", ["r2"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["y"], transB=1),
    ]
    values |= {"scale": np.asarray(scale), "zero": np.asarray(zero)}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 96, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)])
    onnx.save(model, str(tmp_path / "net.onnx"))
    x = rng.normal(size=(2, 96, 64)).astype(np.float32)
    [expected] = ReferenceEvaluator(model).run(None, {"x": x[:, None]})
    logits, embeddings = read_onnx(tmp_path / "net.onnx")(torch.from_numpy(x))
    np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-4, atol=1e-4)
    assert embeddings.shape == (2, 4)


def test_patches_see_a_second_each_and_a_tone_in_its_band() -> None:
    assert patches_of(tone(1000, 0.2)).shape == (1, 96, 64)
    patches = patches_of(tone(1000, 5.0))
    assert patches.shape == (9, 96, 64)
    edges = np.linspace(*1127 * np.log1p(np.array([125.0, 7500.0]) / 700), 66)
    band = np.searchsorted(edges, 1127 * np.log1p(1000 / 700)) - 1
    assert abs(int(patches[0, 40].argmax()) - band) <= 1


def teacher() -> YAMNet:
    torch.manual_seed(0)

    class Bands(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.exp().mean((1, 2), keepdim=True).transpose(1, 3).repeat(1, EMBEDDING // 64, 1, 1)

    return YAMNet([Bands()], nn.Linear(EMBEDDING, SCORES))


@pytest.fixture(scope="module")
def made_bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("bank")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bank, "PIECE", 6)
        maker = Maker([tone(300), tone(2000), tone(5000, 0.4)], [0, 1, 2], folder, 0, teacher())
        for number in (0, 1):
            maker.make(number)
        yield folder


def test_a_bank_holds_what_was_mixed_and_heard(made_bank: Path) -> None:
    read = read_bank(made_bank)
    assert read.labels.shape == (12, 2)
    assert set(read.labels.ravel()) == {0, 1, 2}
    assert np.any(read.share == 1)
    assert np.any(read.share < 1)
    assert read.scores.shape == (12, SCORES)
    assert read.embeddings.shape == (12, bank.MOMENTS, EMBEDDING)
    assert set(read.moments) <= {1, *range(2, bank.MOMENTS + 1)}
    for entry in range(12):
        power = read.power(entry)
        assert power.shape == (read.frames[entry], 128)
        assert np.isfinite(power).all()
    assert len({power.tobytes() for power in map(read.power, range(12))}) == 12


def test_a_piece_follows_from_its_seed_and_number(made_bank: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    Maker([tone(300), tone(2000), tone(5000, 0.4)], [0, 1, 2], tmp_path / "again", 0, teacher()).make(1)
    for name in ("features-001.npy", "heard-001.npz"):
        assert (tmp_path / "again" / name).read_bytes() == (made_bank / name).read_bytes()


def test_variations_and_mixtures_keep_what_they_are_made_of() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        waveform = vary(tone(1000), rng)
        assert np.abs(waveform).max() == pytest.approx(1, abs=1e-5)
        peak = np.abs(np.fft.rfft(waveform)).argmax() / len(waveform) * RATE
        assert 540 < peak < 1830  # three deviations of the speed
    spectrum = np.abs(np.fft.rfft(mix(tone(1000), tone(3000, 0.5), 0.8))) ** 2
    assert spectrum[1000] / spectrum[3000] == pytest.approx(4, rel=0.01)
    behind = mix(tone(1000), made.coloured(RATE, bank.COLOURS, rng), 0.8)
    spectrum = np.abs(np.fft.rfft(behind)) ** 2
    assert spectrum[1000] / spectrum.sum() == pytest.approx(0.8, abs=0.03)


def test_one_sound_follows_another() -> None:
    joined = follow(tone(1000), tone(3000, 0.5), 0.25)
    before, after = (
        np.abs(np.fft.rfft(part)).argmax() / len(part) * RATE for part in np.split(joined, [4000])
    )
    assert (before, after) == (1000, 3000)
    power = [np.mean(part**2) for part in np.split(joined, [4000])]
    assert power[0] == pytest.approx(power[1], rel=0.01)


def trained(folder: Path, work: Path) -> dict[str, Tensor]:
    return distil.distil(read_bank(folder), 3, SMALL, RECIPE, work).state_dict()


def test_an_encoder_learns_on_from_a_finished_one(made_bank: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    weights = trained(made_bank, tmp_path / "first")
    start = tmp_path / "student.safetensors"
    save_file(weights, start)
    still = replace(RECIPE, steps=1, last_steps=0, learning_rate=0.0)
    read = read_bank(made_bank)
    same = distil.distil(read, 3, SMALL, still, tmp_path / "second", start).state_dict()
    assert all(torch.equal(same[name], tensor) for name, tensor in weights.items())
    with pytest.raises(ltu.ModelFileError, match=r"student\.safetensors: labels\.(weight|bias) has shape"):
        distil.distil(read, 4, SMALL, still, tmp_path / "third", start)


def test_an_encoder_that_was_killed_ends_with_the_same_weights(
    made_bank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distil, "CHECKPOINT_SECONDS", 0.0)
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = trained(made_bank, tmp_path / "whole")
    real, calls = distil._loss, 0

    def killed(*arguments: Any) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(distil, "_loss", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(made_bank, tmp_path / "killed")
    monkeypatch.setattr(distil, "_loss", real)
    again = trained(made_bank, tmp_path / "killed")
    assert all(torch.equal(again[name], value) for name, value in whole.items())


def test_patches_are_drawn_from_the_sound_and_some_from_the_padding() -> None:
    features = torch.zeros(2, 1024, 128)
    rng = np.random.default_rng(0)
    keep = distil._draw_patches(features, [512, 100], 60, SMALL, rng)
    assert keep.shape == (2, 60)
    assert all(len(set(row)) == 60 for row in keep.tolist())
    heard = [(row % 64 < columns).float().mean().item() for row, columns in zip(keep, (32, 7), strict=True)]
    assert 0.6 <= heard[0] <= 1
    assert 0.6 <= heard[1] <= 56 / 60


def labels_csv(folder: Path, rows: dict[str, str]) -> None:
    folder.mkdir()
    lines = ["file,fold,label,source,take,audioset,esc10,licence,author,title,url"]
    for file, licence in rows.items():
        soundfile.write(folder / file, tone(500), RATE)
        lines.append(f"{file},{file[0]},Dog,1,A,Dog,Dog bark,{licence},someone,a dog,http://x/1/")
    (folder / "labels.csv").write_text("\n".join(lines))


def test_only_free_recordings_of_the_folds_are_learnt_from(tmp_path: Path) -> None:
    licences = {"1a.wav": "CC0 1.0", "1b.wav": "CC BY 3.0", "1c.wav": "CC BY-NC 3.0", "2.wav": "CC BY"}
    labels_csv(tmp_path / "one", licences | {"1d.wav": "CC Sampling+ 1.0"})
    labels_csv(tmp_path / "other", {"1.wav": "CC BY"})
    found = sounds.read_folds(tmp_path, [1])
    assert [sound.file for sound in found] == ["one/1a.wav", "one/1b.wav", "other/1.wav"]
    assert found[0].clip.hash == load_audio(tmp_path / "one" / "1a.wav").hash
    with pytest.raises(Error, match="free recordings of folds"):
        sounds.read_folds(tmp_path, [5])
    with pytest.raises(Error, match="free recordings of folds"):
        sounds.read_folds(tmp_path, [1], ["Cat"])


def test_unknown_sounds_are_made_and_their_missing_voice_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    for _ in range(4):
        assert np.abs(made.silence(rng)).max() < 0.01 < np.abs(made.noise(rng)).max() <= 1
    monkeypatch.setattr(made, "ESPEAK", "no-such-speech")
    with pytest.raises(Error, match="no-such-speech: not found; install it"):
        made.make_unknown(tmp_path, 1, 0)
    monkeypatch.setattr(made, "speak", lambda path, number: soundfile.write(path, tone(200), RATE))
    labels = [recording.label for recording in made.make_unknown(tmp_path, 2, 0)]
    assert labels == ["Silence", "Silence", "Noise", "Noise", "Speech", "Speech"]


def test_a_recipes_last_steps_see_more_patches(made_bank: Path) -> None:
    batches = distil._Batches(read_bank(made_bank), 3, SMALL, replace(RECIPE, batch=3), 0)
    kept = [keep.shape[1] for _, keep, *_ in batches]
    assert kept == [8, 8, 8, 12]
    _, keep, labels, scores, embeddings, moments, heard = next(iter(batches))
    np.testing.assert_allclose(labels.sum(1), 1, rtol=1e-5)
    assert scores.shape == (3, SCORES)
    assert embeddings.isfinite().all()
    assert moments.shape == (*keep.shape, EMBEDDING)
    assert moments.isfinite().all()
    assert heard.any(1).all()


def test_what_is_heard_at_a_frame_lies_between_the_teachers_moments() -> None:
    """YAMNet's view n shows frames 48 n to 48 n + 96."""
    embeddings = np.zeros((2, bank.MOMENTS, EMBEDDING), np.float16)
    embeddings[0, :, 0] = np.arange(bank.MOMENTS)
    embeddings[1, :, 0] = 3  # heard once
    frames, nothing = np.array([bank.FRAMES, 40]), np.zeros(2, np.float32)
    read = bank.Bank([], frames, np.zeros((2, 2), np.int64), nothing, nothing, embeddings)
    assert read.moments.tolist() == [bank.MOMENTS, 1]
    for seconds in (0.2, 1.0, 2.9, 5.0):  # as often as the teacher hears
        sound = tone(500, seconds)
        assert replace(read, frames=np.array([len(log_mel(sound))])).moments == len(patches_of(sound))
    asked = np.array([0, 48, 72, 96, 100 * 48])
    np.testing.assert_allclose(read.embedding(0, asked)[:, 0], [0, 0, 0.5, 1, bank.MOMENTS - 1])
    np.testing.assert_allclose(read.embedding(1, asked)[:, 0], 3)


def test_a_patch_learns_what_was_heard_when_it_sounded(made_bank: Path) -> None:
    """A bank whose embedding is the number of the moment: patches of a still view learn theirs."""
    read = read_bank(made_bank)
    long = int(np.argmax(read.frames))
    number = np.broadcast_to(np.arange(bank.MOMENTS)[:, None], read.embeddings.shape[1:])
    counted = replace(read, embeddings=np.repeat(number[None], 12, 0).astype(np.float16))
    batches = distil._Batches(counted, 3, SMALL, replace(RECIPE, mixed=0.0), 0)
    rng = np.random.default_rng(1)
    view, _ = batches._view(long, long, 1.0, rng)
    expected = counted.embedding(long, view.moments)[:, 0]
    np.testing.assert_allclose(
        expected, np.clip((view.moments - 48) / 48, 0, read.moments[long] - 1), atol=0.01
    )

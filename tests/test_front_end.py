"""Clips reach the encoder as its model file says: other values give other features, the right ones."""

from pathlib import Path

import numpy as np
import pytest

import ltu
from ltu import _engine
from ltu.audio import Clip, log_mel
from ltu.convert import gguf_file
from ltu.errors import ModelFileError
from ltu.front_end import FrontEnd
from tiny import tiny_gguf

CLIP = Clip(np.random.default_rng(0).normal(0, 0.1, 160_000).astype(np.float32), "noise")


def rewritten(path: Path, output: Path, **changes: object) -> Path:
    file = gguf_file.read(path)
    keys = {f"ltu.audio.{name}": value for name, value in changes.items()}
    gguf_file.write(output, file.keys | keys, file.tensors)
    return output


def test_mean_and_deviation_are_the_files(tmp_path: Path) -> None:
    plain = tiny_gguf(tmp_path / "plain.gguf")
    other = rewritten(plain, tmp_path / "other.gguf", feature_mean=-4.0, feature_std=2.5)
    with ltu.load(plain, device="cpu") as model, ltu.load(other, device="cpu") as changed:
        embeddings, ours = model.encode(CLIP), changed.encode(CLIP)
    normalised = np.zeros((1, 1024, 128), np.float32)
    frames = log_mel(CLIP.waveform)
    normalised[0, : len(frames)] = frames
    normalised = ((normalised.astype(np.float64) + 4) / 2.5).astype(np.float32)
    expected = _engine.Engine(str(other), "cpu").encode(normalised)[0]
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    assert np.abs(ours - embeddings).max() > 0.01


def test_fewer_frames_and_bins_are_computed(tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "small.gguf", frames=512, mels=64)
    with ltu.load(path, device="cpu") as model:
        assert model.encode(CLIP).shape == (16, 64)
        [answer] = model.generate("Is [AUDIO] a bird?", CLIP, max_new_tokens=2)
    assert answer.token_ids
    assert np.array_equal(CLIP.features(FrontEnd(frames=512)), CLIP.features()[:512])


def test_kept_embeddings_are_not_those_of_another_front_end(tmp_path: Path) -> None:
    plain = tiny_gguf(tmp_path / "plain.gguf")
    other = rewritten(plain, tmp_path / "other.gguf", feature_mean=0.0)
    kept = []
    for path in (plain, other):
        with ltu.load(path, device="cpu", embeddings=tmp_path / "kept") as model:
            kept.append(model.encode(CLIP))
    assert np.abs(kept[0] - kept[1]).max() > 0.01


@pytest.mark.parametrize(
    ("key", "value"),
    [("sample_rate", 48_000), ("feature_std", 0.0), ("feature_std", float("nan")), ("feature_mean", "loud")],
)
def test_what_cannot_be_computed_is_named(tmp_path: Path, key: str, value: object) -> None:
    path = rewritten(tiny_gguf(tmp_path / "tiny.gguf"), tmp_path / "m.gguf", **{key: value})
    with pytest.raises(ModelFileError, match=rf"m\.gguf: key ltu\.audio\.{key} is {value!r}, supported is"):
        ltu.load(path, device="cpu")

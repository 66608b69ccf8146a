"""Clips that wait are encoded together, each once, and come out as when they are encoded alone."""

import gc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ltu.audio import Clip
from ltu.audio.features import LTU
from ltu.embeddings import Embeddings


class Encoder:
    """The mean of each clip's features, and how many clips came at once."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        self.batches.append(len(features))
        return np.broadcast_to(features.mean((1, 2))[:, None, None], (len(features), 32, 4)).copy()


def clips(count: int) -> list[Clip]:
    random = np.random.default_rng(0)
    return [Clip(random.normal(0, 0.1, 8000).astype(np.float32), f"{i}") for i in range(count)]


@pytest.mark.parametrize(("at_once", "batches"), [(1, [1] * 7), (3, [3, 3, 1]), (32, [7])])
def test_what_waits_is_encoded_together(at_once: int, batches: list[int]) -> None:
    encoder, alone, seven = Encoder(), Encoder(), clips(7)
    embeddings = Embeddings(encoder, LTU, at_once=at_once)
    embeddings.prepare(seven)
    for clip in seven:
        np.testing.assert_array_equal(embeddings.of(clip), Embeddings(alone, LTU).of(clip))
    embeddings.prepare(seven)
    assert [embeddings.of(clip)[0, 0] for clip in reversed(seven)]
    assert encoder.batches == batches


def test_a_clip_that_nobody_wants_any_more_is_not_encoded() -> None:
    encoder, (first, second) = Encoder(), clips(2)
    embeddings = Embeddings(encoder, LTU, at_once=32)
    embeddings.prepare([first, second])
    del second
    gc.collect()
    embeddings.of(first)
    assert encoder.batches == [1]


def test_a_folder_keeps_each_and_gives_the_same_bits_again(tmp_path: Path) -> None:
    encoder, five = Encoder(), clips(5)
    first = Embeddings(encoder, LTU, tmp_path, at_once=2)
    first.prepare(five)
    made = [first.of(clip) for clip in five]
    again = Embeddings(encoder, LTU, tmp_path, at_once=2)
    again.prepare(five)
    for clip, expected in zip(five, made, strict=True):
        np.testing.assert_array_equal(again.of(clip), expected)
    assert encoder.batches == [2, 2, 1]


@pytest.mark.parametrize("length", [0, 10, 200])
def test_a_file_that_was_cut_short_is_made_anew(tmp_path: Path, length: int) -> None:
    encoder, (clip,) = Encoder(), clips(1)
    made = Embeddings(encoder, LTU, tmp_path).of(clip)
    (path,) = tmp_path.rglob("*.npy")
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    np.testing.assert_array_equal(Embeddings(encoder, LTU, tmp_path).of(clip), made)
    assert path.read_bytes() == whole
    assert encoder.batches == [1, 1]


@pytest.mark.parametrize(
    "stored",
    [
        np.zeros((31, 4), np.float16),
        np.zeros((32, 4), np.float32),
        np.full((32, 4), np.nan, np.float16),
        np.full((32, 4), None),
    ],
    ids=["shape", "type", "NaN", "objects"],
)
def test_a_file_that_holds_something_else_is_made_anew(tmp_path: Path, stored: NDArray[np.generic]) -> None:
    [clip] = clips(1)
    expected = Embeddings(Encoder(), LTU, tmp_path, shape=(32, 4)).of(clip)
    [file] = tmp_path.rglob("*.npy")
    np.save(file, stored)
    encoder = Encoder()
    np.testing.assert_array_equal(Embeddings(encoder, LTU, tmp_path, shape=(32, 4)).of(clip), expected)
    assert encoder.batches == [1]
    assert np.load(file).dtype == np.float16

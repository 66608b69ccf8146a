"""A small benchmark and a model that answers it, both made in memory."""

import random

import pytest
from fake import Benchmark, write_clips

from ltu.shard.spec.build import build
from ltu.shard.spec.clips import choose, from_folders
from ltu.shard.spec.words import shipped_words


@pytest.fixture(scope="session")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    folder = tmp_path_factory.mktemp("clips")
    words = shipped_words("esc10")
    hears = write_clips(folder, words)
    clips = choose(from_folders(folder, words), 4, random.Random(0))
    return Benchmark(folder, build(words, clips, folder, "small"), hears)

"""FT-Small's walk up to its first step: a made file like OpenAQA's, absolute paths, its features, its tokens.

    python bench/full_size.py [--items 40000] [--clips 4000] [--missing 20] [--folder FOLDER]

Items are as OpenAQA has them (one JSON list, absolute audio ids), clips seconds of noise.
Some items are broken and some clips missing, below the limits. What ltu-train says is printed as it is.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from ltu.training.config import read_config
from ltu.training.items.data import check_files, read_data, say, summary
from ltu.training.items.tokenised import Tokeniser

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from tiny import tiny_model

PREFIX = "/data/sls/audioset/dave_version/audio/"
CONFIG = Path(__file__).parent.parent / "training" / "configs" / "ft-small.toml"
SPOILED = 2000  # one of so many items lacks its answer


def make(folder: Path, items: int, clips: int, missing: int) -> None:
    """items.json, development.json and audio/ in the folder."""
    random = np.random.default_rng(0)
    (folder / "audio").mkdir(exist_ok=True)
    for number in range(missing, clips):
        noise = random.normal(0, 0.1, 16_000).astype(np.float32)
        soundfile.write(folder / "audio" / f"{number:06}.flac", noise, 16_000)
    rows = []
    for number in range(items):
        row = {
            "instruction": "Is [AUDIO] a recording of something that moves?"
            if number % 4
            else "What is heard?",
            "input": "",
            "audio_id": f"{PREFIX}{number % clips:06}.flac",
            "dataset": "as_20k",
            "task": "open-ended question",
            "output": "It is a sound " + "and another sound " * (number % 20),
        }
        if number % SPOILED == 1:
            del row["output"]
        rows.append(row)
    (folder / "items.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "development.json").write_text(json.dumps(rows[-100:]), encoding="utf-8")


def walk(folder: Path) -> None:
    config = read_config(CONFIG).data
    config = replace(
        config,
        items=folder / "items.json",
        development=folder / "development.json",
        audio=folder / "audio",
        reported=(),
    )
    keys = tiny_model().keys
    tokeniser = Tokeniser(
        keys["tokenizer.huggingface.json"], "{prompt}\n", 1, 2, config.max_text_tokens and 400
    )
    for what in ("first", "again, from the cache"):
        start = time.perf_counter()
        survey = check_files(config)
        checked = time.perf_counter()
        data = read_data(config, tokeniser, survey)
        read = time.perf_counter()
        say(summary(data, config))
        print(f"{what}: checks {checked - start:.1f} s, clips and tokens {read - checked:.1f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"peak memory {peak:.0f} MB, mapped files included")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=40_000)
    parser.add_argument("--clips", type=int, default=4_000)
    parser.add_argument("--missing", type=int, default=20)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or Path(made)
        make(folder, options.items, options.clips, options.missing)
        walk(folder)


if __name__ == "__main__":
    main()

"""The loss on development items, and what may not be among them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from training_run import ITEMS, write_run
from transformers import TrainerCallback

from ltu.audio import load_audio
from ltu.errors import Error
from ltu.shard.spec.specification import Spec, SpecClip
from ltu.shard.spec.words import Word
from ltu.training.config import read_config
from ltu.training.items.collate import Collator
from ltu.training.run.train import train

DEVELOPMENT = [*ITEMS[1:], {"audio_id": "3.wav", "instruction": "Hm?", "output": "A long answer to it."}]


class Evaluated(TrainerCallback):
    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any, **_: Any) -> None:
        self.losses.append(metrics["eval_loss"])


def write_development(folder: Path) -> str:
    (folder / "dev.jsonl").write_text("".join(json.dumps(item) + "\n" for item in DEVELOPMENT))
    return 'development = "dev.jsonl"'


def test_the_development_loss_is_the_mean_over_all_targets(recordings: Path, base_folder: Path) -> None:
    folder = recordings.parent
    path = write_run(
        folder,
        base_folder,
        ["projector"],
        data=write_development(folder),
        views=2,
        options="eval_steps = 4\nprojector_learning_rate = 0.0",  # the weights stay
    )
    seen = Evaluated()
    trained = train(read_config(path), [seen])
    development = trained.data.development
    assert development is not None
    clips = {name: load_audio(recordings / name) for name in ("1.wav", "2.wav", "3.wav")}
    features = {name: torch.from_numpy(clip.features().copy())[None] for name, clip in clips.items()}
    batch = Collator(features, "features", 0, False, 0)(list(development.groups))
    model = trained.model.eval()
    with torch.no_grad():
        whole = model(**batch).loss.item()
    assert seen.losses == [pytest.approx(whole, rel=1e-3)]  # of batches unequal in targets


def write_spec(path: Path, hash: str) -> None:
    terms = {"synonyms": ("fowl",), "hypernyms": ("animal",)}
    word = Word("Bird", "bird", "biophony", "bird.n.01", "", 1.0, terms)
    Spec({}, (word,), (SpecClip(0, "reported.wav", "Bird", "r", hash),), ()).write(path)


@pytest.mark.parametrize(("clip", "file"), [("3.wav", "dev.jsonl"), ("0.wav", "items.jsonl")])
def test_a_clip_that_is_reported_on_is_refused(
    recordings: Path, base_folder: Path, clip: str, file: str
) -> None:
    folder = recordings.parent
    data = write_development(folder) + '\nreported = ["s.jsonl"]'
    path = write_run(folder, base_folder, ["lora"], data=data, items=ITEMS[:2])
    write_spec(folder / "s.jsonl", load_audio(recordings / clip).hash)
    with pytest.raises(Error, match=rf"{file}: is about clip reported\.wav of .*s\.jsonl, which is"):
        train(read_config(path))
    assert not (folder / "out" / "ltu.safetensors").exists()
    write_spec(folder / "s.jsonl", "0" * 64)
    train(read_config(path))

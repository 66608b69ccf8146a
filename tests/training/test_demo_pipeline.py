"""From an encoder to a card: the demo model's language stages on a tiny base and a tone for each class."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from training_run import TINY_ENCODER

from ltu.audio import load_audio
from ltu.training.config import Source, read_config
from ltu.training.demo import card, evaluate, questions, stages
from ltu.training.demo.log import logged
from ltu.training.demo.report import evaluate as report
from ltu.training.demo.sounds import Sound
from ltu.training.demo.terms import Term
from ltu.training.model.encoder import AudioEncoder
from ltu.training.model.ltu import LoraSizes

DEMO = Path(stages.__file__).parent.parent / "configs" / "demo.toml"
CLASSES = ("Dog", "Rain", "Silence", "Washing machine")  # two known ones, an unknown one, one of no training
TERMS = [
    Term("dog", "name", True, frozenset({"Dog"}), frozenset({"Rain", "Silence"})),
    Term("rain", "name", True, frozenset({"Rain"}), frozenset({"Dog", "Silence"})),
    Term("animal", "hypernym", True, frozenset({"Dog"}), frozenset({"Rain"})),
    Term("hound", "synonym", False, frozenset({"Dog"}), frozenset({"Rain"})),
]


def tones(folder: Path) -> list[Sound]:
    """Two of each class, the first one's author to be named."""
    found = []
    for number, label in enumerate(CLASSES * 2):
        path = folder / f"{number}.wav"
        soundfile.write(path, 0.3 * np.sin(0.05 * (number + 3) * np.arange(4_000)), 16_000)
        licence, author = ("CC BY 3.0", f"author {number}") if number < 2 else ("CC0 1.0", "nobody")
        where = {"esc10": "Dog bark" if label == "Dog" else "", "url": f"https://freesound.org/s/{number}/"}
        found.append(Sound(path.name, label, load_audio(path), licence=licence, author=author, **where))
    return found


def test_language_stages_end_in_a_checkpoint_and_a_card(
    tmp_path: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (questions, evaluate, card):
        monkeypatch.setattr(module, "terms", lambda about: TERMS)
    monkeypatch.setattr(stages, "PAIRS", 2)
    monkeypatch.setattr(stages, "SAME", 1)
    monkeypatch.setattr(stages, "ROUNDS", (stages.Round(1, 1e-3, True), stages.Round(1, 1e-3, False)))
    monkeypatch.setattr(evaluate, "RANDOM_NAMES", 1)
    (tmp_path / "audio").mkdir()
    recordings = tones(tmp_path / "audio")
    trained = [recording for recording in recordings if recording.label != "Washing machine"]
    config = read_config(DEMO)
    config = replace(
        config,
        base=replace(config.base, path=base_folder, source=Source("tiny", "MIT")),
        data=replace(config.data, audio=tmp_path / "audio", cache=tmp_path / "cache", views=1),
        encoder=TINY_ENCODER,
        lora=LoraSizes(r=2, alpha=4),
        train=replace(config.train, checkpoint=tmp_path / "start", precision="float32"),
    )
    torch.manual_seed(0)
    torch.save(AudioEncoder(TINY_ENCODER).state_dict(), tmp_path / "encoder.pt")
    stages.warm_start(trained, config, tmp_path)
    for number in (0, 1):
        folder = tmp_path / f"round-{number}"
        config = replace(
            config,
            data=replace(config.data, items=folder / "items.jsonl"),
            train=replace(config.train, output=folder / "out"),
        )
        with logged(f"language, round {number + 1}", tmp_path):
            stages.learn_language(trained, config, number)
        config = replace(config, train=replace(config.train, checkpoint=folder / "out"))
    with pytest.raises(KeyboardInterrupt), logged("evaluation", tmp_path):
        raise KeyboardInterrupt
    report(trained, recordings, config, tmp_path, torch.device("cpu"))
    out = tmp_path / "round-1" / "out"
    description = json.loads((out / "ltu.json").read_text())
    assert len(description["train_clips"]) == len(trained)
    assert "dog" in description["train_terms"]
    assert "hound" not in description["train_terms"]
    text = (out / "MODEL_CARD.md").read_text()
    assert "author 0 (0); author 1 (1)" in text
    assert "nobody" not in text
    assert re.search(r"\| language, round 2 \| \S+ \| \d+ \| ", text)
    assert re.search(r"\| evaluation \| \S+ \| killed, went on below \| ", text)
    for kind in ("of them ESC-10's", 'unknown sounds of no training: "unknown"'):
        assert f"| {kind} | " in text
    assert "{" not in text

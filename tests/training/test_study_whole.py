"""The whole study, from recordings to a page, on a tiny base, a tiny encoder and a tone for each sound."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from training_run import TINY_ENCODER

from ltu.training.config import Config, Source, read_config
from ltu.training.model.encoder import AudioEncoder
from ltu.training.model.ltu import LoraSizes
from ltu.training.study import ask
from ltu.training.study.__main__ import CONFIGS
from ltu.training.study.folder import Folder
from ltu.training.study.models import TUNED
from ltu.training.study.report import write_report
from ltu.training.study.sizes import Sizes
from ltu.training.study.split import splits
from ltu.training.study.steps import Study, take
from ltu.training.study.work import Work

SIZES = Sizes(True, 1, 2, 48, 48, 24, 24, 1e-3, (1e-3,), 1, 1)


def write_sounds(folder: Path) -> None:
    """A second of a tone for some words of each part of the first split, in each fold."""
    split = splits()[0]
    words = [*split.judged[:3], *split.development[:3], *split.taught[:6]]
    (folder / "tones").mkdir(parents=True)
    rows = ["file,fold,label,source,take,audioset,esc10,licence,author,title,url"]
    for number, word in enumerate(words):
        for fold in (1, 2, 3, 4):
            name = f"{fold}-{number}.wav"
            time = np.arange(8000) / 16_000
            wave = 0.1 * fold * np.sin(2 * np.pi * 150 * (number + 1) * time)
            soundfile.write(folder / "tones" / name, wave, 16_000)
            rows.append(f"{name},{fold},{word.dataset_class},{fold}-{number},A,,,CC0 1.0,,,")
    (folder / "tones" / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def config(name: str, base: Path, sounds: Path) -> Config:
    found = read_config(CONFIGS / "study" / f"{name}.toml")
    return replace(
        found,
        base=replace(found.base, path=base, source=Source("tiny", "MIT")),
        data=replace(found.data, audio=sounds),
        encoder=TINY_ENCODER,
        lora=LoraSizes(r=2, alpha=4),
    )


def test_from_recordings_to_a_page(
    tmp_path: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask, "MOST_TOKENS", 4)
    monkeypatch.setattr(ask, "TERMS", replace(ask.TERMS, node_budget=4))
    sounds, encoder, folder = tmp_path / "sounds", tmp_path / "encoder.pt", Folder(tmp_path / "study")
    write_sounds(sounds)
    torch.manual_seed(0)
    torch.save(AudioEncoder(TINY_ENCODER).state_dict(), encoder)
    base, tuned = (config(name, base_folder, sounds) for name in ("base", "tuned"))
    work = Work(folder, base, tuned, SIZES, sounds, encoder, 1)
    study = Study(folder, SIZES, work)
    take(study.stages())
    written = write_report(folder, study.models(), SIZES, tmp_path / "report")
    table = json.loads(written[0].read_text(encoding="utf-8"))
    assert [row["training"]["model"] for row in table["gates"]] == ["base", "base-again"]  # it knows nothing
    assert {row["verdict"] for row in table["verdicts"]} <= {"not testable", "none"}
    assert table["benchmarks"][0]["words"] == 3
    steps = {row["log"]["model"]: row["log"]["steps"] for row in table["models"]}
    assert steps == {"base-again": steps["base-again"]} | {
        model: 12 if "large" in model or "long" in model else 6 for model in TUNED
    }
    for row in table["models"]:
        log = row["log"]
        assert log["answers_loss"] != log["text_loss"]
    projector = "model.audio_proj.1.weight"
    tensors = [torch_tensors(folder, t.name)[projector] for t in study.models()]
    assert all(torch.equal(tensors[0], other) for other in tensors[1:])  # LoRA alone is tuned
    stamps = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*.safetensors")}
    take(study.stages())  # started again, it finds everything
    assert stamps == {path: path.stat().st_mtime_ns for path in folder.path.rglob("*.safetensors")}


def torch_tensors(folder: Folder, name: str) -> dict[str, torch.Tensor]:
    return load_file(folder.path / name / "ltu.safetensors")

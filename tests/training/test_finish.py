"""What a finished run leaves: adapter, merged model, model card."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from training_run import ITEMS, TINY_ENCODER, write_run
from transformers import LlamaForCausalLM
from typer.testing import CliRunner

import ltu
from ltu.cli.train import app
from ltu.convert import convert, gguf_file
from ltu.hf import LtuForConditionalGeneration, LtuProcessor
from ltu.training.model.base import load_base

KEPT = (  # of what the file says, whichever way it was made
    "ltu.prompt.template",
    "ltu.prompt.bos",
    "ltu.train.clips",
    "ltu.train.terms",
    "general.license",
    "general.finetune",
    "general.base_model.0.name",
    "general.dataset.0.name",
    "general.sampling.penalty_repeat",
    "ltu.sampling.max_new_tokens",
    "tokenizer.ggml.tokens",
    "tokenizer.huggingface.json",
)
IDS = torch.arange(2, 20)[None]


@pytest.fixture
def finished(recordings: Path, base_folder: Path) -> Path:
    folder = recordings.parent
    (folder / "dev.jsonl").write_text((write_run(folder, base_folder, []).parent / "items.jsonl").read_text())
    data = (
        'development = "dev.jsonl"\nmax_text_tokens = 60\n'
        'datasets = [{ name = "Tones", license = "CC0-1.0", url = "https://example.org" }]'
    )
    options = "merged = true\nlogging_steps = 1\neval_steps = 2"
    path = write_run(folder, base_folder, ["lora"], items=ITEMS, data=data, options=options)
    result = CliRunner().invoke(app, [str(path)])
    assert result.exit_code == 0, result.output
    return folder / "out"


def test_adapter_and_merged_model_compute_the_same(finished: Path, base_folder: Path) -> None:
    base = LlamaForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
    whole = LtuForConditionalGeneration.from_pretrained(finished / "merged", dtype=torch.float32)
    with torch.no_grad():
        plain, merged = base(IDS).logits, whole(IDS).logits
        adapted = PeftModel.from_pretrained(base, finished / "adapter").eval()(IDS).logits
    assert (adapted - plain).abs().max() > 1e-2
    torch.testing.assert_close(merged, adapted, rtol=0, atol=2e-3)
    text = (finished / "adapter" / "adapter_config.json").read_text()
    assert str(base_folder) not in text
    assert "tiny llama" in text


def test_an_adapter_of_ours_fits_the_model_of_transformers(finished: Path, base_folder: Path) -> None:
    base = load_base(base_folder).model
    model = LtuForConditionalGeneration.hearing(base, TINY_ENCODER).eval()
    merged = LtuForConditionalGeneration.from_pretrained(finished / "merged", dtype=torch.float32)
    parts = {name: p for name, p in merged.named_parameters() if "audio_" in name}
    model.load_state_dict(parts, strict=False)
    processor = LtuProcessor.from_pretrained(finished / "merged")
    inputs = processor("Is [AUDIO] a bird?", np.sin(np.arange(16_000) / 20))
    with torch.no_grad():
        adapted = PeftModel.from_pretrained(model, finished / "adapter").eval()
        torch.testing.assert_close(adapted(**inputs).logits, merged(**inputs).logits, rtol=0, atol=3e-3)
        answered = adapted.generate(**inputs, do_sample=False, max_new_tokens=5)
    assert answered.shape[1] <= inputs.input_ids.shape[1] + 5


def test_the_merged_folder_is_a_whole_model_to_the_converter(
    finished: Path, base_folder: Path, recordings: Path
) -> None:
    clip = ltu.load_audio(recordings / "0.wav")
    logits: list[torch.Tensor] = []
    keys: list[dict[str, Any]] = []
    for base, checkpoint in ((base_folder, finished), (finished / "merged", None)):
        path = finished / f"{base.name}.gguf"
        assert not convert(base, checkpoint=checkpoint, outtype="f32", output=path).notes
        keys.append({k: v for k, v in gguf_file.read(path).keys.items() if k in KEPT})
        tokenizer = json.loads(str(keys[-1]["tokenizer.huggingface.json"]))
        del tokenizer["post_processor"]  # transformers writes one that does nothing
        keys[-1]["tokenizer.huggingface.json"] = tokenizer
        model = ltu.load(path, device="cpu", threads=1)
        logits.append(torch.from_numpy(model.logits([0, 5, clip, 6, 7])))
    torch.testing.assert_close(logits[0], logits[1], rtol=0, atol=5e-3)
    assert keys[0] == keys[1]
    assert len(keys[0]) == len(KEPT)


def test_the_card_says_what_the_run_was(finished: Path, base_folder: Path) -> None:
    card = (finished / "MODEL_CARD.md").read_text()
    for text in (
        "Trained were: lora.",
        "Tones (CC0-1.0, https://example.org)",
        "training: 4 items about 4 clips",
        "hashes of the 4 clips",
        "the 1 terms",
        "4 steps.",
        "| step | training | development |",
        "`train.learning_rate = 0.01`",
        "`data.max_text_tokens = 60`",
    ):
        assert text in card, text
    [last] = [line for line in card.splitlines() if line.startswith("| 4 |")]
    assert all(float(cell) > 0 for cell in last.strip("| ").split("|"))
    assert str(finished.parent) not in card


def test_a_merged_model_needs_a_directory_as_base(tmp_path: Path, base_folder: Path) -> None:
    path = write_run(tmp_path, base_folder / "model.safetensors", ["lora"], options="merged = true")
    result = CliRunner().invoke(app, [str(path)])
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert "train.merged: needs the base as a Hugging Face directory" in result.output

"""Training steps with LoRA on one card, at full size with random weights: seconds a step and memory.

    python bench/gpu/train.py SHAPE [--steps 10] [--batch 4] [--device cuda] [--json FILE]

The model and the batches of ltu-train: encoder frozen, projector and LoRA trained, matrices in bfloat16 under
autocast, AdamW, gradients clipped; with and without checkpointed gradients. Ids are random, lengths those
of the paper's examples.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from ltu.training.items.collate import Collator
from ltu.training.items.packing import Example, Group
from ltu.training.model.base import cast
from ltu.training.model.encoder import EncoderConfig
from ltu.training.model.loss import AUDIO_POSITION
from ltu.training.model.ltu import LTU, LoraSizes
from shapes import SHAPES, llama_sizes

BOS, AUDIO, TEXT = 1, 32, (31, 80)  # tokens of the paper's examples, from and to
WARM_UP = 2  # steps that are not counted


def new_model(shape: str, device: str) -> LTU:
    config = LlamaConfig(**llama_sizes(shape))
    encoder = EncoderConfig(64, 128, 1, 1, 1) if shape == "toy" else EncoderConfig()
    with torch.device(device):
        torch.set_default_dtype(torch.bfloat16)
        llama = LlamaForCausalLM(config)
        torch.set_default_dtype(torch.float32)
        cast(llama, torch.bfloat16)
    model = LTU(llama, encoder, LoraSizes()).to(device)  # rotary tables among the rest
    model.train_only(("lora", "projector"))
    return model


def batches(count: int, size: int, encoder: EncoderConfig, vocabulary: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    sound = torch.randn(1, encoder.embeddings, encoder.width)
    collate = Collator({"clip": sound}, "encoded", BOS, False, 0)

    def group() -> Group:
        length = int(rng.integers(TEXT[0], TEXT[1] + 1))
        words = rng.integers(3, vocabulary, length).tolist()
        ids = (BOS, *(AUDIO_POSITION,) * AUDIO, *words)
        return Group((Example(ids, len(ids) // 2, ("clip",)),))

    return [collate([group() for _ in range(size)]) for _ in range(count)]


def measure(model: LTU, data: list[dict[str, Any]], device: str) -> dict[str, float]:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, 1e-4)
    times, targets = [], 0
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    model.train()
    for number, batch in enumerate(data):
        start = time.perf_counter()
        there = {name: value.to(device) for name, value in batch.items()}
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            loss = model(**there, num_items_in_batch=batch["weights"].sum().to(device)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        loss.item()  # waits for the card
        if number >= WARM_UP:
            times.append(time.perf_counter() - start)
            targets += int(batch["weights"].sum())
    step = statistics.median(times)
    found = {"seconds_a_step": step, "targets_per_second": targets / len(times) / step}
    if device != "cpu":
        found["peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model = new_model(options.shape, options.device)
    vocabulary = SHAPES[options.shape][-1]
    data = batches(WARM_UP + options.steps, options.batch, model.audio_encoder.config, vocabulary)
    record: dict[str, Any] = {"shape": options.shape, "batch": options.batch, "steps": options.steps}
    for name in ("kept", "checkpointed"):
        if name == "checkpointed":
            model.checkpoint_gradients()
        record[name] = measure(model, data, options.device)
        print(f"{options.shape}, batch {options.batch}, gradients {name}: {record[name]}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

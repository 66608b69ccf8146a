"""Target tokens per second of ltu-train and of the original LTU's loop, on the same small model.

    python bench/training.py [--quick] [--rounds 3] [--steps 12] [--threads 2] [--json FILE]

The original's way (YuanGongND/ltu, finetune.py and its data collator): a clip is read and turned into
features each time that an item is drawn, the encoder runs each time, every item repeats its clip's positions,
logits are made at every position, sequences are padded to the batch's longest, rounded up to 8. "Fixed"
pads to 108 text tokens instead. Both take the same items in batches of like length, with bfloat16 autocast
where the processor has that type. Ours runs in the Trainer, the original's way in a bare loop; in ours the
questions of a batch that are about one clip share its positions. Weights are random: SmolLM2-135M's sizes and
the demo's encoder.
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback, TrainingArguments

from ltu.audio import load_audio
from ltu.training.config import Part
from ltu.training.items.batches import Batches
from ltu.training.items.clips import read_clips
from ltu.training.items.collate import Collator
from ltu.training.items.data import Items
from ltu.training.items.inputs import encoded, features_of
from ltu.training.items.packing import Example, Group, positions, share_beginnings
from ltu.training.items.tokenised import Counts, Ungrouped
from ltu.training.model.base import cast
from ltu.training.model.encoder import EncoderConfig
from ltu.training.model.loss import AUDIO_POSITION, IGNORED, text_labels
from ltu.training.model.ltu import LTU, LoraSizes
from ltu.training.run.trainer import LtuTrainer
from machine import has_bfloat16, processor

CLIPS, SECONDS = 12, 10
TEXT = 108  # tokens, of the original's scripts
BOS = 1
WARM_UP = 2  # steps that are not counted
AUTOCAST = torch.bfloat16 if has_bfloat16() else None


@dataclass(frozen=True)
class Setting:
    name: str
    train: tuple[Part, ...]
    answers_only: bool
    share: int  # questions about a clip that share its positions in ours
    batch: int  # questions
    text: tuple[int, int]  # tokens of a question with its answer, from and to


# Tokens of the miniature study's items, 5 to 95 %; of the paper's examples (Tables 7-9: 21 to 70) in a prompt
# template of 10; up to the original's limit.
STUDY, PAPER, LONG = (23, 44), (31, 80), (30, 108)
FROZEN: tuple[Part, ...] = ("lora", "projector")
ALL: tuple[Part, ...] = ("lora", "projector", "encoder")
# The paper has batches of 4; LTU's scripts 256, of which 24 at a time are taken here, six about a clip.
SETTINGS = (
    Setting("the study's lengths, loss on answers, encoder frozen", FROZEN, True, 6, 24, STUDY),
    Setting("the study's lengths, loss on text, encoder frozen", FROZEN, False, 4, 4, STUDY),
    Setting("the study's lengths, loss on text, all trained", ALL, False, 4, 4, STUDY),
    Setting("the paper's lengths, loss on text, encoder frozen", FROZEN, False, 6, 24, PAPER),
    Setting("the paper's lengths, loss on text, all trained", ALL, False, 6, 24, PAPER),
    Setting("30 to 108 tokens, loss on text, encoder frozen", FROZEN, False, 4, 4, LONG),
    Setting("30 to 108 tokens, loss on text, all trained", ALL, False, 4, 4, LONG),
)


def new_model(quick: bool, matrices: torch.dtype | None) -> LTU:
    torch.manual_seed(0)
    small = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4, "num_attention_heads": 4}
    smol = {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9}
    sizes = {
        **(small if quick else smol),
        "vocab_size": 4096 if quick else 49152,
        "tie_word_embeddings": True,
    }
    llama = LlamaForCausalLM(LlamaConfig(**sizes, num_key_value_heads=4 if quick else 3))
    if matrices:
        cast(llama, matrices)
    blocks = 1 if quick else 5
    return LTU(llama, EncoderConfig(width=192, mlp=768, heads=3, blocks_a=blocks, blocks_u=1), LoraSizes())


def write_clips(folder: Path) -> list[str]:
    rng = np.random.default_rng(0)
    names = [f"{number}.wav" for number in range(CLIPS)]
    for name in names:
        soundfile.write(folder / name, 0.1 * rng.standard_normal(16_000 * SECONDS), 16_000)
    return names


def make_examples(setting: Setting, names: Sequence[str], vocabulary: int) -> list[Example]:
    """Twelve questions about each clip in each format: other last words, and answers of a third."""
    rng, made = np.random.default_rng(0), []
    opening = (BOS, *rng.integers(3, vocabulary, 10).tolist())
    audio = (AUDIO_POSITION,) * 32
    for name, interleaved, _ in itertools.product(names, (False, True), range(12)):
        length = int(rng.integers(setting.text[0], setting.text[1] + 1))
        words = tuple(rng.integers(3, vocabulary, length - len(opening)).tolist())
        start = (*opening, *audio) if interleaved else (*audio, *opening)
        made.append(Example((*start, *words), len(start) + len(words) * 2 // 3, (name,)))
    return made


class Watch(TrainerCallback):
    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.times.append(time.perf_counter())


class Counted:
    """A collator that notes the targets of each batch."""

    def __init__(self, collate: Callable[[Sequence[Group]], dict[str, Any]]) -> None:
        self._collate, self.targets = collate, list[int]()

    def __call__(self, groups: Sequence[Group]) -> dict[str, Any]:
        batch = self._collate(groups)
        self.targets.append(int(batch["weights"].sum()))
        return batch


def rate(targets: Sequence[int], times: Sequence[float]) -> float:
    """Target tokens per second of all steps but the first ones."""
    return sum(targets[WARM_UP : len(times)]) / (times[-1] - times[WARM_UP - 1])


def ours(
    model: LTU, setting: Setting, examples: list[Example], folder: Path, steps: int
) -> tuple[float, float]:
    """(target tokens per second; seconds that clips and encoder took once)."""
    start = time.perf_counter()
    clips = read_clips(dict.fromkeys(e.audio[0] for e in examples), folder, folder / "cache")
    frozen = "encoder" not in setting.train
    sounds = encoded(folder, model.audio_encoder, clips, 1, 0, AUTOCAST) if frozen else features_of(clips)
    once = time.perf_counter() - start
    groups: Sequence[Group] = Ungrouped(examples)
    if setting.share > 1:
        groups = share_beginnings(examples, setting.share)
    collate = Counted(Collator(sounds, "encoded" if frozen else "features", BOS, setting.answers_only, 0))
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=setting.batch // setting.share,
        bf16=AUTOCAST is not None,
        use_cpu=True,
        save_strategy="no",
        logging_steps=steps,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
    )
    lengths = np.array([positions(group) for group in groups], np.int32)
    items = Items(groups, lengths, Counts(len(examples), 0, {}, {}, [], []))
    watch = Watch()
    LtuTrainer(model, arguments, collate, items, None, {}, callbacks=[watch]).train()  # type: ignore[arg-type]
    return rate(collate.targets, watch.times), once


def original(
    model: LTU, setting: Setting, examples: list[Example], folder: Path, steps: int, fixed: bool
) -> float:
    batches = Batches([len(example.ids) for example in examples], setting.batch, 0)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-4)
    llama = model.whole
    targets, times = [], []
    model.train()
    for numbers in itertools.islice(itertools.chain.from_iterable(itertools.repeat(batches)), steps):
        batch = [examples[number % len(examples)] for number in numbers]
        features = np.stack([load_audio(folder / example.audio[0]).features() for example in batch])
        ids, lengths, labels = padded(batch, setting, fixed)
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        with torch.autocast("cpu", AUTOCAST, enabled=AUTOCAST is not None):
            inputs = model.splice(ids, model.audio_encoder(torch.from_numpy(features)))
            logits = llama(inputs_embeds=inputs, attention_mask=mask, use_cache=False).logits
        loss = F.cross_entropy(logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        targets.append(int((labels != IGNORED).sum()))
        times.append(time.perf_counter())
    return rate(targets, times)


def padded(batch: Sequence[Example], setting: Setting, fixed: bool) -> tuple[Tensor, Tensor, Tensor]:
    longest = max(len(example.ids) for example in batch)
    width = 32 + TEXT if fixed else -(-longest // 8) * 8
    ids = torch.tensor([example.ids + (0,) * (width - len(example.ids)) for example in batch])
    lengths = torch.tensor([len(example.ids) for example in batch])
    labels = text_labels(ids, lengths, BOS)
    if setting.answers_only:
        prompts = torch.tensor([example.prompt for example in batch])
        labels = labels.masked_fill(torch.arange(width) < prompts[:, None], IGNORED)
    return ids, lengths, labels


def compare(setting: Setting, quick: bool, rounds: int, steps: int) -> dict[str, Any]:
    found: dict[str, list[float]] = {"ours": [], "original": [], "fixed": [], "once": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            names = write_clips(folder)
            for peer in ("ours", "original", "fixed"):
                model = new_model(quick, AUTOCAST if peer == "ours" else None)
                model.train_only(setting.train)
                examples = make_examples(setting, names, model.whole.config.text_config.vocab_size)
                if peer == "ours":
                    speed, once = ours(model, setting, examples, folder, steps)
                    found["once"].append(once)
                else:
                    speed = original(model, setting, examples, folder, steps, peer == "fixed")
                found[peer].append(speed)
    ratios = {
        peer: statistics.median(o / p for o, p in zip(found["ours"], found[peer], strict=True))
        for peer in ("original", "fixed")
    }
    return {
        "setting": setting.name,
        "target_tokens_per_second": {peer: statistics.median(found[peer]) for peer in ("ours", *ratios)},
        "ours_is_faster_by": ratios,
        "clips_and_encoder_once_seconds": statistics.median(found["once"]),
        "clips": CLIPS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tiny model, one round: claims nothing")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rounds = 1 if options.quick else options.rounds
    results = [compare(setting, options.quick, rounds, options.steps) for setting in SETTINGS]
    about = {
        "processor": processor(),
        "precision": str(AUTOCAST or torch.float32),
        "threads": options.threads,
    }
    print(about)
    if options.json:
        options.json.write_text(json.dumps({**about, "results": results}, indent=1) + "\n")
    table = Table("target tokens/s", "ours", "original's way", "ratio", "fixed", "ratio", "once, s")
    for result in results:
        speed, ratio = result["target_tokens_per_second"], result["ours_is_faster_by"]
        cells = [result["setting"], f"{speed['ours']:.4g}"]
        for peer in ("original", "fixed"):
            cells += [f"{speed[peer]:.4g}", f"{ratio[peer]:.2f}×"]
        table.add_row(*cells, f"{result['clips_and_encoder_once_seconds']:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()

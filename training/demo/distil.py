"""The encoder learns what the teacher hears: its embedding, its scores, and which recordings were mixed.

A batch and its random views follow from the recipe's seed and the step alone, and a checkpoint is written
every few minutes: killed and started again, training goes on and ends with the same weights.
"""

import copy
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, IterableDataset

from ltu.training.demo.bank import Bank
from ltu.training.demo.yamnet import EMBEDDING, SCORES
from ltu.training.items.augment import Float32, View, mix, random_view
from ltu.training.model.device import quick_products, training_device
from ltu.training.model.encoder import AudioEncoder, EncoderConfig, patchify
from ltu.training.model.ltu import fill

CHECKPOINT_SECONDS = 180.0
LOSSES = ("labels", "scores", "embedding")
LEAST_DEVIATION = 0.05  # of the embedding's dimensions, most of which vary by 0.3
RARE = -5.0  # log-odds of a class of AudioSet before anything is learnt
# For 48 tokens plain products are quicker than a processor's flash attention, whose backward pass is slow.
ATTENTION = {"cpu": SDPBackend.MATH, "cuda": SDPBackend.FLASH_ATTENTION}


@dataclass(frozen=True)
class Recipe:
    steps: int = 5000
    batch: int = 64
    kept: int = 48  # patches drawn per example, padding included
    last_steps: int = 500  # at the end, on more patches
    last_kept: int = 112
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warm_up: int = 200
    average: float = 0.998  # decay of the averaged weights
    mixed: float = 0.3  # share of the examples that are mixed once more
    embedding_weight: float = 2.0
    scores_weight: float = 0.1
    seed: int = 0


@dataclass(frozen=True)
class Batch:
    features: Tensor  # [batch, 1024, 128]
    keep: Tensor  # [batch, kept] patches
    labels: Tensor  # [batch, labels] shares
    scores: Tensor  # [batch, 521]
    embeddings: Tensor  # [batch, 1024]: roots, each dimension with mean 0 and variance near 1 over the bank


class Student(nn.Module):
    """The encoder under three linear heads, which are thrown away after this stage."""

    def __init__(self, labels: int, config: EncoderConfig) -> None:
        super().__init__()
        self.encoder = AudioEncoder(config)
        self.labels = nn.Linear(config.width, labels)
        self.scores = nn.Linear(config.width, SCORES)
        self.embedding = nn.Linear(config.width, EMBEDDING)
        nn.init.constant_(self.scores.bias, RARE)

    def forward(self, features: Tensor, keep: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Features [batch, 1024, 128] → logits of labels and scores, and the embedding."""
        mean = self.encoder.tokens(features, keep).mean(1)
        return self.labels(mean), self.scores(mean), self.embedding(mean)


def distil(
    bank: Bank, labels: int, config: EncoderConfig, recipe: Recipe, work: Path, start: Path | None = None
) -> Student:
    """The averaged student after the last step. Goes on from `work`/student.pt; on a CUDA card if one is.

    start: student.safetensors of a finished run, whose weights it begins with. Raises ModelFileError.
    """
    device = training_device()
    torch.manual_seed(recipe.seed)
    model = Student(labels, config).to(device)
    if start:
        fill(dict(model.named_parameters()), load_file(start), str(start))
    average = copy.deepcopy(model).eval().requires_grad_(False)
    optimiser = torch.optim.AdamW(model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    path, first = work / "student.pt", 0
    if path.is_file():
        saved = torch.load(path, map_location=device)
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        first = saved["step"]
    workers = max(1, min(12, (os.cpu_count() or 2) - 2)) if device.type == "cuda" else 1
    batches = DataLoader(
        _Batches(bank, labels, config, recipe, first), batch_size=None, num_workers=workers, prefetch_factor=4
    )
    saved_at = time.monotonic()
    for step, batch in enumerate(batches, first):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * _schedule(step, recipe)
        loss = _loss(model, Batch(*(t.to(device) for t in batch)), recipe)
        optimiser.zero_grad()
        loss.sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        _follow(average, model, min(recipe.average, (step + 1) / (step + 10)))
        last = step + 1 == recipe.steps
        if (step + 1) % 20 == 0 or last:
            parts = ", ".join(f"{n} {v:.3f}" for n, v in zip(LOSSES, loss.tolist(), strict=True))
            print(f"encoder: step {step + 1} of {recipe.steps}: {parts}", flush=True)
        if last or time.monotonic() - saved_at > CHECKPOINT_SECONDS:
            _save(path, model, average, optimiser, step + 1)
            saved_at = time.monotonic()
    return average.cpu()


def _loss(model: Student, batch: Batch, recipe: Recipe) -> Tensor:
    """[3]: of labels, scores and embedding, weighted."""
    device = batch.features.device
    with quick_products(device), sdpa_kernel(ATTENTION[device.type]):
        labels, scores, embedding = model(batch.features, batch.keep)
    of_labels = F.cross_entropy(labels.float(), batch.labels)
    of_scores = F.binary_cross_entropy_with_logits(scores.float(), batch.scores, reduction="sum")
    of_embedding = F.mse_loss(embedding.float(), batch.embeddings)
    weighted = recipe.scores_weight * of_scores / len(scores), recipe.embedding_weight * of_embedding
    return torch.stack([of_labels, *weighted])


def _save(
    path: Path, model: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer, step: int
) -> None:
    state = {"model": model.state_dict(), "average": average.state_dict(), "step": step}
    partial = path.with_suffix(".partial")
    torch.save({**state, "optimiser": optimiser.state_dict()}, partial)
    os.replace(partial, path)


def _schedule(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then a cosine towards zero."""
    return min((step + 1) / recipe.warm_up, 0.5 + 0.5 * math.cos(math.pi * step / recipe.steps))


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    for mean, value in zip(average.parameters(), model.parameters(), strict=True):
        mean.lerp_(value, 1 - decay)


class _Batches(IterableDataset[tuple[Tensor, ...]]):
    """The fields of a Batch for each step from the first on; made in processes of their own, in order."""

    def __init__(self, bank: Bank, labels: int, config: EncoderConfig, recipe: Recipe, first: int) -> None:
        self._bank, self._labels, self._config = bank, labels, config
        self._recipe, self._first = recipe, first
        roots = np.sqrt(bank.embeddings)  # of what a ReLU gave: few values would outweigh all others
        self._mean = torch.from_numpy(roots.mean(0))
        self._deviation = torch.from_numpy(roots.std(0) + LEAST_DEVIATION)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        worker = torch.utils.data.get_worker_info()
        start, apart = (worker.id, worker.num_workers) if worker else (0, 1)
        for step in range(self._first + start, self._recipe.steps, apart):
            yield self._batch(step)

    def _batch(self, step: int) -> tuple[Tensor, ...]:
        recipe, bank = self._recipe, self._bank
        rng = np.random.default_rng((recipe.seed, step))
        first, second = rng.integers(len(bank.frames), size=(2, recipe.batch))
        share = np.where(rng.random(recipe.batch) < recipe.mixed, rng.beta(0.5, 0.5, recipe.batch), 1.0)
        share = share.astype(np.float32)
        drawn = zip(first.tolist(), second.tolist(), share.tolist(), strict=True)
        views = [self._view(*each, rng) for each in drawn]
        features = torch.from_numpy(np.stack([view.features for view in views]))
        kept = recipe.kept if step < recipe.steps - recipe.last_steps else recipe.last_kept
        keep = _draw_patches(features, [view.frames for view in views], kept, self._config, rng)
        of_first = torch.from_numpy(share)[:, None]

        def mixed(values: Float32) -> Tensor:
            return torch.from_numpy(values[second]).lerp(torch.from_numpy(values[first]), of_first)

        labels = torch.zeros(recipe.batch, self._labels)
        for entries, part in ((first, share), (second, 1 - share)):
            for column, of_entry in ((0, bank.share[entries]), (1, 1 - bank.share[entries])):
                rows = torch.from_numpy(bank.labels[entries, column])
                labels.scatter_add_(1, rows[:, None], torch.from_numpy(part * of_entry)[:, None])
        embeddings = (mixed(bank.embeddings).sqrt() - self._mean) / self._deviation
        return features, keep, labels, mixed(bank.scores), embeddings

    def _view(self, first: int, second: int, share: float, rng: np.random.Generator) -> View:
        power = self._bank.power(first)
        if share < 1:
            other = self._bank.power(second)
            other = np.resize(np.roll(other, rng.integers(len(other)), axis=0), power.shape)
            power = mix(power, other, share)
        return random_view(power, rng)


def _draw_patches(
    features: Tensor, frames: list[int], kept: int, config: EncoderConfig, rng: np.random.Generator
) -> Tensor:
    """[batch, kept]: patches that hold sound before others, loud ones more often; some of the padding."""
    rows, columns = config.grid
    start = np.tile(np.arange(columns), rows) * config.patch
    loudness = patchify(features, config.patch).mean(2).numpy()
    chosen = []
    for row, sound in enumerate(frames):
        keys = rng.gumbel(size=rows * columns) + rng.uniform(0, 1) * loudness[row]
        heard = start < sound
        count = min(int(heard.sum()), int(kept * rng.uniform(0.6, 1.0)))
        count = max(count, kept - int((~heard).sum()))
        from_sound = np.argsort(np.where(heard, -keys, np.inf))[:count]
        from_padding = np.argsort(np.where(heard, np.inf, -keys))[: kept - count]
        chosen.append(np.concatenate([from_sound, from_padding]))
    return torch.from_numpy(np.stack(chosen))

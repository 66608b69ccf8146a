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
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, IterableDataset

from ltu.training.demo.bank import MOMENTS, Bank
from ltu.training.demo.yamnet import EMBEDDING, SCORES
from ltu.training.items.augment import Float32, View, mix, random_view
from ltu.training.model.device import quick_products, training_device
from ltu.training.model.encoder import AudioEncoder, EncoderConfig
from ltu.training.model.ltu import fill

CHECKPOINT_SECONDS = 180.0
LOSSES = ("labels", "scores", "embedding", "moments")
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
    moments_weight: float = 1.0
    scores_weight: float = 0.1
    seed: int = 0


@dataclass(frozen=True)
class Batch:
    features: Tensor  # [batch, 1024, 128]
    keep: Tensor  # [batch, kept] patches
    labels: Tensor  # [batch, labels] shares
    scores: Tensor  # [batch, 521]
    embeddings: Tensor  # [batch, 1024]: roots, each dimension with mean 0 and variance near 1 over the bank
    moments: Tensor  # [batch, kept, 1024]: the same at each patch's moment
    heard: Tensor  # bool[batch, kept]: patches that hold sound


class Student(nn.Module):
    """The encoder under three linear heads, which are thrown away after this stage."""

    def __init__(self, labels: int, config: EncoderConfig) -> None:
        super().__init__()
        self.encoder = AudioEncoder(config)
        self.labels = nn.Linear(config.width, labels)
        self.scores = nn.Linear(config.width, SCORES)
        self.embedding = nn.Linear(config.width, EMBEDDING)
        nn.init.constant_(self.scores.bias, RARE)

    def forward(self, features: Tensor, keep: Tensor | None = None) -> tuple[Tensor, ...]:
        """Features [batch, 1024, 128] → logits of labels and scores, the embedding, and each patch's."""
        tokens = self.encoder.tokens(features, keep)
        mean = tokens.mean(1)
        return self.labels(mean), self.scores(mean), self.embedding(mean), self.embedding(tokens)


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
        follow(average, model, min(recipe.average, (step + 1) / (step + 10)))
        last = step + 1 == recipe.steps
        if (step + 1) % 20 == 0 or last:
            parts = ", ".join(f"{n} {v:.3f}" for n, v in zip(LOSSES, loss.tolist(), strict=True))
            print(f"encoder: step {step + 1} of {recipe.steps}: {parts}", flush=True)
        if last or time.monotonic() - saved_at > CHECKPOINT_SECONDS:
            _save(path, model, average, optimiser, step + 1)
            saved_at = time.monotonic()
    return average.cpu()


def _loss(model: Student, batch: Batch, recipe: Recipe) -> Tensor:
    """Those of LOSSES, weighted."""
    device = batch.features.device
    with quick_products(device), sdpa_kernel(ATTENTION[device.type]):
        labels, scores, embedding, moments = model(batch.features, batch.keep)
    of_labels = F.cross_entropy(labels.float(), batch.labels)
    of_scores = F.binary_cross_entropy_with_logits(scores.float(), batch.scores, reduction="sum")
    of_embedding = F.mse_loss(embedding.float(), batch.embeddings)
    of_moments = F.mse_loss(moments.float()[batch.heard], batch.moments[batch.heard].float())
    return torch.stack(
        [
            of_labels,
            recipe.scores_weight * of_scores / len(scores),
            recipe.embedding_weight * of_embedding,
            recipe.moments_weight * of_moments,
        ]
    )


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
def follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """The averaged weights come nearer to the model's."""
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)


class _Batches(IterableDataset[tuple[Tensor, ...]]):
    """The fields of a Batch for each step from the first on; made in processes of their own, in order."""

    def __init__(self, bank: Bank, labels: int, config: EncoderConfig, recipe: Recipe, first: int) -> None:
        self._bank, self._labels, self._config = bank, labels, config
        self._recipe, self._first = recipe, first
        heard = np.arange(MOMENTS) < bank.moments[:, None]
        roots = np.sqrt(bank.embeddings[heard], dtype=np.float32)  # of a ReLU: few values would outweigh all
        self._mean, self._deviation = roots.mean(0), roots.std(0) + np.float32(LEAST_DEVIATION)
        sums = (bank.embeddings * heard[..., None]).sum(1, dtype=np.float32)
        self._means = sums / bank.moments[:, None].astype(np.float32)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        worker = torch.utils.data.get_worker_info()
        start, apart = (worker.id, worker.num_workers) if worker else (0, 1)
        for step in range(self._first + start, self._recipe.steps, apart):
            yield self._batch(step)

    def _batch(self, step: int) -> tuple[Tensor, ...]:
        recipe, bank = self._recipe, self._bank
        rng = np.random.default_rng((recipe.seed, step))
        firsts, seconds = rng.integers(len(bank.frames), size=(2, recipe.batch))
        shares = np.where(rng.random(recipe.batch) < recipe.mixed, rng.beta(0.5, 0.5, recipe.batch), 1.0)
        drawn = list(zip(firsts.tolist(), seconds.tolist(), shares.tolist(), strict=True))
        seen = [self._view(*each, rng) for each in drawn]
        features = torch.from_numpy(np.stack([view.features for view, _ in seen]))
        frames = [view.frames for view, _ in seen]
        kept = recipe.kept if step < recipe.steps - recipe.last_steps else recipe.last_kept
        keep = _draw_patches(features, frames, kept, self._config, rng)
        starts = keep.numpy() % self._config.grid[1] * self._config.patch
        moments = np.empty((*keep.shape, EMBEDDING), np.float16)
        for row, ((view, second_frames), (first, second, share)) in enumerate(zip(seen, drawn, strict=True)):
            middles = np.minimum(starts[row] + self._config.patch // 2, view.frames - 1)
            at = view.moments[middles]
            heard = bank.embedding(first, at)
            if share < 1:
                heard = share * heard + (1 - share) * bank.embedding(second, second_frames[at])
            moments[row] = self._standard(heard)
        share_of_first = shares.astype(np.float32)[:, None]

        def mixed(values: Float32) -> Float32:
            return np.asarray(share_of_first * values[firsts] + (1 - share_of_first) * values[seconds])

        labels = np.zeros((recipe.batch, self._labels), np.float32)
        for entries, part in ((firsts, shares), (seconds, 1 - shares)):
            for column, of_entry in ((0, bank.share[entries]), (1, 1 - bank.share[entries])):
                np.add.at(labels, (np.arange(recipe.batch), bank.labels[entries, column]), part * of_entry)
        arrays = (labels, mixed(bank.scores), self._standard(mixed(self._means)), moments)
        heard_patches = torch.from_numpy(starts < np.array(frames)[:, None])
        return features, keep, *map(torch.from_numpy, arrays), heard_patches

    def _standard(self, embeddings: Float32) -> Float32:
        return np.asarray((np.sqrt(embeddings) - self._mean) / self._deviation)

    def _view(
        self, first: int, second: int, share: float, rng: np.random.Generator
    ) -> tuple[View, npt.NDArray[np.int64]]:
        """A view of two entries mixed, and the second's frame beside each of the first's."""
        power = self._bank.power(first)
        frames = np.arange(len(power))
        if share < 1:
            other = self._bank.power(second)
            frames = np.resize(np.roll(np.arange(len(other)), rng.integers(len(other))), len(power))
            power = mix(power, other[frames], share)
        return random_view(power, rng), frames


def _draw_patches(
    features: Tensor, frames: list[int], kept: int, config: EncoderConfig, rng: np.random.Generator
) -> Tensor:
    """[batch, kept]: patches that hold sound before others, loud ones more often; some of the padding."""
    rows, columns = config.grid
    start = np.tile(np.arange(columns), rows) * config.patch
    loudness = F.avg_pool2d(features[:, None], config.patch)[:, 0].mT.flatten(1).numpy()
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

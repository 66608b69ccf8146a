"""First stage of the demo: a small CAV-MAE learns from scratch to tell the classes apart.

A convolutional teacher learns first, since a convolution needs fewer recordings than a transformer;
the encoder then learns from the teacher's answers to the same random views and mixtures, and from the labels.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from ltu.training.items.augment import Float32, View, mix, random_view
from ltu.training.model.encoder import AudioEncoder, EncoderConfig

Labels = npt.NDArray[np.int64]
ENCODER = EncoderConfig(width=192, mlp=768, heads=3, blocks_a=5, blocks_u=1)


@dataclass(frozen=True)
class Recipe:
    steps: int
    learning_rate: float
    cosine: int  # steps until the learning rate would be zero
    whole_steps: int  # the last ones, on all patches of the input
    kept: int = 80  # patches drawn per example before, padding included
    batch: int = 32
    weight_decay: float = 0.05
    warm_up: int = 100
    smoothing: float = 0.1
    average: float = 0.998  # decay of the averaged weights
    mix_alpha: float = 0.5
    teacher_share: float = 0.75  # how much of the target is the teacher's output, when there is a teacher
    seed: int = 0


TEACHER_RECIPE = Recipe(steps=750, learning_rate=2e-3, cosine=1000, whole_steps=750)
ENCODER_RECIPES = (
    Recipe(steps=1100, learning_rate=1e-3, cosine=1200, whole_steps=0),
    Recipe(  # again from the averaged weights: clearer mixtures, more patches
        steps=450,
        learning_rate=6e-4,
        cosine=650,
        whole_steps=0,
        kept=112,
        warm_up=30,
        average=0.995,
        mix_alpha=0.25,
        teacher_share=0.5,
        seed=1,
    ),
)


class Teacher(nn.Module):
    """Seven convolutions over the first 512 frames (a longer view repeats itself there)."""

    FRAMES = 512

    def __init__(self, classes: int, channels: int = 24) -> None:
        super().__init__()
        c, layers, before = channels, [], 1
        for after, stride in ((c, 2), (2 * c, 2), (2 * c, 1), (4 * c, 2), (4 * c, 1), (8 * c, 2), (8 * c, 1)):
            layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            before = after
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(before, classes))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, features: Tensor, keep: Tensor | None = None) -> Tensor:
        image = features[:, None, : self.FRAMES].transpose(2, 3).contiguous(memory_format=torch.channels_last)
        x = self.layers(image).mean(2)  # over frequency
        return self.head(x.mean(2) + x.amax(2))  # type: ignore[no-any-return]


class Classifier(nn.Module):
    """The encoder under a class head, which is thrown away after this stage."""

    def __init__(self, classes: int, config: EncoderConfig = ENCODER) -> None:
        super().__init__()
        self.encoder = AudioEncoder(config)
        self.head = nn.Linear(config.width, classes)

    def forward(self, features: Tensor, keep: Tensor | None = None) -> Tensor:
        return self.head(self.encoder.tokens(features, keep).mean(1))  # type: ignore[no-any-return]


def fit(
    model: nn.Module,
    sounds: list[Float32],
    labels: Labels,
    recipe: Recipe,
    teacher: nn.Module | None = None,
    report: Callable[[int, float, nn.Module], None] = lambda *_: None,
) -> nn.Module:
    """Mel energies [frames, 128] and a class index each → the averaged model after the last step."""
    average = copy.deepcopy(model).eval().requires_grad_(False)
    optimiser = torch.optim.AdamW(model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    smoothing = recipe.smoothing if teacher is None else 0.0  # a teacher's answers are soft already
    batches = DataLoader(Batches(sounds, labels, recipe, teacher), batch_size=None, num_workers=1)
    for step, (features, targets, keep) in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * _schedule(step, recipe)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(features, keep).float()
        loss = F.cross_entropy(logits, targets, label_smoothing=smoothing)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        _follow(average, model, min(recipe.average, (step + 1) / (step + 10)))
        report(step, loss.item(), average)
    return average


class Batches(IterableDataset[tuple[Tensor, Tensor, Tensor | None]]):
    """(features, class shares, drawn patches or None for all) per step; made in a process of its own."""

    def __init__(
        self, sounds: list[Float32], labels: Labels, recipe: Recipe, teacher: nn.Module | None
    ) -> None:
        self._sounds, self._labels, self._recipe, self._teacher = sounds, labels, recipe, teacher

    @torch.no_grad()
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        recipe, rng = self._recipe, np.random.default_rng(self._recipe.seed)
        order: list[int] = []
        for step in range(recipe.steps):
            if len(order) < recipe.batch:
                order += rng.permutation(len(self._sounds)).tolist()
            picked, order = order[: recipe.batch], order[recipe.batch :]
            views, targets = _mixed_views(self._sounds, self._labels, picked, recipe, rng)
            features = torch.from_numpy(np.stack([v.features for v in views]))
            whole = step >= recipe.steps - recipe.whole_steps
            keep = None if whole else _draw_patches(views, recipe.kept, ENCODER, rng)
            if self._teacher is not None:
                with torch.autocast("cpu", torch.bfloat16):
                    answers = self._teacher(features).float().softmax(1)
                targets = targets.lerp(answers, recipe.teacher_share)
            yield features, targets, keep


def _schedule(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then a cosine towards zero."""
    return min((step + 1) / recipe.warm_up, 0.5 + 0.5 * math.cos(math.pi * step / recipe.cosine))


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    for mean, value in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)


def _mixed_views(
    sounds: list[Float32], labels: Labels, picked: list[int], recipe: Recipe, rng: np.random.Generator
) -> tuple[list[View], Tensor]:
    """Views of the picked sounds, each mixed with another of the batch, and class shares [batch, classes]."""
    targets = torch.zeros(len(picked), int(labels.max()) + 1)
    views = []
    for row, (first, second) in enumerate(zip(picked, rng.permutation(picked), strict=True)):
        share = rng.beta(recipe.mix_alpha, recipe.mix_alpha)
        moved = np.roll(sounds[second], rng.integers(len(sounds[second])), axis=0)
        views.append(random_view(mix(sounds[first], moved, share), rng))
        targets[row, labels[first]] += share
        targets[row, labels[second]] += 1 - share
    return views, targets


def _draw_patches(views: list[View], kept: int, config: EncoderConfig, rng: np.random.Generator) -> Tensor:
    """[batch, kept]: mostly patches that hold sound, the others padding (at run time half may be padding)."""
    rows, columns = config.grid
    start = np.tile(np.arange(columns), rows) * config.patch
    chosen = []
    for v in views:
        sound = rng.permutation(np.flatnonzero(start < v.frames))
        padding = rng.permutation(np.flatnonzero(start >= v.frames))
        wanted = int(kept * rng.uniform(0.5, 1.0))
        from_sound = min(len(sound), max(wanted, kept - len(padding)))
        chosen.append(np.concatenate([sound[:from_sound], padding[: kept - from_sound]]))
    return torch.from_numpy(np.stack(chosen))

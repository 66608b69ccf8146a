"""Projector and LoRA learn from questions that are made while they learn, for a given time.

What `ltu-train` does with a file of items: here processes make pool after pool, and the clips they are about
are rows of a table of encoder outputs that lies on the device.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from ltu.errors import Error
from ltu.prompt import Prompter
from ltu.training.demo.clock import Clock, rate
from ltu.training.demo.questions import Item
from ltu.training.demo.sounds import Recording
from ltu.training.demo.stages import ROUNDS, SEED, Round, files_by_class, pool
from ltu.training.items.batches import Batches
from ltu.training.items.collate import Collator
from ltu.training.items.examples import Row, example
from ltu.training.items.packing import Group, positions, share_beginnings
from ltu.training.model.device import quick_products
from ltu.training.model.ltu import LTU, PARTS

Arrays = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True)
class Plan:
    """A round of lessons: the round of stages.py with its time in place of its pools."""

    round: Round
    seconds: float


@dataclass(frozen=True)
class Settings:
    seconds: float = 85.0  # both rounds
    first_words: float = 0.55  # share of the time for the first of ROUNDS
    views: int = 24  # of each clip: itself and varied ones
    positions: int = 8000  # of a batch
    shared: int = 12  # questions about a clip that share its positions
    pools: int = 2  # of which a batch's groups are drawn
    learning_rate_of_projector: float = 3e-4
    beta2: float = 0.99
    warm_up: float = 0.04
    workers: int = 10
    report: int = 20
    seed: int = SEED

    def plans(self) -> list[Plan]:
        first, second = ROUNDS
        return [
            Plan(first, self.first_words * self.seconds),
            Plan(second, (1 - self.first_words) * self.seconds),
        ]


@dataclass(frozen=True)
class Class:
    """What a process needs to ask: no sound."""

    file: str
    label: str
    words: tuple[str, ...]  # properties of its sound


class Lessons(IterableDataset[Arrays]):
    """Batches without end, by worker: pools of questions, tokenised, packed and laid out; clips as rows of
    the table of views."""

    def __init__(
        self,
        clips: Sequence[Class],
        round: Round,
        settings: Settings,
        tokenizer_json: str,
        template: str,
        bos_id: int | None,
        eos_id: int,
    ) -> None:
        self._clips, self._round, self._settings = clips, round, settings
        self._tokenizer, self._template = tokenizer_json, template
        self._bos_id, self._eos_id = bos_id, eos_id

    def __iter__(self) -> Iterator[Arrays]:
        torch.set_num_threads(1)
        worker = get_worker_info()
        number, apart = (worker.id, worker.num_workers) if worker else (0, 1)
        prompter = Prompter(self._tokenizer, self._template, self._bos_id)
        views = self._settings.views
        rows = {c.file: torch.arange(n * views, (n + 1) * views) for n, c in enumerate(self._clips)}
        while True:
            rng = np.random.default_rng([self._settings.seed, self._round.first_words, number])
            groups = self._groups(prompter, rng)
            collate = Collator(rows, "encoded", self._bos_id, answers_only=True, seed=self._settings.seed)
            lengths = [positions(group) for group in groups]
            for batch in Batches(lengths, 1, number, positions=self._settings.positions):
                drawn = [replace(groups[index], drawing=index + number * 100_000) for index in batch]
                yield {name: tensor.numpy() for name, tensor in collate(drawn).items()}
            number += apart

    def _groups(self, prompter: Prompter, rng: np.random.Generator) -> list[Group]:
        by_class = files_by_class((clip.label, clip.file) for clip in self._clips)
        words = {clip.file: clip.words for clip in self._clips}
        groups: list[Group] = []
        for _ in range(self._settings.pools):
            items = pool(by_class, words, self._round, rng)
            examples = [example(_row(item), prompter, self._eos_id) for item in items]
            groups += share_beginnings(examples, self._settings.shared)
        return groups


def _row(item: Item) -> Row:
    audio = (item.audio_id,) if isinstance(item.audio_id, str) else tuple(item.audio_id)
    return Row(audio, item.instruction, item.output, item.term, item.open)


def same(batch: Arrays) -> Arrays:
    """A collate function that leaves arrays as they are: they go through a pipe, not shared memory."""
    return batch


def batches(lessons: Lessons, workers: int) -> Iterable[Arrays]:
    """Made ahead by processes; by this one if there are none."""
    if not workers:
        return lessons
    return DataLoader(
        lessons,
        batch_size=None,
        collate_fn=same,  # type: ignore[arg-type]
        num_workers=workers,
        prefetch_factor=4,
        multiprocessing_context="spawn",  # the card's context does not survive a fork
    )


def teach(
    model: LTU, views: Tensor, lessons: Iterator[Arrays], plan: Plan, settings: Settings, device: torch.device
) -> int:
    """Trains for the plan's time on views [rows, 32, width]; the number of steps. Raises Error."""
    model.train_only(("lora", "projector"))
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        _groups(model, plan.round.learning_rate, settings), betas=(0.9, settings.beta2), weight_decay=0.0
    )
    rates = [group["lr"] for group in optimiser.param_groups]
    clock, step = Clock(plan.seconds), 0
    for batch in lessons:
        if (done := clock.done()) >= 1:
            break
        for group, of_part in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = of_part * rate(done, settings.warm_up)
        inputs = {name: torch.from_numpy(array).to(device) for name, array in batch.items()}
        inputs["encoded"] = views[inputs["encoded"]]
        with quick_products(device):
            loss = model(**inputs).loss
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        step += 1
        if step % settings.report == 0 or step in (1, 5):
            value = loss.item()
            print(f"language: {clock.elapsed():.0f} s, step {step}: {value:.3f}", flush=True)
            if not math.isfinite(value):
                raise Error(f"language: the loss of step {step} is no number; lower the learning rate")
    return step


def _groups(model: LTU, of_lora: float, settings: Settings) -> list[dict[str, object]]:
    parts = {"projector": settings.learning_rate_of_projector, "lora": of_lora}
    return [
        {"params": [p for n, p in model.named_parameters() if PARTS[part] in n and p.requires_grad], "lr": lr}
        for part, lr in parts.items()
    ]


def classes_of(recordings: Sequence[Recording], words: Mapping[str, Sequence[str]]) -> list[Class]:
    return [Class(r.file, r.label, tuple(words[r.file])) for r in recordings]

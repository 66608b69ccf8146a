"""The encoder learns from sounds made on the spot, for a given time: what distil.py does with a bank.

A card makes and hears as many sounds in a second as a processor in minutes, so nothing is kept or heard
twice. Learning is bounded by time and the learning rate follows the clock: two runs start alike but do not
end with the same bits.

The classes are not learnt from the recordings' labels, of which there are few: a linear probe on what the
teacher heard is, and the student learns the probe's answers to all that is made.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltu.errors import Error
from ltu.training.demo.clock import Clock, rate
from ltu.training.demo.distil import LEAST_DEVIATION, LOSSES, Student, follow
from ltu.training.demo.fresh import Fresh, Maker
from ltu.training.demo.mels import log_mel, normalised
from ltu.training.demo.yamnet import EMBEDDING, HOP, PATCH, YAMNet, batch_patches
from ltu.training.model.device import quick_products
from ltu.training.model.encoder import EncoderConfig

LONG = 0.15  # share of the batches that hold ten seconds, and half as many entries
SHORT_FRAMES, LONG_FRAMES = 512, 1024
MOST_HIDDEN = 12  # mel bands that a view hides at most, in one place, for every other entry
MOST_ERROR = 0.02  # of the teacher in half precision, relative
OF_MOMENTS = 20  # batches whose moments give the embedding's mean and deviation
PROBE_RATE, PROBE_ROWS = 3e-3, 2048  # learning rate and batch of the probe


@dataclass(frozen=True)
class Settings:
    seconds: float = 170.0  # of learning
    batch: int = 256
    kept: int = 208  # patches of an entry, padding included
    whole: float = 0.25  # share of the time, at the end, with all 512
    learning_rate: float = 1.2e-3
    weight_decay: float = 0.05
    warm_up: float = 0.03  # share of the time
    average: float = 0.9985  # decay of the averaged weights
    probe_batches: int = 120  # at most, from which the probe learns, and the embedding's mean and deviation
    probe_seconds: float = 12.0  # at most, to make them
    probe_steps: int = 1500
    probe_decay: float = 0.1
    weights: tuple[float, ...] = (1.0, 0.1, 2.0, 1.0)  # of LOSSES
    report: int = 50  # steps between two lines
    seed: int = 0


@dataclass(frozen=True)
class Heard:
    """What the teacher makes of a batch."""

    scores: Tensor  # [entries, 521]
    embedding: Tensor  # [entries, 1024]: the mean over moments
    moments: Tensor  # [entries, moments, 1024]
    count: Tensor  # int64[entries]: moments that hold sound


class Teacher:
    """YAMNet on a device, in half precision where that errs little."""

    def __init__(self, network: YAMNet, device: torch.device) -> None:
        self._network, self._device = network.to(device), device
        self._half = False
        torch.backends.cudnn.benchmark = True  # batches are of two sizes

    def try_half(self, waveforms: Tensor) -> float:
        """The relative error of half precision on a card, which decides whether it is used from here on."""
        if self._device.type != "cuda":
            return 0.0
        _, exact = self._run(waveforms)
        self._half = True
        _, half = self._run(waveforms)
        error = float((half - exact).norm() / exact.norm())
        self._half = error < MOST_ERROR  # and False for what is no number
        return error

    @torch.no_grad()
    def hear(self, fresh: Fresh) -> Heard:
        scores, moments = self._run(fresh.waveforms)
        count = (1 + (fresh.frames - PATCH) // HOP).clamp(min=1)
        sounds = (torch.arange(moments.shape[1], device=self._device) < count[:, None])[..., None]
        return Heard(
            (scores * sounds).sum(1) / count[:, None],
            (moments * sounds).sum(1) / count[:, None],
            moments,
            count,
        )

    def _run(self, waveforms: Tensor) -> tuple[Tensor, Tensor]:
        patches = batch_patches(waveforms)
        with torch.no_grad(), torch.autocast(self._device.type, torch.float16, enabled=self._half):
            logits, embeddings = self._network(patches.flatten(0, 1))
        shape = patches.shape[:2]
        return logits.float().sigmoid().unflatten(0, shape), embeddings.float().unflatten(0, shape)


class Probe:
    """Classes from the roots of the teacher's embedding, each dimension with mean 0 and variance near 1."""

    def __init__(self, mean: Tensor, deviation: Tensor, linear: nn.Linear) -> None:
        self._mean, self._deviation, self.linear = mean, deviation, linear

    def standard(self, embeddings: Tensor) -> Tensor:
        return (embeddings.clamp(min=0).sqrt() - self._mean) / self._deviation

    @torch.no_grad()
    def classes(self, embedding: Tensor) -> Tensor:
        """Embeddings [n, 1024] → shares [n, labels]."""
        found: Tensor = self.linear(self.standard(embedding)).softmax(1)
        return found


def fit_probe(maker: Maker, teacher: Teacher, settings: Settings) -> Probe:
    """From batches of sounds that are made now, of which at least one."""
    torch.manual_seed(settings.seed)
    heard, shares, moments = [], [], []
    clock = Clock(settings.probe_seconds)
    for number in range(settings.probe_batches):
        if number and clock.done() >= 1:
            break
        fresh = maker.batch(settings.batch, SHORT_FRAMES)
        found = teacher.hear(fresh)
        heard.append(found.embedding)
        shares.append(fresh.shares)
        if number < OF_MOMENTS:
            moments.append(found.moments.flatten(0, 1).sqrt())
    roots, x, y = torch.cat(moments), torch.cat(heard), torch.cat(shares)
    linear = nn.Linear(EMBEDDING, y.shape[1]).to(x.device)
    probe = Probe(roots.mean(0), roots.std(0) + LEAST_DEVIATION, linear)
    x = probe.standard(x)
    optimiser = torch.optim.AdamW(linear.parameters(), PROBE_RATE, weight_decay=settings.probe_decay)
    for step in range(settings.probe_steps):
        optimiser.param_groups[0]["lr"] = PROBE_RATE * (1 - step / settings.probe_steps)
        rows = torch.randint(len(x), (min(len(x), PROBE_ROWS),), device=x.device)
        optimiser.zero_grad()
        F.cross_entropy(linear(x[rows]), y[rows]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    linear.requires_grad_(False)
    print(f"probe: {clock.elapsed():.0f} s, {len(x)} sounds", flush=True)
    return probe


@dataclass(frozen=True)
class Learnt:
    student: Student
    probe: Probe
    steps: int


def learn(maker: Maker, teacher: Teacher, probe: Probe, config: EncoderConfig, settings: Settings) -> Learnt:
    """The averaged student when the time is over. Raises Error when the loss is no number."""
    torch.manual_seed(settings.seed)
    device = maker.device
    model = Student(probe.linear.out_features, config).to(device)
    average = copy.deepcopy(model).eval().requires_grad_(False)
    optimiser = torch.optim.AdamW(
        _decaying(model, settings), settings.learning_rate, fused=device.type == "cuda"
    )
    clock, step = Clock(settings.seconds), 0
    lengths = torch.Generator().manual_seed(settings.seed)
    while (done := clock.done()) < 1:
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * rate(done, settings.warm_up)
        long = float(torch.rand((), generator=lengths)) < LONG
        frames, size = (LONG_FRAMES, settings.batch // 2) if long else (SHORT_FRAMES, settings.batch)
        fresh = maker.batch(size, frames)
        loss = _loss(model, fresh, teacher.hear(fresh), probe, done, settings)
        optimiser.zero_grad()
        loss.sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        follow(average, model, min(settings.average, (step + 1) / (step + 10)))
        step += 1
        if step % settings.report == 0 or step in (1, 2, 5, 20):
            values = loss.tolist()  # waits for the card
            parts = ", ".join(f"{n} {v:.3f}" for n, v in zip(LOSSES, values, strict=True))
            print(f"encoder: {clock.elapsed():.0f} s, step {step}: {parts}", flush=True)
            if not math.isfinite(sum(values)):
                raise Error(f"step {step}: the loss is no number; lower the learning rate")
    return Learnt(average, probe, step)


def _decaying(model: nn.Module, settings: Settings) -> list[dict[str, object]]:
    """Matrices decay; norms, biases and positions don't."""
    matrices = [p for p in model.parameters() if p.ndim in (2, 4)]
    others = [p for p in model.parameters() if p.ndim not in (2, 4)]
    return [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def _loss(
    model: Student, fresh: Fresh, heard: Heard, probe: Probe, done: float, settings: Settings
) -> Tensor:
    """Those of LOSSES, weighted."""
    config = model.encoder.config
    features = _hidden(log_mel(fresh.waveforms), fresh.frames)
    sound = torch.arange(config.patches, device=features.device) % config.grid[1] * config.patch
    keep = None
    if done < 1 - settings.whole:
        keep = draw_patches(features, fresh.frames, settings.kept, config)
    with quick_products(features.device):
        labels, scores, embedding, moments = model(features, keep)
    columns = torch.arange(config.patches, device=features.device).expand(len(features), -1)
    columns = columns if keep is None else keep
    target = probe.standard(_at_columns(heard, config))  # [entries, columns, 1024]
    target = target.gather(1, (columns % config.grid[1])[..., None].expand(-1, -1, EMBEDDING))
    in_sound = (sound[columns] < fresh.frames[:, None]).float()
    of_moments = ((moments.float() - target).square().mean(2) * in_sound).sum() / in_sound.sum()
    weights = torch.tensor(settings.weights, device=features.device)
    return weights * torch.stack(
        [
            F.cross_entropy(labels.float(), probe.classes(heard.embedding)),
            F.binary_cross_entropy_with_logits(scores.float(), heard.scores, reduction="sum") / len(scores),
            F.mse_loss(embedding.float(), probe.standard(heard.embedding)),
            of_moments,
        ]
    )


def _at_columns(heard: Heard, config: EncoderConfig) -> Tensor:
    """What the teacher heard in the middle of each column of patches [entries, columns, 1024]: between the
    two moments nearest to it."""
    middles = torch.arange(config.grid[1], device=heard.count.device) * config.patch + config.patch / 2
    last = (heard.count - 1)[:, None]
    place = ((middles - PATCH / 2) / HOP).clamp(min=0).minimum(last.float())
    before = place.long()
    after = (before + 1).minimum(last)
    of_after = (place - before)[..., None]

    def at(moment: Tensor) -> Tensor:
        return heard.moments.gather(1, moment[..., None].expand(-1, -1, EMBEDDING))

    return at(before) * (1 - of_after) + at(after) * of_after


def _hidden(log: Tensor, frames: Tensor) -> Tensor:
    """Features [entries, 1024, 128]; a few neighbouring bands of every other entry lie at its mean."""
    entries, _, bands = log.shape
    start = torch.randint(bands, (entries, 1), device=log.device)
    width = torch.randint(-MOST_HIDDEN, MOST_HIDDEN + 1, (entries, 1), device=log.device)
    band = torch.arange(bands, device=log.device)
    hides = (band >= start) & (band < start + width)
    mean = log.mean((1, 2), keepdim=True)
    return normalised(torch.where(hides[:, None], mean, log), frames)


def draw_patches(features: Tensor, frames: Tensor, kept: int, config: EncoderConfig) -> Tensor:
    """[entries, kept]: patches that hold sound before others, loud ones more often; some of the padding."""
    rows, columns = config.grid
    entries, device = len(features), features.device
    start = torch.arange(columns, device=device).repeat(rows) * config.patch
    loudness = F.avg_pool2d(features[:, None], config.patch)[:, 0].mT.flatten(1)
    gumbel = -(-torch.rand(entries, rows * columns, device=device).clamp(1e-6, 1 - 1e-6).log()).log()
    keys = gumbel + torch.rand(entries, 1, device=device) * loudness
    heard = start < frames[:, None]
    sounding = heard.sum(1)
    count = torch.minimum(sounding, (kept * (0.6 + 0.4 * torch.rand(entries, device=device))).long())
    count = torch.maximum(count, kept - (rows * columns - sounding))
    far = 1e6
    ranks = torch.where(heard, keys, keys - far).argsort(1, descending=True).argsort(1)
    in_padding = ranks - sounding[:, None]
    chosen = torch.where(heard, ranks < count[:, None], in_padding < (kept - count)[:, None])
    return chosen.float().topk(kept, 1).indices


def whole_clips(maker: Maker, count: int, frames: int) -> Iterator[Fresh]:
    """The maker's recordings as they are, in their order."""
    device = maker.device
    for start in range(0, count, 128):
        yield maker.views(torch.arange(start, min(count, start + 128), device=device), frames, plain=True)


@torch.no_grad()
def named(learnt: Learnt, teacher: Teacher, maker: Maker, labels: Tensor) -> dict[str, float]:
    """The share of a maker's recordings, as they are, that student and probe name rightly."""
    right = {"student": 0, "probe on the student's embedding": 0, "probe on the teacher's embedding": 0}
    student, probe = learnt.student.eval(), learnt.probe
    at = 0
    for fresh in whole_clips(maker, len(labels), LONG_FRAMES):
        own = labels[at : at + len(fresh.frames)]
        at += len(own)
        with quick_products(own.device):
            found, _, embedding, _ = student(normalised(log_mel(fresh.waveforms), fresh.frames))
        answers = (
            found,
            probe.linear(embedding.float()),
            probe.classes(teacher.hear(fresh).embedding),
        )
        for name, answer in zip(right, answers, strict=True):
            right[name] += int((answer.argmax(1) == own).sum())
    return {name: count / len(labels) for name, count in right.items()}

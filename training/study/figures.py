"""The study's figures, as SVG text. matplotlib comes with the extra `shard`."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ltu.shard.score.records import way
from ltu.shard.spec.relations import IDENTITY, PAPER_RELATIONS
from ltu.show.svg import GREY, PALETTE, axes_of, drawing, svg_of
from ltu.training.study.claims import Judged
from ltu.training.study.document import Document, Level
from ltu.training.study.models import COMPARED
from ltu.training.study.tables import NAMES

COLOURS = dict(zip((*PAPER_RELATIONS, IDENTITY), PALETTE, strict=False))


@dataclass(frozen=True)
class Figure:
    name: str
    caption: str
    svg: str


def figures(document: Document) -> Iterator[Figure]:
    """Raises Error without matplotlib."""
    judged = [row for row in document.verdicts if row.claim.role != "table"]
    with drawing():
        yield Figure(
            "verdicts",
            "Each claim's difference, turned so that the claimed sign is right of 0, with its 95 % interval"
            " over recordings and seeds; small marks are seeds",
            _verdicts(judged),
        )
        yield Figure(
            "ways",
            "J of every model as it was asked, mean over splits and seeds, 95 % intervals; a model that does"
            " not listen has 0, or −u if it answers neither yes nor no to a share u",
            _ways(document.levels),
        )


def _verdicts(rows: Sequence[Judged]) -> str:
    figure, axes = axes_of(7.2, 0.24 * len(rows) + 0.8)
    for place, row in enumerate(reversed(rows)):
        sign, found, colour = row.claim.sign, row.estimate, COLOURS[row.claim.task]
        seeds = [sign * difference for difference in _by_seed(row) if math.isfinite(difference)]
        axes.plot(seeds, [place - 0.2] * len(seeds), "|", color=colour, markersize=5)
        if found.known:
            axes.plot([sign * found.low, sign * found.high], [place, place], color=colour, linewidth=2)
            axes.plot(sign * found.value, place, "D", color=colour, markersize=4)
    axes.axvline(0, color=GREY, linewidth=0.8)
    labels = [_label(row) for row in rows]
    axes.set_yticks(range(len(rows)), reversed(labels), fontsize=7)
    axes.set_ylim(-0.8, len(rows) - 0.3)
    axes.set_xlabel("difference in the claimed direction")
    return svg_of(figure)


def _by_seed(row: Judged) -> Iterator[float]:
    for first, second in zip(*row.levels, strict=True):
        for index in range(max(len(first), len(second))):
            yield first[index % len(first)] - second[index % len(second)]


def _label(row: Judged) -> str:
    claim = row.claim
    return f"{claim.id}  {claim.task}, {NAMES.get(claim.figure, claim.figure)}: {row.verdict}"


def _ways(levels: Sequence[Level]) -> str:
    asked = [(model, cell) for model, recipe in COMPARED.items() for cell in recipe.asked]
    figure, axes = axes_of(8.4, 0.24 * len(asked) + 1, columns=len(PAPER_RELATIONS))
    for one, task in zip(axes, PAPER_RELATIONS, strict=True):
        for place, (model, cell) in enumerate(reversed(asked)):
            wanted = (model, task, *cell)
            j = next(r.figures["j"] for r in levels if (r.model, r.task, r.position, r.wording) == wanted)
            if j.known:
                one.plot([j.low, j.high], [place, place], color=COLOURS[task], linewidth=1)
                one.plot(j.value, place, "D", color=COLOURS[task], markersize=4)
        one.axvline(0, color=GREY, linewidth=0.8)
        one.set(title=f"{task}s", xlabel="J")
        one.set_yticks(
            range(len(asked)), [f"{COMPARED[m].title}: {way(*c)}" for m, c in reversed(asked)], fontsize=7
        )
    return svg_of(figure)

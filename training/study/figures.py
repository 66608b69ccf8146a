"""The study's figures, as SVG text. matplotlib comes with the extra `shard`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ltu.shard.score.records import way
from ltu.shard.spec.prompts import ALL_CELLS
from ltu.shard.spec.relations import IDENTITY, PAPER_RELATIONS
from ltu.show.svg import GREY, PALETTE, axes_of, drawing, svg_of
from ltu.training.study.models import RECIPES
from ltu.training.study.tables import NAMES

Row = Mapping[str, Any]
COLOURS = dict(zip((*PAPER_RELATIONS, IDENTITY), PALETTE, strict=False))


@dataclass(frozen=True)
class Figure:
    name: str
    caption: str
    svg: str


def figures(document: Row) -> Iterator[Figure]:
    """Raises Error without matplotlib."""
    with drawing():
        yield Figure(
            "verdicts",
            "Each claim's difference, turned so that the claimed sign is right of 0, with its 95 % interval"
            " over recordings and seeds; small marks are seeds",
            _verdicts(document["verdicts"]),
        )
        yield Figure(
            "ways",
            "J of every model in every way of asking, mean over seeds, 95 % intervals; a model that does not"
            " listen has 0, or −u if it answers neither yes nor no to a share u",
            _ways(document["levels"]),
        )


def _verdicts(rows: Sequence[Row]) -> str:
    figure, axes = axes_of(7.2, 0.24 * len(rows) + 0.8)
    for place, row in enumerate(reversed(rows)):
        sign, found = row["sign"], row["exact"]
        colour = COLOURS[row["task"]]
        first, second = found["levels"]
        seeds = [sign * (a - b) for a, b in zip(first, second, strict=True) if None not in (a, b)]
        axes.plot(seeds, [place - 0.2] * len(seeds), "|", color=colour, markersize=5)
        if found["low"] is not None:
            axes.plot([sign * found["low"], sign * found["high"]], [place, place], color=colour, linewidth=2)
        if found["value"] is not None:
            axes.plot(sign * found["value"], place, "D", color=colour, markersize=4)
    axes.axvline(0, color=GREY, linewidth=0.8)
    labels = [f"{r['id']}  {r['task']}, {NAMES.get(r['figure'], r['figure'])}: {r['verdict']}" for r in rows]
    axes.set_yticks(range(len(rows)), reversed(labels), fontsize=7)
    axes.set_ylim(-0.8, len(rows) - 0.3)
    axes.set_xlabel("difference in the claimed direction")
    return svg_of(figure)


def _ways(rows: Sequence[Row]) -> str:
    figure, axes = axes_of(8.4, 0.32 * len(ALL_CELLS) * 2 + 1, columns=len(PAPER_RELATIONS))
    marks = dict(zip(RECIPES, "osD^v", strict=True))
    for one, task in zip(axes, PAPER_RELATIONS, strict=True):
        for step, model in enumerate(RECIPES):
            for place, cell in enumerate(reversed(ALL_CELLS)):
                wanted = {"model": model, "task": task, **cell._asdict()}
                j = next(r["figures"]["j"] for r in rows if all(r[key] == wanted[key] for key in wanted))
                at, colour = place + 0.3 - 0.15 * step, f"C{step}"
                label = RECIPES[model].title if place == 0 else None
                one.plot(j["value"], at, marks[model], color=colour, markersize=4, label=label)
                one.plot([j["low"], j["high"]], [at, at], color=colour, linewidth=1)
        one.axvline(0, color=GREY, linewidth=0.8)
        one.set(title=f"{task}s", xlabel="J")
        one.set_yticks(range(len(ALL_CELLS)), [way(*cell) for cell in reversed(ALL_CELLS)])
    axes[-1].legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return svg_of(figure)

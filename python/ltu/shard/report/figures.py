"""The page's figures, as SVG text."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Any

from ltu.shard.report.document import Report
from ltu.shard.report.tables import with_interval
from ltu.shard.score.records import CalibrationRow, Condition, ErrorSplit, Figure, Part, WordRow
from ltu.show.svg import GREY, PALETTE, axes_of, drawing, ink_on, name_points, svg_of

Points = Sequence[tuple[float, float]]

CAUSES = {"not heard": "#b8c4ce", "not known": "#e0b25b", "not joined": "#a33b3b"}


def figures(report: Report) -> Iterator[tuple[str, str]]:
    """(caption, SVG) of each figure that the report has data for. Raises Error without matplotlib."""
    with drawing():
        whole = [r for r in report.conditions if r.part == "all" and r.reading == "careful"]
        if whole:
            yield (
                "Youden's J with 95 % intervals; 0 is a model that does not listen",
                _j(report, whole),
            )
            yield (
                "Recall against false alarms; on the diagonal yes is said to right and wrong alike",
                _plane(whole),
            )
        groups = [r for r in report.conditions if r.part == "group" and r.over_noise]
        if groups:
            yield "J over noise by group of sounds, with 95 % intervals", _heat(groups)
        if report.words:
            yield (
                "Each point a word: how often right and wrong terms are taken",
                _scatter(report.words),
            )
        if report.calibration:
            yield (
                "Reliability: how often yes is right at each P(yes); on the diagonal it is calibrated",
                _reliability(report.calibration),
            )
            yield (
                "Risk and coverage: wrong answers among those that the model is surest of",
                _risk(report.calibration),
            )
        if any(row.errors for row in report.errors):
            yield "Wrong answers by cause", _causes(report.errors)


def colours_of(rows: Sequence[Condition]) -> dict[str, str]:
    """Of each task that the rows are about, in their order."""
    return dict(zip(dict.fromkeys(row.task for row in rows), cycle(PALETTE), strict=False))


def _j(report: Report, whole: Sequence[Part]) -> str:
    controls = {
        (r.task, r.way, r.name): r.figures["j"]
        for r in report.conditions
        if r.part == "control" and r.name != "silence"
    }
    figure, axes = axes_of(6.4, 0.7 * len(whole) + 1.1)
    colours = colours_of(whole)
    marks = {"word": "s", "noise": "^", "other": "x"}
    for place, row in enumerate(reversed(whole)):
        j = row.figures["j"]
        _interval(axes, j, place, colours[row.task], label="the clip" if place == 0 else None)
        for lower, (name, mark) in enumerate(marks.items(), 1):
            control = controls.get((row.task, row.way, name))
            if control is not None and control.value is not None:
                label = {"other": "another clip"}.get(name, name) if place == 0 else None
                _interval(axes, control, place - 0.2 * lower, GREY, mark, label)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_yticks(range(len(whole)), [f"{r.task}\n{r.way}" for r in reversed(whole)])
    drawn = [*controls.values(), *(row.figures["j"] for row in whole)]
    axes.set_xlim(min(0.0, *map(_least, drawn)) - 0.05, 1.05)
    axes.set_xlabel("J")
    if controls:
        axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return svg_of(figure)


def _least(figure: Figure) -> float:
    """The left end of what is drawn of it; 0 of nothing."""
    end = figure.value if figure.low is None else figure.low
    return 0.0 if end is None else end


def _number(value: float | None) -> float:
    """NaN, which is not drawn, where there is none."""
    return math.nan if value is None else value


def _interval(
    axes: Any,
    j: Figure,
    place: float,
    colour: str,
    mark: str = "D",
    label: str | None = None,
) -> None:
    if j.value is None:
        return
    if j.low is not None and j.high is not None:
        axes.plot([j.low, j.high], [place, place], color=colour, linewidth=2 if mark == "D" else 1)
    axes.plot(j.value, place, mark, color=colour, markersize=6 if mark == "D" else 4, label=label)


def _plane(whole: Sequence[Part]) -> str:
    figure, axes = axes_of(4.6, 4.2)
    colours = colours_of(whole)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    for row in whole:
        hit, kept = row.figures["recall"], row.figures["specificity"]
        alarm = 1 - _number(kept.value)
        open_mark = {"markerfacecolor": "none"} if row.position == "prepended" else {}
        colour = colours[row.task]
        axes.plot(alarm, hit.value, "D", color=colour, label=f"{row.task}: {row.way}", **open_mark)
        axes.plot([alarm, alarm], [_number(hit.low), _number(hit.high)], color=colour, linewidth=1)
        bounds = [1 - _number(kept.high), 1 - _number(kept.low)]
        axes.plot(bounds, [_number(hit.value)] * 2, color=colour, linewidth=1)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="1 − specificity", ylabel="recall")
    axes.legend(fontsize=7, frameon=False, loc="lower right")
    return svg_of(figure)


def _heat(groups: Sequence[Part]) -> str:
    import numpy as np

    names = sorted({row.name for row in groups})
    ways = list(dict.fromkeys((row.task, row.way) for row in groups))
    values = np.full((len(ways), len(names)), np.nan)
    texts = np.full(values.shape, "–", object)
    for row in groups:
        place = ways.index((row.task, row.way)), names.index(row.name)
        if row.over_noise:
            values[place] = _number(row.over_noise.value)
            texts[place] = with_interval(row.over_noise).replace(" [", "\n[")
    figure, axes = axes_of(1.4 * len(names) + 2.4, 0.55 * len(ways) + 1)
    image = axes.imshow(values, cmap="RdYlBu", vmin=-1, vmax=1, aspect="auto")
    for (y, x), value in np.ndenumerate(values):
        ink = GREY if np.isnan(value) else ink_on(image.to_rgba(value))
        axes.text(x, y, texts[y, x], ha="center", va="center", color=ink, fontsize=8)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(ways)), [f"{task}, {asked}" for task, asked in ways])
    return svg_of(figure)


def _scatter(words: Sequence[WordRow]) -> str:
    ways = list(dict.fromkeys((row.task, row.way) for row in words))
    height = (len(ways) + 1) // 2
    figure, axes = axes_of(5.6, 2.7 * height, columns=2, rows=height)
    colours = colours_of(words)
    for one, (task, asked) in zip(axes, ways, strict=False):
        one.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
        one.set(xlim=(-0.05, 1.1), ylim=(-0.05, 1.1), title=f"{task}\n{asked}", xlabel="1 − specificity")
        points = [
            (row.label.split(",")[0], 1 - row.specificity, row.recall)
            for row in words
            if (row.task, row.way) == (task, asked) and row.recall is not None and row.specificity is not None
        ]
        for _, x, y in points:
            one.plot(x, y, "o", color=colours[task], markersize=4, alpha=0.6)
        name_points(one, points)
    for one in axes[::2]:
        one.set_ylabel("recall")
    for one in axes[len(ways) :]:
        one.remove()
    return svg_of(figure)


def _curves(
    rows: Sequence[CalibrationRow],
    points_of: Callable[[CalibrationRow], Points],
    xlabel: str,
    ylabel: str,
    diagonal: bool = False,
) -> str:
    """A panel a task, in each a curve for each way of asking and source of P(yes)."""
    tasks = list(dict.fromkeys(row.task for row in rows))
    figure, drawn = axes_of(5.6, 3.6, columns=len(tasks))
    panels = drawn if len(tasks) > 1 else [drawn]
    named: dict[str, Any] = {}
    for axes, task in zip(panels, tasks, strict=True):
        mine = [row for row in rows if row.task == task]
        colours = dict(zip(dict.fromkeys(row.way for row in mine), cycle(PALETTE), strict=False))
        if diagonal:
            axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
        for row in mine:
            dotted = {} if row.source == "log-odds" else {"linestyle": ":", "markerfacecolor": "none"}
            x, y = zip(*points_of(row), strict=True)
            line, *_ = axes.plot(x, y, marker="o", markersize=4, color=colours[row.way], **dotted)
            named[f"{row.way} ({row.source})"] = line
        axes.set(title=task, xlabel=xlabel, xlim=(-0.03, 1.03))
    panels[0].set(ylabel=ylabel, ylim=(-0.03, 1.03) if diagonal else (0, None))
    figure.legend(named.values(), named, fontsize=7, frameon=False, loc="outside lower center", ncols=2)
    return svg_of(figure)


def _reliability(rows: Sequence[CalibrationRow]) -> str:
    def points(row: CalibrationRow) -> Points:
        return [(b.probability, b.share) for b in row.found.reliability]

    return _curves(rows, points, xlabel="P(yes)", ylabel="share whose answer is yes", diagonal=True)


def _risk(rows: Sequence[CalibrationRow]) -> str:
    return _curves(rows, lambda row: row.found.risk, xlabel="coverage", ylabel="share that is wrong")


def _causes(errors: Sequence[ErrorSplit]) -> str:
    rows = [row for row in reversed(errors) if row.errors]
    figure, axes = axes_of(6, 0.45 * len(rows) + 1)
    left = [0.0] * len(rows)
    for cause, colour in CAUSES.items():
        shares = [_number(row.shares[cause]) * row.errors / row.answers * 100 for row in rows]
        axes.barh(range(len(rows)), shares, left=left, color=colour, label=cause)
        left = [a + b for a, b in zip(left, shares, strict=True)]
    axes.set_yticks(range(len(rows)), [f"{row.task}, {row.way}" for row in rows])
    axes.set_xlabel("wrong answers, % of all")
    axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return svg_of(figure)

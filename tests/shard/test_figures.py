"""The page's figures, as matplotlib lays them out."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from fake import Benchmark, FakeModel
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from ltu.query import Query
from ltu.shard.report import figures
from ltu.shard.report.document import report
from ltu.shard.run.runs import Settings, prepare
from ltu.shard.run.store import Store
from ltu.shard.run.sweep import sweep
from ltu.shard.score.scored import load_run
from ltu.show.svg import ink_on

Drawn = dict[str, Figure]


class Evasive(FakeModel):
    def _speaker(self, query: Query) -> Callable[[Any], str]:
        return lambda _: "It could be."


def drawn(model: FakeModel, benchmark: Benchmark, path: Path, **settings: bool) -> Drawn:
    """Each figure of the model's report by the first word of its caption."""
    store = Store(path, create=True)
    with store.writing():
        asked = Settings(controls=True, **settings)
        sweep(model, store, prepare(store, benchmark.spec, model, benchmark.folder, asked), print, {})
    kept: list[Figure] = []

    def keep(figure: Figure) -> str:
        figure.draw_without_rendering()
        kept.append(figure)
        return "<svg>"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "svg_of", keep)
        captions = [caption for caption, _ in figures.figures(report(load_run(store)))]
    return {caption.split()[0]: figure for caption, figure in zip(captions, kept, strict=True)}


@pytest.fixture(scope="module")
def good(benchmark: Benchmark, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    folder = tmp_path_factory.mktemp("good")
    return drawn(benchmark.model(folder / "m.gguf"), benchmark, folder / "r.db", exact=True, scores=True)


def overlapping(boxes: list[Any]) -> list[Any]:
    return [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]


def test_the_axis_of_j_ends_where_what_is_drawn_does(
    good: Drawn, benchmark: Benchmark, tmp_path: Path
) -> None:
    """It began at −.35, whatever there was to show."""
    evasive = drawn(Evasive(tmp_path / "e.gguf", benchmark.hears), benchmark, tmp_path / "e.db")
    least = []
    for figure in (good["Youden's"], evasive["Youden's"]):
        (axes,) = figure.axes
        low, high = axes.get_xlim()
        xs = [float(x) for line in axes.lines for x in line.get_xdata()]
        least.append(min(xs))
        assert low < min(xs) < low + 0.11
        assert max(xs) < high
    assert least[0] > -0.6 > least[1] == pytest.approx(-1)


def test_no_name_lies_on_another_or_on_a_point(good: Drawn) -> None:
    names = 0
    for axes in good["Each"].axes:
        boxes = [text.get_window_extent() for text in axes.texts]
        names += len(boxes)
        assert overlapping(boxes) == []
        for line in axes.lines[1:]:  # behind the diagonal
            (place,) = axes.transData.transform(list(zip(*line.get_data(), strict=True)))
            assert not any(box.contains(*place) for box in boxes)
    assert names > 20, "of forty points"


def test_legends_lie_on_no_curve(good: Drawn) -> None:
    for name in ("Reliability:", "Risk"):
        figure = good[name]
        (legend,) = figure.legends
        assert len({line.get_color() + line.get_linestyle() for line in legend.get_lines()}) == 4
        panels = [axes.get_window_extent() for axes in figure.axes]
        assert len(panels) == 2
        assert overlapping([legend.get_window_extent(), *panels]) == []


def contrast(one: Any, other: Any) -> float:
    """As in WCAG 2."""

    def luminance(colour: Any) -> float:
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_figures_on_the_map_of_groups_can_be_read(good: Drawn) -> None:
    (axes,) = good["J"].axes
    (image,) = axes.images
    assert len(axes.texts) == image.get_array().size == 12
    for text in axes.texts:
        x, y = text.get_position()
        ground = image.to_rgba(image.get_array())[int(y), int(x), :3]
        assert contrast(text.get_color(), ground) > 4.5, text.get_text()


@pytest.mark.parametrize(
    ("ground", "ink"),
    [("#ffffff", "#010101"), ("#767676", "#010101"), ("#757575", "#fefefe"), ("#0000ff", "#fefefe")],
)
def test_ink_is_the_one_of_more_contrast(ground: str, ink: str) -> None:
    """White has 4.54 on #767676 and 4.61 on #757575, of 21."""
    assert ink_on(to_rgb(ground)) == ink

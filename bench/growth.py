"""How a sweep's time grows with repeats, questions about a clip, and clips: with the tree and without.

    python bench/growth.py [--rounds 3] [--json FILE] [--figure FILE]

The demo model on two threads, without drafts; clips are encoded before the clock starts. One of the three is
varied, the others stay at 4 repeats, 8 questions and 2 clips. The slope is that of the least squares line.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from ltu.demo_model import demo_model_path
from machine import processor
from sweep import work_of
from sweep_peers import Ours

AXES = {
    "repeats": [1, 2, 4, 8, 16, 32, 64],
    "questions": [1, 2, 4, 8, 16, 32, 64],
    "clips": [1, 2, 4, 8, 16],
}
USUAL = {"repeats": 4, "questions": 8, "clips": 2}
NO_TREE_UP_TO = 16  # it takes long enough to show the line


def measure(rounds: int) -> list[dict[str, Any]]:
    gguf, found = demo_model_path(), []
    for axis, values in AXES.items():
        for value in values:
            size = {**USUAL, axis: value}
            work = work_of(gguf, size["clips"], size["questions"])
            for tree in (True, False):
                if not tree and value > NO_TREE_UP_TO:
                    continue
                times, positions = [], 0
                for _ in range(rounds):
                    peer = Ours(gguf, tree=tree, repeats=size["repeats"])
                    start = time.perf_counter()
                    positions = peer(work).positions
                    times.append(time.perf_counter() - start)
                found.append(
                    {
                        "axis": axis,
                        "value": value,
                        "tree": tree,
                        "seconds": min(times),
                        "positions": positions,
                    }
                )
    return found


def slope(found: list[dict[str, Any]], axis: str, tree: bool) -> tuple[float, float]:
    """Seconds and positions for each more of `axis`."""
    rows = [r for r in found if r["axis"] == axis and r["tree"] == tree]
    values = [r["value"] for r in rows]
    seconds, _ = np.polyfit(values, [r["seconds"] for r in rows], 1)
    positions, _ = np.polyfit(values, [r["positions"] for r in rows], 1)
    return float(seconds), float(positions)


def draw(found: list[dict[str, Any]], path: Path) -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(AXES), figsize=(10, 3.2), layout="constrained")
    for panel, axis in zip(panels, AXES, strict=True):
        for tree, colour in ((True, "tab:blue"), (False, "tab:grey")):
            rows = [r for r in found if r["axis"] == axis and r["tree"] == tree]
            label = f"{'one tree' if tree else 'without'}: {slope(found, axis, tree)[0] * 1e3:.0f} ms each"
            panel.plot(
                [r["value"] for r in rows], [r["seconds"] for r in rows], "o-", color=colour, label=label
            )
        panel.set(xlabel={"questions": "questions about a clip"}.get(axis, axis), ylim=(0, None))
        panel.legend(fontsize=8)
    panels[0].set_ylabel("seconds")
    figure.savefig(path, dpi=110)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--json", type=Path)
    options.add_argument("--figure", type=Path)
    chosen = options.parse_args()
    found = measure(chosen.rounds)
    for axis in AXES:
        for tree in (True, False):
            seconds, positions = slope(found, axis, tree)
            name = "one tree" if tree else "without"
            print(f"{axis}, {name}: {seconds * 1e3:.1f} ms and {positions:.1f} positions for each more")
    print(f"{processor()}; two threads")
    if chosen.json:
        chosen.json.write_text(json.dumps({"processor": processor(), "records": found}, indent=1) + "\n")
    if chosen.figure:
        draw(found, chosen.figure)


if __name__ == "__main__":
    main()

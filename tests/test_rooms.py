"""Rooms import one way, and what says so sees every import."""

from pathlib import Path

import rooms


def test_no_room_imports_against_the_direction_of_the_data() -> None:
    assert rooms.violations(rooms.arrows(rooms.ROOT), rooms.ORDER) == []


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    for path, lines in {
        "python/ltu/low.py": ["import os"],
        "python/ltu/high.py": ["def late():", "    if True:", "        from ltu import low"],
        "python/ltu/typed.py": ["if TYPE_CHECKING:", "    import ltu.low", "else:", "    import ltu.high"],
        "python/ltu/shard/__init__.py": [],
        "python/ltu/shard/run/__init__.py": [],
        "python/ltu/shard/run/sweep.py": ["from ..score import figures", "from .store import Store"],
        "python/ltu/shard/run/store.py": ["from ltu._engine import Engine"],
        "python/ltu/shard/score/figures.py": ["from ltu.low import something"],
        "training/run/train.py": ["import ltu.convert.model as m"],
        "convert/model.py": [],
        "cpp/tree/cells.h": ['#include "file/model.h"', '#include "tree/tree.h"', "#include <vector>"],
        "cpp/file/model.h": ['#include "ggml.h"'],
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("\n".join(lines))
    assert {arrow: len(places) for arrow, places in rooms.arrows(tmp_path).items()} == {
        ("ltu.high", "ltu.low"): 1,
        ("ltu.typed", "ltu.high"): 1,
        ("ltu.shard.run", "ltu.shard.score"): 1,
        ("ltu.shard.run", "ltu._engine"): 1,
        ("ltu.shard.score", "ltu.low"): 1,
        ("ltu.training.run", "ltu.convert"): 1,
        ("cpp/tree", "cpp/file"): 1,
    }


def test_circles_neighbours_and_unknown_rooms_are_named() -> None:
    found = {
        ("a", "b"): ["x.py:1"],
        ("b", "a"): ["y.py:2", "y.py:3"],
        ("c", "b"): ["z.py:4"],
        ("b", "d"): ["y.py:5"],
    }
    assert rooms.violations(found, "a\nb c") == [
        "d: the order in tests/rooms.py does not name this room",
        "x.py:1: a imports b, which stands below it",
        "z.py:4: c imports b, which stands beside it",
    ]

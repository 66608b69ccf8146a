"""A study that is killed anywhere goes on where it was, and repeats nothing that was finished."""

import json
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from typer.testing import CliRunner

from ltu.files import write_json
from ltu.training.config import read_config
from ltu.training.study import __main__ as study_main
from ltu.training.study.folder import Folder
from ltu.training.study.models import RECIPES, Part, Training
from ltu.training.study.sizes import Sizes, read_sizes
from ltu.training.study.steps import Step, Study, take

SIZES = Sizes(True, 3, 32, 16, 2, 1, (1e-3, 5e-4), (1e-4, 1e-3), 8)
CONFIGS = [read_config(study_main.CONFIGS / f"{name}.toml") for name in ("base", "tuned")]


class KilledError(Exception):
    pass


class Work:
    """Stands in for what a step does: leaves its file, unless its time has come."""

    def __init__(self, folder: Path) -> None:
        self.folder = Folder(folder)
        self.done: Counter[str] = Counter()
        self.started: list[tuple[Training, Training | None]] = []
        self.left = -1  # steps until the kill; -1: never

    def leave(self, path: Path, value: Any = None) -> None:
        if self.left == 0:
            raise KilledError
        self.left -= 1
        write_json(path, value)
        self.done[str(path)] += 1

    def write_benchmark(self) -> None:
        self.leave(self.folder.benchmark)

    def write_questions(self, name: str, rounds: Mapping[Part, int]) -> None:
        self.leave(self.folder.questions(name) / "done")

    def write_start(self, seed: int) -> None:
        self.leave(self.folder.start(seed) / "ltu.json")

    def learn(self, training: Training, start: Training | None) -> None:
        loss = {1e-3: 2.0, 5e-4: 1.0, 1e-4: 3.0}[training.rate]
        if training.model == "small-prepended":
            loss = {1e-3: 9.0, 1e-4: 3.0}[training.rate]
        self.leave(self.folder.log(training), {"development_loss": loss})
        self.started.append((training, start))

    def write_gguf(self, training: Training) -> None:
        self.leave(self.folder.gguf(training))

    def check(self, training: Training) -> None:
        self.leave(self.folder.development(training))

    def ask(self, training: Training) -> None:
        self.leave(self.folder.report(training))


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def study(work: Work) -> Study:
    return Study(work.folder, SIZES, work)


def test_killed_before_every_step_it_repeats_none(work: Work) -> None:
    kills = 0
    while True:
        work.left = 1 + kills % 3
        try:
            take(study(work).stages())
            break
        except KilledError:
            kills += 1
    assert kills > 30
    assert set(work.done.values()) == {1}
    before = dict(work.done)
    take(study(work).stages())
    assert work.done == before


def test_processes_share_a_stage_and_wait_for_it(tmp_path: Path) -> None:
    done: list[str] = []
    second_is_there = Event()

    def first() -> None:
        assert second_is_there.wait(10)  # alone, a process would stay here
        done.append("first")
        (tmp_path / "first").touch()

    def other(name: str) -> None:
        done.append(name)
        (tmp_path / name).touch()
        second_is_there.set()

    stages = [
        [
            Step("first", tmp_path / "first", first),
            Step("second", tmp_path / "second", lambda: other("second")),
        ],
        [Step("last", tmp_path / "last", lambda: other("last"))],
    ]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(take, [iter(stages), iter(stages)]))
    assert done == ["second", "first", "last"]


def test_rates_are_those_with_the_least_loss_on_development_clips(work: Work) -> None:
    take(study(work).stages())
    rates = {(t.model, t.rate) for t in study(work).models()}
    assert rates == {("base", 5e-4), *((m, 1e-4) for m in RECIPES if m != "base")}  # 1e-3: prepended is worse
    assert json.loads(work.folder.rates.read_text())["development_loss"]["tuned"] == {
        "0.0001": 3.0,
        "0.001": 5.5,
    }


def test_a_seed_goes_all_the_way_through(work: Work) -> None:
    take(study(work).stages())
    for training, base in work.started:
        if training.model == "base":
            assert base is None
        else:
            assert base == Training("base", training.seed, 5e-4)
    assert Counter(t.model for t in study(work).models()) == dict.fromkeys(RECIPES, 3)


def test_controls_have_the_items_and_steps_that_they_control_for() -> None:
    small, prepended, long, large = (
        RECIPES[name] for name in ("small", "small-prepended", "small-long", "large")
    )
    assert small.epochs(SIZES) == prepended.epochs(SIZES) == large.epochs(SIZES) == 1
    assert [r.part for r in (small, prepended, long, large)] == ["small", "small", "small", "large"]
    assert long.epochs(SIZES) * SIZES.small_rounds == large.epochs(SIZES) * SIZES.large_rounds


@pytest.mark.parametrize("name", ["study", "quick"])
def test_shipped_sizes_make_equal_steps_of_equal_batches(name: str) -> None:
    sizes = read_sizes(study_main.CONFIGS / f"{name}.toml")
    batch = CONFIGS[1].train.batch
    small, large = (86 * rounds for rounds in (sizes.small_rounds, sizes.large_rounds))
    share = sizes.large_rounds // sizes.small_rounds
    assert -(-small // batch) * share - -(-large // batch) <= share  # a last, short batch each time
    assert sizes.claims == (name == "study")


def test_sizes_that_say_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 8 times"):
        Sizes(True, 3, 32, 12, 2, 1, (1e-3,), (1e-4,), 8)
    with pytest.raises(ValueError, match="seeds"):
        Sizes(True, 1, 32, 16, 2, 1, (1e-3,), (1e-4,), 8)


def test_a_folder_without_recordings_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    found = CliRunner().invoke(
        study_main.app, ["--esc10", str(tmp_path / "none"), "--output", str(tmp_path / "out")]
    )
    assert found.exit_code == 1
    assert (
        found.stderr
        == f"error: {tmp_path}/none/labels.csv: no such file; give the ESC-10 folder with labels.csv\n"
    )
    assert not (tmp_path / "out").exists()

"""A study that is killed anywhere goes on where it was, and repeats nothing that was finished."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
import torch
from typer.testing import CliRunner

from ltu.errors import Error
from ltu.training.config import read_config
from ltu.training.study import __main__ as study_main
from ltu.training.study.folder import DEVELOPMENT, Folder, base_questions, tuning_questions
from ltu.training.study.models import AGAIN, BASE, RECIPES, TUNED, Training
from ltu.training.study.records import Gate, Log, Named, Rates, Tried
from ltu.training.study.sizes import Sizes, read_sizes
from ltu.training.study.start import read_encoder
from ltu.training.study.steps import Step, Study, take

SIZES = Sizes(True, 3, 3, 240, 48, 24, 24, 5e-4, (2e-5, 1e-4, 3e-4), 8, 2)
TUNED_CONFIG = read_config(study_main.CONFIGS / "study" / "tuned.toml")
BASE_CONFIG = read_config(study_main.CONFIGS / "study" / "base.toml")


class KilledError(Exception):
    pass


class Work:
    """Stands in for what a step does: leaves its file, unless its time has come. Split 1 misses the gate."""

    def __init__(self, folder: Path) -> None:
        self.folder = Folder(folder)
        self.done: Counter[str] = Counter()
        self.started: list[tuple[Training, Training | None]] = []
        self.left = -1  # steps until the kill; -1: never
        self.answers_loss = {2e-5: 2.0, 1e-4: 1.5, 3e-4: 1.0}
        self.named = {2e-5: 0.79, 1e-4: 0.76, 3e-4: 0.6}  # of the base 0.8

    def begin(self, path: Path) -> None:
        if self.left == 0:
            raise KilledError
        self.left -= 1
        self.done[str(path)] += 1

    def leave(self, path: Path) -> None:
        self.begin(path)
        path.touch()

    def write_benchmarks(self, split: int) -> None:
        self.leave(self.folder.benchmark(split))

    def write_label_questions(self) -> None:
        self.leave(self.folder.label_questions)

    def write_development(self) -> None:
        self.leave(self.folder.questions_done(DEVELOPMENT))

    def write_base_questions(self, split: int) -> None:
        self.leave(self.folder.questions_done(base_questions(split)))

    def write_tuning_questions(self, split: int, seed: int) -> None:
        self.leave(self.folder.questions_done(tuning_questions(split, seed)))

    def write_start(self, split: int) -> None:
        self.leave(self.folder.start(split) / "ltu.json")

    def learn(self, training: Training, start: Training | None) -> None:
        path = self.folder.log(training)
        self.begin(path)
        loss = self.answers_loss.get(training.rate, 0.0)
        at = (training.model, training.split, training.seed, training.rate)
        Log(*at, steps=1, text_loss=3.0, answers_loss=loss, losses=()).write(path)
        self.started.append((training, start))

    def write_gguf(self, training: Training) -> None:
        self.leave(self.folder.gguf(training))

    def ask_gate(self, training: Training) -> None:
        path = self.folder.gate(training)
        self.begin(path)
        missed = training.split == 1 and training.model == BASE
        Gate({"synonym": 0.29 if missed else 0.3, "hypernym": 0.5}, named=0.5).write(path)

    def ask_labels(self, training: Training) -> None:
        path = self.folder.labels(training)
        self.begin(path)
        share = self.named.get(training.rate, 0.8)
        Named({"prepended": share, "interleaved": share}).write(path)

    def ask(self, training: Training) -> None:
        self.leave(self.folder.asked(training))


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
    assert kills > 80
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


def test_a_base_that_misses_the_gate_is_trained_one_more_epoch_once(work: Work) -> None:
    take(study(work).stages())
    again = [(training, start) for training, start in work.started if training.model == AGAIN]
    assert again == [(Training(AGAIN, 1, 0, 5e-4), Training(BASE, 1, 0, 5e-4))]
    bases = [study(work).base(split).model for split in range(3)]
    assert bases == [BASE, AGAIN, BASE]


def test_tuned_models_start_from_the_last_base_of_their_split(work: Work) -> None:
    take(study(work).stages())
    for training, start in work.started:
        if training.model in TUNED:
            assert start == study(work).base(training.split)
    models = study(work).models()
    assert Counter(t.model for t in models if t.model in TUNED) == dict.fromkeys(TUNED, 9)
    assert len(models) == 3 + 9 * len(TUNED) == 48
    assert len({(t.split, t.seed, t.draw) for t in models if t.model == "small"}) == 9


def test_the_rate_is_that_of_the_least_answers_loss_among_those_that_keep_the_labels(work: Work) -> None:
    take(study(work).stages())
    assert {t.rate for t in study(work).models() if t.model in TUNED} == {1e-4}  # 3e-4 costs .2 of the labels
    table = json.loads(work.folder.rates.read_text())
    assert table["chosen"] == 1e-4
    assert [row["answers_loss"] for row in table["tried"]] == [2.0, 1.5, 1.0]
    assert [row["lost"] for row in table["tried"]] == pytest.approx([0.01, 0.04, 0.2])


def test_where_every_rate_costs_labels_the_smallest_is_taken() -> None:
    tried = Rates((Tried(1e-4, 1.0, 0.2), Tried(2e-5, 2.0, 0.06)))
    assert tried.chosen == 2e-5
    assert tried.at_edge
    assert not Rates((Tried(2e-5, 2.0, 0.0), Tried(1e-4, 1.0, 0.05), Tried(3e-4, 1.5, 0.0))).at_edge


@pytest.mark.parametrize(
    ("synonym", "hypernym", "named", "passed"),
    [(0.3, 0.3, 0.5, True), (0.29, 0.9, 0.9, False), (0.9, 0.29, 0.9, False), (0.9, 0.9, 0.49, False)],
)
def test_the_gate_by_hand(synonym: float, hypernym: float, named: float, passed: bool) -> None:
    assert Gate({"synonym": synonym, "hypernym": hypernym}, named).passed is passed


def test_controls_have_the_items_and_steps_that_they_control_for() -> None:
    for model in ("small", "small-prepended", "large", "large-prepended"):
        assert RECIPES[model].epochs(SIZES) == 1
    assert [RECIPES[m].part for m in TUNED] == ["small", "small", "small", "large", "large"]
    long = RECIPES["small-long"]
    assert long.epochs(SIZES) * SIZES.small_items == SIZES.large_items
    formats = Counter(recipe.format for recipe in TUNED.values())
    assert formats == {"interleaved": 3, "prepended": 2}


def test_the_shipped_study_has_the_designs_sizes() -> None:
    sizes = read_sizes(study_main.CONFIGS / "study" / "study.toml")
    assert (sizes.splits, sizes.seeds, sizes.base_items, sizes.base_rate) == (3, 3, 10_000, 5e-4)
    assert (sizes.small_items, sizes.large_items) == (240, 1920)
    assert [n / TUNED_CONFIG.train.batch for n in (sizes.small_items, sizes.large_items)] == [60, 480]
    assert sizes.tuned_rates == (2e-5, 1e-4, 3e-4)
    assert replace(sizes, large_items=1200) == read_sizes(study_main.CONFIGS / "study" / "short.toml")
    assert not read_sizes(study_main.CONFIGS / "study" / "quick.toml").claims


def test_base_and_tuned_models_share_the_loss_and_the_projector_is_not_tuned() -> None:
    assert BASE_CONFIG.data.loss_on == TUNED_CONFIG.data.loss_on == "text"
    assert BASE_CONFIG.data.shared * BASE_CONFIG.train.batch == 24
    assert TUNED_CONFIG.train.train == ("lora",)
    assert (TUNED_CONFIG.train.scheduler, TUNED_CONFIG.train.warm_up) == ("linear", 10)
    assert BASE_CONFIG.lora == TUNED_CONFIG.lora


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 1}, "seeds"),
        ({"large_items": 36}, "large_items"),
        ({"small_items": 20, "large_items": 40}, "large_items"),
        ({"splits": 4}, "splits"),
        ({"base_items": 10}, "base_items"),
        ({"tuned_rates": ()}, "tuned_rates"),
    ],
)
def test_sizes_that_say_nothing_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SIZES, **change)  # type: ignore[arg-type]


def test_a_folder_without_recordings_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    options = ["--sounds", str(tmp_path / "none"), "--encoder", "e.pt", "--output", str(tmp_path / "out")]
    found = CliRunner().invoke(study_main.app, options)
    assert found.exit_code == 1
    assert found.stderr == (
        f"error: {tmp_path}/none: no folder in it holds labels.csv; give the one that esc50 and "
        "fsd-instruments lie in\n"
    )
    assert not (tmp_path / "out").exists()


def test_what_is_no_encoder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "encoder.pt").write_bytes(b"no encoder")
    for path in (tmp_path / "none.pt", tmp_path / "encoder.pt"):
        with pytest.raises(Error, match=r"cannot be read.*--until encoder leaves encoder\.pt"):
            read_encoder(path)
    torch.save({"a": torch.ones(1)}, tmp_path / "encoder.pt")
    assert read_encoder(tmp_path / "encoder.pt").keys() == {"a"}

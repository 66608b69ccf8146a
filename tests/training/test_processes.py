"""Two processes of torchrun compute what one does with twice the batch."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from gradients import Record
from training_run import ITEMS, start, write_run

from ltu.training.config import read_config
from ltu.training.items.batches import Batches, Drawings
from ltu.training.items.packing import Example, Group
from ltu.training.run.train import train

ODD = [*ITEMS, {"audio_id": "", "instruction": "A?", "output": "A long answer, as it is."}]


def test_two_processes_give_the_loss_and_gradients_of_one_with_twice_the_batch(
    recordings: Path, base_folder: Path
) -> None:
    folder = recordings.parent
    options = {"items": ODD, "options": 'logging_steps = 1\nscheduler = "constant"'}
    parts = ["lora", "projector", "encoder"]
    one = write_run(folder, base_folder, parts, "one", batch=4, **options)
    two = write_run(folder, base_folder, parts, "two", batch=2, **options)
    worker = Path(__file__).with_name("gradients.py")
    process = start([str(worker), str(two), str(folder / "two.pt")], processes=2)
    train(read_config(one), [Record(folder / "one.pt")])
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output
    losses, gradients = zip(*(torch.load(folder / f"{name}.pt") for name in ("one", "two")), strict=True)
    assert len(losses[0]) == 4  # five items: the last batch has one, so the second process has none
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    for expected, actual in zip(*gradients, strict=True):
        assert expected.keys() == actual.keys()
        for name, gradient in expected.items():
            torch.testing.assert_close(actual[name], gradient, rtol=1e-3, atol=1e-6, msg=name)


@pytest.mark.parametrize(
    "options", ['precision = "bfloat16"', "gradient_checkpointing = true"], ids=["bfloat16", "checkpointing"]
)
def test_processes_that_share_the_base_compute_the_same_bits(
    recordings: Path, base_folder: Path, options: str
) -> None:
    folder = recordings.parent
    (folder / "development.jsonl").write_text("".join(json.dumps(item) + "\n" for item in ITEMS[:3]))
    trained = {}
    for shared in (False, True):
        name = f"shared-{shared}"
        lines = f"shard_base = {str(shared).lower()}\neval_steps = 1\n{options}"
        path = write_run(
            folder,
            base_folder,
            ["lora", "projector"],
            name,
            items=ODD,
            data='development = "development.jsonl"',
            options=lines,
        )
        process = start(["-m", "ltu.cli.train", str(path)], processes=2)
        output, _ = process.communicate(timeout=900)
        assert process.returncode == 0, output
        losses = re.findall(r"'eval_loss.*?}", output)
        trained[shared] = (folder / name / "ltu.safetensors").read_bytes(), losses
    assert trained[True] == trained[False]
    assert len(trained[True][1]) > 1


def test_each_process_holds_a_part_of_the_base_and_drops_out_others(
    recordings: Path, base_folder: Path
) -> None:
    folder = recordings.parent
    options = "shard_base = true\nlogging_steps = 1"
    path = write_run(folder, base_folder, ["lora"], batch=1, dropout=0.5, options=options)
    worker = Path(__file__).with_name("shares.py")
    process = start([str(worker), str(path), str(folder)], processes=2)
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output
    one, two = (torch.load(folder / f"{number}.pt") for number in (0, 1))
    assert one["held"] == two["held"] == one["whole"] / 2
    assert not torch.equal(one["mask"], two["mask"])


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_an_epoch_draws_each_group_once_whatever_the_processes(processes: int) -> None:
    lengths = np.arange(100) % 17
    shares = [Batches(lengths, 12 // processes, 5, processes, process) for process in range(processes)]
    for batches in shares:
        batches.epoch = 3
    drawn = [list(batches) for batches in shares]
    whole = [sorted(n for share in step for n in share if n >= 0) for step in zip(*drawn, strict=True)]
    assert Counter(n - 300 for step in whole for n in step) == Counter(range(100))
    alone = Batches(lengths, 12, 5)
    alone.epoch = 3
    assert whole == [sorted(step) for step in alone]
    spread = [np.ptp(lengths[np.array(step) - 300]) for step in whole]
    assert np.mean(spread) < 5  # of 16
    alone.epoch = 4
    assert [sorted(step) for step in alone] != whole


def test_in_a_short_last_batch_a_process_with_nothing_left_gets_a_group_without_targets() -> None:
    batches = Batches([1, 1, 1], batch=1, seed=0, processes=2, process=1)
    shares = list(batches)
    assert sorted(min(share) < 0 for share in shares) == [False, True]
    drawings = Drawings([Group((Example((1, 2), 1, ()),))] * 3)
    [silent] = [drawings[share[0]] for share in shares if share[0] < 0]
    assert silent.silent
    assert silent.drawing is not None


def test_batches_of_so_many_positions_hold_every_group_once_on_any_number_of_processes() -> None:
    lengths = np.random.default_rng(0).integers(10, 90, 200)
    alone = Batches(lengths, 1, seed=3, positions=300)
    batches = list(alone)
    assert sorted(index for batch in batches for index in batch) == list(range(200))
    assert all(len(batch) * lengths[batch].max() <= 300 for batch in batches)
    assert len(batches) == len(alone) < 1.3 * lengths.sum() / 300
    assert list(Batches([500, 10], 1, seed=0, positions=300)) in ([[0], [1]], [[1], [0]])
    parts = [list(Batches(lengths, 1, 3, processes=2, process=number, positions=300)) for number in (0, 1)]
    for whole, first, second in zip(batches, *parts, strict=True):
        assert sorted(whole) == sorted(index for index in [*first, *second] if index >= 0)

"""SHARD as tasks of lm-evaluation-harness, with our model behind them."""

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake import Benchmark

import ltu
from ltu.audio import load_audio
from ltu.errors import Error
from ltu.shard.harness.scoring import identity, relation, youden
from ltu.shard.harness.tasks import write_tasks

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny import tiny_gguf


def test_scores_are_those_of_the_careful_reading() -> None:
    doc = {"term": "bird", "target": "No", "label": "Waves, surf"}
    assert relation(doc, ["It is clearly not a bird."]) == {"acc": 1.0, "j": (False, True)}
    assert relation(doc, ["It is hard to tell."])["acc"] == 0.0
    assert identity(doc, ["Labels: Waves, surf; Wind"]) == {"acc": 1.0}
    assert youden([(True, True), (True, False), (False, True), (False, True)]) == 0.5
    assert math.isnan(youden([(True, True)]))


def test_a_few_questions_go_through_the_harness(benchmark: Benchmark, tmp_path: Path) -> None:
    lm_eval = pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
    from lm_eval.tasks import TaskManager

    from ltu.shard.harness.adapter import LtuModel

    names = write_tasks(benchmark.spec, benchmark.folder, tmp_path / "tasks")
    assert len(names) == 5
    model = LtuModel(gguf=str(tiny_gguf(tmp_path / "tiny.gguf")), device="cpu", threads=1)
    model.model.max_new_tokens = 4
    result: dict[str, Any] = lm_eval.simple_evaluate(
        model=model,
        tasks=names,
        limit=6,
        task_manager=TaskManager(include_path=str(tmp_path / "tasks")),
        bootstrap_iters=0,
    )
    assert set(result["results"]) == set(names)
    assert -1 <= result["results"]["shard_hypernym"]["j,none"] <= 1
    sample = result["samples"]["shard_hypernym_choice"][0]
    clip, asked = load_audio(sample["doc"]["file"]), sample["doc"]["prompt"].replace("<audio>", "[AUDIO]")
    for (given, _), text in zip(sample["filtered_resps"], ("Yes", "No"), strict=True):
        assert float(given) == pytest.approx(log_likelihood(model.model, asked, clip, text), abs=1e-3)


@pytest.mark.parametrize("arguments", ["gguf={},threads=1", "gguf={},device=cpu,threads=1"])
def test_the_harness_makes_the_model_whatever_device_it_asks_for(arguments: str, tmp_path: Path) -> None:
    """It passes `cuda:0` where nobody names a device, beside the one that the arguments may name."""
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
    from ltu.shard.harness.adapter import LtuModel

    made = arguments.format(tiny_gguf(tmp_path / "tiny.gguf"))
    adds = {"batch_size": 1, "max_batch_size": None, "device": "cuda:0"}
    LtuModel.create_from_arg_string(made, adds)
    with pytest.raises(Error, match="moon"):
        LtuModel.create_from_arg_string(f"gguf={tmp_path / 'tiny.gguf'}", adds | {"device": "moon"})


def log_likelihood(model: ltu.Model, prompt: str, clip: ltu.Clip, text: str) -> float:
    """From the logits of every position."""
    sequence = model.prompter.sequence(prompt, [clip])
    ids = model.prompter.continuation(text)
    items = [clip if id == -1 else id for id in sequence.ids]
    logits = model.logits([*items, *ids]).astype(np.float64)[-len(ids) - 1 : -1]
    logs = (
        logits
        - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
        - logits.max(1, keepdims=True)
    )
    return float(logs[np.arange(len(ids)), ids].sum())

"""SHARD under inspect_ai, answered by our model in its process: the answers that a sweep draws."""

import sys
from pathlib import Path

import pytest
from fake import Benchmark

import ltu
from ltu.shard.harness.tasks import headline

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny import tiny_gguf

inspect_ai = pytest.importorskip("inspect_ai", reason="inspect_ai is not installed")
SEED, EPOCHS, QUESTIONS = 3, 2, 4


def test_epochs_are_the_repeats_of_a_sweep(benchmark: Benchmark, tmp_path: Path) -> None:
    from inspect_ai.model import get_model

    from ltu.shard.harness.inspect_shard import shard

    path = tiny_gguf(tmp_path / "tiny.gguf", sampling={"temperature": 1.0})
    benchmark.spec.write(tmp_path / "S.jsonl")
    task = shard(str(tmp_path / "S.jsonl"), str(benchmark.folder), seed=SEED)
    model = get_model(f"ltu/{path}", device="cpu", threads=1)
    [log] = inspect_ai.eval(
        task,
        model=model,
        epochs=EPOCHS,
        limit=QUESTIONS,
        max_tokens=4,
        log_dir=str(tmp_path / "logs"),
        display="none",
    )
    assert log.status == "success", log.error
    assert {metric for score in log.results.scores for metric in score.metrics} == {
        "mean",
        "stderr",
        "ltu_youden",
    }
    own, differ = ltu.load(path, device="cpu", threads=1), 0
    for row in list(headline(benchmark.spec, "hypernym", benchmark.folder))[:QUESTIONS]:
        drawn = own.generate(row["prompt"], row["file"], repeats=EPOCHS, seed=SEED, max_new_tokens=4)
        for epoch, answer in enumerate(drawn, 1):
            [sample] = [s for s in log.samples if s.id == row["id"] and s.epoch == epoch]
            assert sample.output.completion == answer.text
        differ += drawn[0].text != drawn[1].text
    assert differ


def test_what_the_model_cannot_read_is_named(tmp_path: Path) -> None:
    import asyncio

    from inspect_ai.model import ChatMessageSystem, ChatMessageUser, GenerateConfig

    from ltu.shard.harness.inspect_model import LtuAPI

    api = LtuAPI(str(tiny_gguf(tmp_path / "tiny.gguf")), device="cpu", threads=1)
    history = [ChatMessageSystem(content="Be brief."), ChatMessageUser(content="yes")]
    for messages, what in ((history, "got system, user"), ([ChatMessageUser(content="[AUDIO]?")], "holds")):
        with pytest.raises(ltu.PromptError, match=what):
            asyncio.run(api.generate(messages, [], "none", GenerateConfig()))

"""The graphs that other devices run, computed on CPU by ggml's own kernels, agree with ours.

On a machine with another device, `LTU_TEST_DEVICE=cuda pytest tests/test_device_graph.py` uses that.
"""

import os
import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ltu
from ltu.audio import Clip
from ltu.readings import Reading
from tiny import HEADS, tiny_gguf

Rows = dict[tuple[Any, int], object]
DEVICE = os.environ.get("LTU_TEST_DEVICE", "cpu")
ALLOWED = 1 if DEVICE == "cpu" else 200  # others round what they multiply to 16 bits
PROMPTS = ["what is [AUDIO]?", "[AUDIO] or [AUDIO]?"]
# Share of a row's probability that moves, mean over rows. Twice what was measured: on a CPU weights in blocks
# meet values rounded to 8 bits, other devices multiply floats in 16 bits or in TF32.
MOVES = {"f32": 1e-5, "f16": 4e-3, "bf16": 2e-2, "q8_0": 6e-2, "q4_0": 0.12, "q4_k": 0.12}
if DEVICE != "cpu":
    MOVES["f32"] = 5e-3


@pytest.mark.parametrize("options", [{}, {"kv_heads": 1, "tied": True, "rope_scaling": "yarn"}])
def test_masked_attention_and_plain_products_give_the_same_logits(
    options: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny_gguf(tmp_path / "tiny.gguf", **options)
    rng = np.random.default_rng(0)
    clips = [Clip(rng.standard_normal(16_000).astype(np.float32), f"noise {i}") for i in range(2)]
    ours = ltu.load(path, device="cpu", threads=2)
    monkeypatch.setenv("LTU_KERNELS", "ggml")
    device = ltu.load(path, device=DEVICE, threads=2)
    assert ours.description()["kernels"] != device.description()["kernels"] == "ggml"
    device.prepare(clips)  # so they are encoded together
    for clip in clips:
        np.testing.assert_allclose(device.encode(clip), ours.encode(clip), atol=2e-5 * ALLOWED)
    for prompt in PROMPTS:
        sequence = ours.prompter.sequence(prompt, clips[: prompt.count("[AUDIO]")])
        places = iter(sequence.clips)
        items = [next(places) if id < 0 else id for id in sequence.ids]
        np.testing.assert_allclose(device.logits(items), ours.logits(items), atol=2e-4 * ALLOWED)
        greedy = ltu.Sampling(temperature=0)
        asked = [model.generate_ids(items, sampling=greedy, max_new_tokens=12) for model in (ours, device)]
        assert asked[0] == asked[1]


@pytest.mark.parametrize(
    ("heads", "outtype"),
    [
        *[(heads, outtype) for heads in ((64, 3), (128, 1)) for outtype in MOVES],
        *[(heads, outtype) for heads in ((64, 1), (64, 4)) for outtype in ("f16", "q4_0")],
    ],
)
def test_head_sizes_groups_and_types_of_weights_give_the_same_distributions(
    heads: tuple[int, int], outtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = {"encoder_width": 128, "encoder_feed_forward": 256}  # heads of 64, too
    path = tiny_gguf(
        tmp_path / "tiny.gguf", outtype=outtype, feed_forward=256, blocks=1, **encoder, **HEADS[heads]
    )
    ours = ltu.load(path, device="cpu", threads=2)
    if DEVICE == "cpu":
        monkeypatch.setenv("LTU_KERNELS", "ggml")
    device = ltu.load(path, device=DEVICE, threads=2)
    assert ours.description()["kernels"] != device.description()["kernels"]
    for count in (1, 2, 9, 17, 65, 300):
        ids = np.random.default_rng(count).integers(3, 260, count).tolist()
        there, here = (probabilities(model.logits(ids)) for model in (device, ours))
        assert 0.5 * np.abs(there - here).sum(1).mean() < MOVES[outtype], count
    rng = np.random.default_rng(0)
    clips = [Clip(rng.standard_normal(16_000).astype(np.float32), f"noise {i}") for i in range(3)]
    device.prepare(clips)  # together
    there, here = (np.stack([model.encode(clip) for clip in clips]) for model in (device, ours))
    assert np.linalg.norm(there - here) < MOVES[outtype] * np.linalg.norm(here)
    told = device.description()
    assert told["graph_parts"] <= 1, told["left_to_cpu"]
    if told["kernels"] == "ggml":
        assert set(told["converted"]) == ({"bf16 as f16"} if outtype == "bf16" else set())


def probabilities(logits: Any) -> Any:
    likelihoods = np.exp(logits - logits.max(1, keepdims=True))
    return likelihoods / likelihoods.sum(1, keepdims=True)


def rows(answers: Iterable[ltu.Answer]) -> Rows:
    return {(a.tag, a.repeat): (a.token_ids, a.logprob, a.stop, a.distribution) for a in answers}


def test_batch_invariant_answers_don_t_depend_on_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, on kernels that sum otherwise for one row than for many."""
    path = tiny_gguf(tmp_path / "tiny.gguf", outtype="q8_0")
    rng = np.random.default_rng(0)
    clips = [Clip(rng.standard_normal(16_000).astype(np.float32), f"{i:064x}") for i in range(2)]
    monkeypatch.setenv("LTU_KERNELS", "ggml")
    sampling = ltu.Sampling(temperature=0.7, top_k=20, top_p=0.95, repetition_penalty=1.1)

    def load(invariant: bool = True) -> ltu.Model:
        return ltu.load(path, device=DEVICE, threads=2, batch_invariant=invariant)

    def queries(model: ltu.Model, repeats: int) -> list[ltu.Query]:
        def query(number: int, prompt: str, **more: Any) -> ltu.Query:
            sequence = model.prompter.sequence(prompt, clips[: prompt.count("[AUDIO]")])
            return ltu.Query(sequence, sampling=sampling, max_new_tokens=12, tag=number, **more)

        asked = [query(i, prompt, repeats=repeats, seed=i) for i, prompt in enumerate(PROMPTS * 2)]
        exact = query(9, PROMPTS[0], mode="exact", reading=Reading("careful", "bird"), node_budget=30)
        given = query(10, PROMPTS[0], mode="score", continuations=((5, 6, 7), (5, 9), (8,)))
        return [*asked, exact, given]

    alone: Rows = {}
    for number in range(len(queries(load(), 1))):
        model = load()
        alone |= rows(model.answers([queries(model, 4)[number]]))
    model = load()
    assert not load(invariant=False).description()["batch_invariant"]
    assert model.description()["batch_invariant"]
    first = rows(model.answers(queries(model, 1)))  # a repeat is the same with or without others
    assert first == {key: alone[key] for key in first}
    for seed in range(3):  # one model, in whatever order, with what earlier answers left behind
        asked = queries(model, 4)
        random.Random(seed).shuffle(asked)
        assert rows(model.answers(asked)) == alone
    assert rows(load(invariant=False).answers(queries(model, 4))) != alone


def test_a_processor_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "tiny.gguf")
    program = (
        f"import ltu\ntry: ltu.load({str(path)!r}, device='cpu')\nexcept ltu.Error as error: print(error)"
    )
    environment = os.environ | {"LTU_PROCESSOR": "abacus"}  # read once in a process
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert "abacus" in run.stdout


def test_a_step_of_more_than_a_thousand_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mask is larger than its rows."""
    from ltu import _engine

    path = str(tiny_gguf(tmp_path / "tiny.gguf", context=1300))
    ids = np.random.default_rng(0).integers(3, 260, 1100).tolist()

    def score() -> float:
        engine = _engine.Engine(path, "cpu", 2, step_prompt_positions=1200)
        engine.add(_engine.Query(ids, [], _engine.Score([[5, 6, 7]])))
        events = [event for _ in iter(engine.idle, True) for event in engine.step()]
        assert engine.description()["prompt_positions"] >= 1100 > 256 * engine.description()["steps"]
        [logprob] = [event.logprob for event in events]
        return float(logprob)

    expected = score()
    monkeypatch.setenv("LTU_KERNELS", "ggml")
    assert score() == pytest.approx(expected, abs=1e-3)

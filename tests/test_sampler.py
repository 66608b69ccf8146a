"""The engine's sampler against Hugging Face's processors and the original LTU code's probabilities."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import ltu

Array = npt.NDArray[Any]
GOLDEN = Path(__file__).parent / "golden"
CASES = json.loads((GOLDEN / "golden.json").read_text())["sampling"]


@pytest.fixture(scope="module")
def arrays() -> dict[str, Array]:
    with np.load(GOLDEN / "golden.npz") as file:
        return dict(file)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["probs"])
def test_probabilities_are_those_of_the_original_code(case: dict[str, Any], arrays: dict[str, Array]) -> None:
    probabilities = ltu.Sampling(**case["params"]).probabilities(
        arrays[case["logits"]], arrays[case["history"]]
    )
    expected = arrays[case["probs"]]
    assert np.array_equal(np.flatnonzero(probabilities), np.flatnonzero(expected))
    assert np.abs(probabilities - expected).max() < 1e-5


SETTINGS = [
    {},
    {"temperature": 0.1, "top_k": 500, "top_p": 0.95, "repetition_penalty": 1.1},
    {"temperature": 2.0, "top_k": 1},
    {"top_k": 40},
    {"top_k": 10_000},
    {"top_p": 0.5},
    {"top_p": 1e-6},
    {"repetition_penalty": 1.8},
    {"repetition_penalty": 0.6, "top_p": 0.9},
    {"temperature": 0.7, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.3},
]


KINDS = ["normal", "peaked", "ties", "flat"]
PAIRS = [
    (settings, kind)
    for settings in SETTINGS
    for kind in KINDS  # which of equal tokens top-p drops is the accident of a sort in Hugging Face
    if kind in ("normal", "peaked") or "top_p" not in settings
]


@pytest.mark.parametrize(("settings", "kind"), PAIRS, ids=str)
def test_probabilities_are_those_of_hugging_face(settings: dict[str, Any], kind: str) -> None:
    rng = np.random.default_rng([KINDS.index(kind), SETTINGS.index(settings)])
    logits = {
        "normal": lambda: rng.normal(0, 3, 1000),
        "peaked": lambda: rng.normal(0, 10, 1000),
        "ties": lambda: rng.integers(-3, 4, 1000),
        "flat": lambda: np.zeros(1000),
    }[kind]().astype(np.float32)
    history = rng.integers(0, 1000, 30)
    probabilities = ltu.Sampling(**settings).probabilities(logits, history)
    expected = hugging_face(logits, history, settings)
    assert np.array_equal(np.flatnonzero(probabilities), np.flatnonzero(expected))
    assert np.abs(probabilities - expected).max() < 1e-5


def hugging_face(logits: Array, history: Array, settings: dict[str, Any]) -> Array:
    torch = pytest.importorskip("torch")
    process = pytest.importorskip("transformers.generation.logits_process")
    processors = []
    if settings.get("repetition_penalty", 1) != 1:
        processors.append(process.RepetitionPenaltyLogitsProcessor(settings["repetition_penalty"]))
    if settings.get("temperature", 1) != 1:
        processors.append(process.TemperatureLogitsWarper(settings["temperature"]))
    if settings.get("top_k", 0):
        processors.append(process.TopKLogitsWarper(settings["top_k"]))
    if settings.get("top_p", 1) < 1:
        processors.append(process.TopPLogitsWarper(settings["top_p"]))
    scores = torch.from_numpy(logits)[None]
    for processor in processors:
        scores = processor(torch.from_numpy(history)[None], scores)
    probabilities: Array = scores.softmax(-1)[0].numpy()
    return probabilities


def test_equal_logits_keep_the_mass_that_top_p_asks_for() -> None:
    probabilities = ltu.Sampling(top_p=0.5).probabilities(np.zeros(8, np.float32), [])
    assert np.count_nonzero(probabilities) == 4
    assert probabilities.sum() == pytest.approx(1)


def test_greedy_is_the_largest_logit_after_the_penalty() -> None:
    logits = np.array([1.0, 3.0, 2.9], np.float32)
    assert ltu.Sampling(temperature=0).probabilities(logits, []).tolist() == [0, 1, 0]
    penalised = ltu.Sampling(temperature=0, repetition_penalty=1.1).probabilities(logits, [1])
    assert penalised.tolist() == [0, 0, 1]


def test_audio_positions_and_repeated_ids_add_nothing_to_the_penalty() -> None:
    sampling = ltu.Sampling(repetition_penalty=1.5)
    logits = np.random.default_rng(0).normal(size=50).astype(np.float32)
    once = sampling.probabilities(logits, [3, 7])
    assert np.array_equal(once, sampling.probabilities(logits, [3, -1, 7, 3, -1, 7]))


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": -1},
        {"temperature": float("nan")},
        {"top_k": -1},
        {"top_p": 0},
        {"top_p": 1.5},
        {"repetition_penalty": 0},
    ],
    ids=str,
)
def test_impossible_settings_are_refused_by_name(settings: dict[str, float]) -> None:
    [name] = settings
    with pytest.raises(ltu.Error, match=name):
        ltu.Sampling(**settings)

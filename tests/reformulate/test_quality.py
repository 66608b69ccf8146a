"""Figures against NLTK and by hand."""

import random
from collections import Counter

import pytest
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from ltu.training.reformulate.cost import Prices, Tokens, estimate
from ltu.training.reformulate.openaqa import Item
from ltu.training.reformulate.prompts import messages
from ltu.training.reformulate.quality import SAMPLE, Quality, distinct, self_bleu, tokenize
from ltu.training.reformulate.resources import table


def sentences(count: int, vocabulary: int) -> list[list[str]]:
    rng = random.Random(count)
    return [[f"w{rng.randrange(vocabulary)}" for _ in range(rng.randrange(1, 13))] for _ in range(count)]


@pytest.mark.parametrize(("count", "vocabulary"), [(2, 3), (12, 4), (30, 30)])
def test_self_bleu_equals_nltks(count: int, vocabulary: int) -> None:
    texts = sentences(count, vocabulary)
    smoothing = SmoothingFunction().method1
    each = [
        sentence_bleu(texts[:place] + texts[place + 1 :], text, smoothing_function=smoothing)
        for place, text in enumerate(texts)
    ]
    assert self_bleu(texts) == pytest.approx(sum(each) / count, rel=1e-9)


def test_self_bleu_of_one_sentence_is_not_defined() -> None:
    assert self_bleu([["a"]]) is None


def test_distinct_n_counts_different_among_all() -> None:
    texts = [["a", "b", "a"], ["a", "b"]]
    assert distinct(texts, 1) == 2 / 5
    assert distinct(texts, 2) == 2 / 3
    assert distinct(texts, 4) == 0


def test_the_placeholder_is_one_word() -> None:
    assert tokenize("Given [AUDIO], what's the Dog's clip-clop?") == [
        *("given", "[AUDIO]", "what's", "the", "dog's", "clip-clop"),
    ]


def test_figures_of_a_task() -> None:
    quality = Quality(seed=0)
    for number in range(3000):
        row = {"instruction": f"q{number}", "output": "a"}
        prompt = "What is [AUDIO]?" if number % 3 else "In [AUDIO] who is he or she?"
        quality.add("open", Item(number, row), prompt)
    figures = quality.figures("open")
    assert figures
    assert figures.words == {"0–4": 2000, "5–9": 1000}
    assert figures.first_words == {"what is": 2000, "in [AUDIO]": 1000}
    assert figures.mean_words == pytest.approx((2000 * 3 + 1000 * 7) / 3000)
    assert figures.sampled == SAMPLE
    assert len({sample.original for sample in quality.samples("open")}) == 20
    assert quality.figures("label") is None


def test_the_sample_is_drawn_from_all_prompts_alike() -> None:
    thirds: Counter[int] = Counter()
    for seed in range(40):
        quality = Quality(seed)
        for number in range(3000):
            quality.add("open", Item(number, {"instruction": str(number), "output": ""}), "[AUDIO]")
        thirds.update(int(sample.original) // 1000 for sample in quality.samples("open"))
    assert sum(thirds.values()) == 800
    assert min(thirds.values()) > 200  # 267 expected, standard deviation 13


def test_an_estimate_is_a_token_for_four_characters() -> None:
    variations = table("prompts")["variations"]
    asked = [message for text in variations for message in messages("label", "Classify it.", text)]
    length = sum(len(message["content"]) for message in asked)
    tokens = estimate([("label", 8, 8 * len("Classify it."))])
    assert abs(tokens.input - length / 4) < 1
    assert tokens.output == 8 * 50
    assert Tokens(1_000_000, 500_000).dollars(Prices(0.4, 1.6)) == pytest.approx(1.2)

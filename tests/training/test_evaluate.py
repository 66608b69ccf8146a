"""The demo model's evaluation: shared positions change no answer, and the figures are what they say."""

from pathlib import Path

import pytest
import torch

from ltu.audio import load_audio
from ltu.defaults import TEMPLATE
from ltu.prompt import Prompter
from ltu.training.demo.evaluate import FORMATS, Asked, Judge, balanced
from ltu.training.demo.questions import terms
from ltu.training.demo.sounds import Recording
from ltu.training.items.examples import expand
from ltu.training.model.base import load_base
from ltu.training.model.encoder import EncoderConfig
from ltu.training.model.ltu import LTU, LoraSizes

QUESTIONS = {
    "prepended": ["Is it a bird?", "Is it rain?"],
    "interleaved": ["Is [AUDIO] a bird?", "Is [AUDIO] wet?"],
}


def test_openings_and_answers_equal_asking_one_by_one(recordings: Path, base_folder: Path) -> None:
    base = load_base(base_folder)
    model = LTU(base.model, EncoderConfig(16, 32, 2, 1, 1), LoraSizes(r=2, alpha=4)).eval()
    prompter = Prompter(base.tokenizer_json, TEMPLATE, base.bos_id)
    judge = Judge(model, prompter, base.bos_id, base.eos_id)
    heard = [Recording(f"{i}.wav", "Rain", load_audio(recordings / f"{i}.wav")) for i in range(3)]
    asked = [(q, r, format) for format in FORMATS for q in QUESTIONS[format] for r in heard]
    expected = []
    for question, recording, format in asked:
        ids = torch.tensor([expand(prompter.sequence(question, [recording.clip], format).ids)])
        features = torch.from_numpy(recording.clip.features().copy())[None]
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            logits = model(ids, torch.ones_like(ids), features=features).logits[0, -1].float()
        best = logits.topk(5)  # bfloat16: the first may change places with one that is as good
        expected.append(
            [
                prompter.decode([i])
                for i, v in zip(best.indices, best.values, strict=True)
                if best.values[0] - v < 0.05
            ]
        )
    openings = judge.openings(asked)
    assert all(opening in allowed for opening, allowed in zip(openings, expected, strict=True))
    answers = judge.answers(asked[0][0], heard, FORMATS[0])
    assert all(
        answer.startswith(tuple(allowed)) for answer, allowed in zip(answers, expected[:3], strict=True)
    )


def test_balanced_accuracy_is_the_mean_of_both_shares() -> None:
    term = terms()[0]
    said = [(True, "Yes"), (True, "Yes"), (True, "No"), (True, "Well"), (False, "No")]
    asked = [Asked(term, "type", "prepended", true, opening) for true, opening in said]
    assert balanced(asked) == pytest.approx((2 / 4 + 1) / 2)

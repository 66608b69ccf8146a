"""What the finished demo model gets right on recordings that it never heard, asked in Table 1's words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ltu.prompt import Format, Prompter

from ..examples import expand
from ..model import LTU
from ..questions import Relation, Term, ask, labels_of, table_1, terms
from .esc10 import Recording

FORMATS: tuple[Format, ...] = ("prepended", "interleaved")
BATCH = 32
PAIRS = 8  # most clips a term is asked about, of those of which it is true; as many others


@dataclass(frozen=True)
class Asked:
    """One yes/no question and the word that the model opened its answer with (greedy)."""

    term: Term
    relation: Relation
    format: Format
    true: bool
    opening: str

    @property
    def right(self) -> bool:
        return self.opening == ("Yes" if self.true else "No")


@dataclass(frozen=True)
class Named:
    """One request for labels and the answer (greedy)."""

    label: str
    format: Format
    answer: str

    @property
    def right(self) -> bool:
        return self.answer == f"Labels: {labels_of(self.label)}"


class Judge:
    """Greedy decoding of a model in PyTorch; the encoder sees each clip once."""

    def __init__(self, model: LTU, prompter: Prompter, eos_id: int) -> None:
        self._model, self._prompter, self._eos_id = model.eval(), prompter, eos_id
        self._encoded: dict[str, Tensor] = {}

    @torch.no_grad()
    def answers(self, asked: Sequence[tuple[str, Recording, Format]], tokens: int) -> Iterator[str]:
        """The first `tokens` tokens of each answer, up to EOS."""
        for start in range(0, len(asked), BATCH):
            batch = asked[start : start + BATCH]
            prompts = [expand(self._prompter.sequence(q, [r.clip], f).ids) for q, r, f in batch]
            encoded = torch.stack([self._encode(recording) for _, recording, _ in batch])
            made: list[list[int]] = [[] for _ in batch]
            for _ in range(tokens):
                lengths = torch.tensor([len(p) + len(m) for p, m in zip(prompts, made, strict=True)])
                rows = [torch.tensor(p + m) for p, m in zip(prompts, made, strict=True)]
                ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
                mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
                with torch.autocast("cpu", torch.bfloat16):
                    logits = self._model(ids, mask, encoded=encoded, last=lengths - 1).logits
                for row, token in zip(made, logits.argmax(-1).tolist(), strict=True):
                    if not row or row[-1] != self._eos_id:
                        row.append(token)
                if all(row[-1] == self._eos_id for row in made):
                    break
            for row in made:
                yield self._prompter.decode(row)

    def _encode(self, recording: Recording) -> Tensor:
        if recording.file not in self._encoded:
            features = torch.from_numpy(recording.clip.features().copy())
            self._encoded[recording.file] = self._model.audio_encoder(features[None])[0]
        return self._encoded[recording.file]


def ask_terms(judge: Judge, recordings: Sequence[Recording], rng: np.random.Generator) -> list[Asked]:
    """Every term, seen and unseen, about as many clips of which it is true as of which it is false."""
    plan = []
    for term in terms():
        true = [r for r in recordings if r.label in term.true_of]
        false = [r for r in recordings if r.label in term.false_of]
        count = min(PAIRS, len(true), len(false))
        relations: tuple[Relation, ...] = ("type", "similar") if term.kind == "name" else term.relations[:1]
        for truth, pool in ((True, true), (False, false)):
            for index in rng.permutation(len(pool))[:count]:
                plan += [(term, relation, f, truth, pool[index]) for relation in relations for f in FORMATS]
    questions = [
        (ask(table_1(relation)[format], relation, term.text, true)[0], recording, format)
        for term, relation, format, true, recording in plan
    ]
    openings = judge.answers(questions, tokens=1)
    return [Asked(*row[:4], opening) for row, opening in zip(plan, openings, strict=True)]


def ask_labels(judge: Judge, recordings: Sequence[Recording]) -> list[Named]:
    plan = [(recording, format) for recording in recordings for format in FORMATS]
    questions = [(table_1("identity")[format], recording, format) for recording, format in plan]
    answers = judge.answers(questions, tokens=24)
    return [Named(r.label, format, answer) for (r, format), answer in zip(plan, answers, strict=True)]


def balanced(asked: Sequence[Asked]) -> float:
    """Mean of the share of true questions answered Yes and of false ones answered No."""
    return float(np.mean([np.mean([a.right for a in asked if a.true is truth]) for truth in (True, False)]))

"""Which answers of the finished demo model are right, on unheard recordings, in Table 1's words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ltu.prompt import Format, Prompter
from ltu.training.demo.questions import FORMATS, ask, labels_of, table, table_1, terms
from ltu.training.demo.sounds import Recording
from ltu.training.demo.terms import Relation, Term
from ltu.training.items.collate import Collator
from ltu.training.items.examples import expand
from ltu.training.items.packing import Example, share_beginnings
from ltu.training.model.device import quick_products
from ltu.training.model.ltu import LTU

BATCH = {"cpu": 4, "cuda": 32}  # groups of questions
ABOUT = "sounds"  # the table of classes and terms
RANDOM_NAMES = 10  # that an unknown recording is asked about
PAIRS = 5  # most clips a term is asked about, of those of which it is true; as many others


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
        """The class's whole labels and no others; of a class that has none, "unknown"."""
        known = self.label in table(ABOUT) and labels_of(self.label, ABOUT)
        return self.answer == f"Labels: {known or 'unknown'}"


Question = tuple[str, Recording, Format]
Planned = tuple[Term, Relation, Format, bool, Recording]


class Judge:
    """Greedy answers of a model in PyTorch; the encoder hears each clip once."""

    def __init__(self, model: LTU, prompter: Prompter, bos_id: int | None, eos_id: int) -> None:
        self._model, self._prompter = model.eval(), prompter
        self._bos_id, self._eos_id = bos_id, eos_id
        self._device = model.audio_encoder.modality_a.device
        self._heard: dict[str, Tensor] = {}  # encoder outputs [1, 32, width]

    @torch.no_grad()
    def openings(self, asked: Sequence[Question]) -> list[str]:
        """The first token of each answer; questions about a clip share its positions."""
        examples = [self._example(question) for question in asked]
        collate = Collator(self._heard, "encoded", self._bos_id, answers_only=True, seed=0)
        groups = share_beginnings(examples, most=12)
        found: dict[Example, str] = {}
        size = BATCH[self._device.type]
        for start in range(0, len(groups), size):
            batch = groups[start : start + size]
            inputs = {name: tensor.to(self._device) for name, tensor in collate(batch).items()}
            del inputs["labels"]
            at = torch.zeros_like(inputs["ids"], dtype=torch.bool)
            for row, group in enumerate(batch):
                lengths = np.array([len(e.ids) - group.shared for e in group.examples])
                at[row, group.shared + np.cumsum(lengths) - 1] = True
            with quick_products(self._device):
                tokens = self._model(**inputs, at=at).logits.argmax(-1).tolist()
            answered = (example for group in batch for example in group.examples)
            found |= {e: self._prompter.decode([t]) for e, t in zip(answered, tokens, strict=True)}
        return [found[example] for example in examples]

    @torch.no_grad()
    def answers(self, question: str, recordings: Sequence[Recording], format: Format) -> list[str]:
        """Whole answers to one question about each recording."""
        examples = [self._example((question, recording, format)) for recording in recordings]
        # one question: one length
        ids = torch.tensor([example.ids for example in examples], device=self._device)
        inputs = self._model.splice(ids, torch.cat([self._heard[r.file] for r in recordings]))
        with quick_products(self._device):
            made = self._model.llama.generate(  # type: ignore[no-untyped-call]
                inputs_embeds=inputs,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=24,
                do_sample=False,
                eos_token_id=self._eos_id,
                pad_token_id=self._eos_id,
            )
        return [self._prompter.decode(row) for row in made.tolist()]

    def _example(self, question: Question) -> Example:
        text, recording, format = question
        if recording.file not in self._heard:
            features = torch.from_numpy(recording.clip.features().copy()).to(self._device)
            self._heard[recording.file] = self._model.audio_encoder(features[None])
        ids = expand(self._prompter.sequence(text, [recording.clip], format).ids)
        return Example(tuple(ids), len(ids), (recording.file,))


def ask_terms(judge: Judge, recordings: Sequence[Recording], rng: np.random.Generator) -> list[Asked]:
    """Every term, seen and unseen, about as many clips of which it is true as of which it is false."""
    plan: list[Planned] = []
    for term in terms(ABOUT):
        true = [r for r in recordings if r.label in term.true_of]
        false = [r for r in recordings if r.label in term.false_of]
        count = min(PAIRS, len(true), len(false))
        relations: tuple[Relation, ...] = ("type", "similar") if term.kind == "name" else term.relations[:1]
        for truth, pool in ((True, true), (False, false)):
            for index in rng.permutation(len(pool))[:count]:
                plan += [(term, relation, f, truth, pool[index]) for relation in relations for f in FORMATS]
    return _asked(judge, plan)


def ask_unknown(judge: Judge, recordings: Sequence[Recording], rng: np.random.Generator) -> list[Asked]:
    """Random names of known classes about each recording, of which none is true."""
    names = [term for term in terms(ABOUT) if term.kind == "name"]
    plan: list[Planned] = []
    for recording in recordings:
        fair = [t for t in names if recording.label not in table(ABOUT) or recording.label in t.false_of]
        for index in rng.permutation(len(fair))[:RANDOM_NAMES]:
            relation: Relation = "type" if rng.random() < 0.5 else "similar"
            plan += [(fair[index], relation, format, False, recording) for format in FORMATS]
    return _asked(judge, plan)


def _asked(judge: Judge, plan: Sequence[Planned]) -> list[Asked]:
    questions = [
        (ask(table_1(relation)[format], relation, term.text, true)[0], recording, format)
        for term, relation, format, true, recording in plan
    ]
    openings = judge.openings(questions)
    return [Asked(*row[:4], opening) for row, opening in zip(plan, openings, strict=True)]


def ask_labels(judge: Judge, recordings: Sequence[Recording]) -> list[Named]:
    return [
        Named(recording.label, format, answer)
        for format in FORMATS
        for recording, answer in zip(
            recordings, judge.answers(table_1("identity")[format], recordings, format), strict=True
        )
    ]


def balanced(asked: Sequence[Asked]) -> float:
    """Mean of the share of true questions answered Yes and of false ones answered No."""
    return float(np.mean([np.mean([a.right for a in asked if a.true is truth]) for truth in (True, False)]))

"""Items of questions and answers → examples → batches."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ltu.audio import Clip
from ltu.defaults import EMBEDDINGS
from ltu.errors import Error
from ltu.files import read_json_lines
from ltu.prompt import AUDIO, CLIP, Format, Prompter

from .loss import AUDIO_POSITION, IGNORED, text_labels
from .packing import Example, Group, lay_out, visible

ITEM = "an item with audio_id, instruction and output"
_ANY_CLIP = Clip(np.zeros(0, np.float32), "any")  # only places are counted here


@dataclass(frozen=True)
class Row:
    """One line of an items file."""

    audio: tuple[str, ...]
    instruction: str
    output: str
    term: str
    open: bool = False  # the output is only an answer's beginning: no end is learnt

    @property
    def format(self) -> Format:
        """With [AUDIO]: interleaved. Without, clips stand before BOS."""
        return "interleaved" if AUDIO in self.instruction else "prepended"


def read_items(path: Path) -> Iterator[Row]:
    """One line at a time. Raises Error naming the line."""
    for number, item in read_json_lines(path, ITEM):
        try:
            audio = item["audio_id"]
            audio = tuple(filter(None, [audio] if isinstance(audio, str) else audio))
            question, answer, term = item["instruction"], item["output"], item.get("term", "")
            if not all(isinstance(value, str) for value in (question, answer, term, *audio)):
                raise TypeError("a value is not text")
        except (KeyError, TypeError) as error:
            raise Error(f"{path}:{number}: is not {ITEM}: {error!r}") from None
        yield Row(audio, question, answer, term, bool(item.get("open", False)))


def expand(ids: Iterable[int]) -> list[int]:
    """A prompt's ids with each clip's place made as long as its embeddings."""
    return [id for token in ids for id in ([AUDIO_POSITION] * EMBEDDINGS if token == CLIP else [token])]


def example(row: Row, prompter: Prompter, tokenizer: Tokenizer, eos: int) -> Example:
    """Prompt as the engine will build it, then the answer and, unless that stays open, EOS."""
    prompt = prompter.sequence(row.instruction, [_ANY_CLIP] * len(row.audio), row.format).ids
    expanded = expand(prompt)
    answer = tokenizer.encode(row.output, add_special_tokens=False).ids
    end = () if row.open else (eos,)
    return Example((*expanded, *answer, *end), len(expanded), row.audio)


def cut(example: Example, limit: int) -> Example | None:
    """At most `limit` text tokens, BOS and EOS included; None when nothing of the answer would be left."""
    text = np.flatnonzero(np.array(example.ids) != AUDIO_POSITION)
    if len(text) <= limit:
        return example
    end = int(text[limit])
    return replace(example, ids=example.ids[:end]) if end > example.prompt else None


class Collator:
    """Groups of examples → the arguments of `LTU.forward`. Right padding.

    `sounds` holds for each clip what stands for it, [views, ...]: its features, or encoder outputs while the
    encoder is frozen. Which view a group hears is decided by seed and drawing number alone, so that it is the
    same in a run that goes on after a kill, or on more processes.
    """

    def __init__(
        self, sounds: Mapping[str, Tensor], kind: str, bos_id: int | None, answers_only: bool, seed: int
    ) -> None:
        self._sounds, self._kind = sounds, kind
        self._bos_id, self._answers_only, self._seed = bos_id, answers_only, seed

    def __call__(self, groups: Sequence[Group]) -> dict[str, Any]:
        layouts = [lay_out(group) for group in groups]
        lengths = torch.tensor([len(layout.ids) for layout in layouts])

        def padded(field: str, padding: int = 0) -> Tensor:
            columns = [getattr(layout, field) for layout in layouts]
            return pad_sequence(columns, batch_first=True, padding_value=padding)

        ids = padded("ids")
        labels = text_labels(ids, lengths, self._bos_id)
        if self._answers_only:
            labels = labels.masked_fill(~padded("answer"), IGNORED)
        labels = labels.masked_fill(torch.tensor([group.silent for group in groups])[:, None], IGNORED)
        heard = [sound for group in groups for sound in self._heard(group)]
        return {
            "ids": ids,
            "position_ids": padded("positions"),
            "attention_mask": visible(padded("branch", -1)),
            "labels": labels,
            "before": padded("before").clamp(min=0),
            "weights": padded("weight").masked_fill(labels == IGNORED, 0),
            self._kind: torch.stack(heard) if heard else torch.empty(0),
        }

    def _heard(self, group: Group) -> Iterator[Tensor]:
        """One view of each clip."""
        views = [self._sounds[name] for name in group.examples[0].audio]
        if group.drawing is None:
            return (view[0] for view in views)
        rng = np.random.default_rng([self._seed, group.drawing])
        return (view[rng.integers(len(view))] for view in views)

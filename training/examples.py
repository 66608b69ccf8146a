"""Items of questions and answers → examples → batches."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import Dataset

from ltu.audio import Clip, load_audio
from ltu.errors import Error
from ltu.prompt import AUDIO, CLIP, Format, Prompter

from .loss import AUDIO_POSITION, IGNORED, text_labels

EMBEDDINGS = 32  # positions that one clip takes


@dataclass(frozen=True)
class Row:
    """One line of an items file."""

    audio: tuple[str, ...]
    instruction: str
    output: str
    term: str


@dataclass(frozen=True)
class Example:
    ids: Tensor  # int64 [positions], AUDIO_POSITION at each of a clip's places
    prompt: int  # positions before the answer
    audio: tuple[str, ...]


def read_items(path: Path) -> list[Row]:
    """Raises Error naming the line."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            item = json.loads(line)
            audio = item["audio_id"]
            audio = (audio,) if isinstance(audio, str) else tuple(audio)
            rows.append(Row(audio, item["instruction"], item["output"], item.get("term", "")))
        except (ValueError, KeyError, TypeError) as error:
            raise Error(
                f"{path}:{number}: is no item with audio_id, instruction and output ({error!r})"
            ) from None
    if not rows:
        raise Error(f"{path}: holds no items")
    return rows


def load_clips(rows: Iterable[Row], folder: Path) -> dict[str, Clip]:
    return {name: load_audio(folder / name) for name in dict.fromkeys(n for row in rows for n in row.audio)}


def expand(ids: Iterable[int]) -> list[int]:
    """A prompt's ids with each clip's place made as long as its embeddings."""
    return [id for token in ids for id in ([AUDIO_POSITION] * EMBEDDINGS if token == CLIP else [token])]


def example(
    row: Row, clips: Mapping[str, Clip], prompter: Prompter, tokenizer: Tokenizer, eos: int
) -> Example:
    """Prompt as the engine will build it, then the answer and EOS. No [AUDIO]: the clips stand before BOS."""
    format: Format = "interleaved" if AUDIO in row.instruction else "prepended"
    prompt = prompter.sequence(row.instruction, [clips[name] for name in row.audio], format).ids
    expanded = expand(prompt)
    answer = tokenizer.encode(row.output, add_special_tokens=False).ids
    return Example(torch.tensor([*expanded, *answer, eos]), len(expanded), row.audio)


class Examples(Dataset[Example]):
    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Example:
        return self._examples[index]


class Collator:
    """Examples → the arguments of `LTU.forward`. Right padding.

    `sounds` holds for each clip what stands for it, [views, ...]: its features, or encoder outputs while the
    encoder is frozen; a view is drawn at random for each example.
    """

    def __init__(
        self, sounds: Mapping[str, Tensor], kind: str, bos_id: int | None, answers_only: bool, seed: int
    ) -> None:
        self._sounds, self._kind = sounds, kind
        self._bos_id, self._answers_only = bos_id, answers_only
        self._rng = np.random.default_rng(seed)

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        lengths = torch.tensor([len(e.ids) for e in examples])
        ids = torch.nn.utils.rnn.pad_sequence([e.ids for e in examples], batch_first=True)
        labels = text_labels(ids, lengths, self._bos_id)
        if self._answers_only:
            for row, e in enumerate(examples):
                labels[row, : e.prompt] = IGNORED
        views = [self._sounds[name] for e in examples for name in e.audio]
        drawn = torch.stack([view[self._rng.integers(len(view))] for view in views])
        attention = torch.arange(ids.shape[1]) < lengths[:, None]
        return {"ids": ids, "attention_mask": attention.long(), "labels": labels, self._kind: drawn}

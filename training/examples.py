"""Items of questions and answers → examples → batches."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ltu.audio import Clip, load_audio
from ltu.errors import Error
from ltu.prompt import AUDIO, CLIP, Format, Prompter

from .loss import AUDIO_POSITION, IGNORED, text_labels
from .packing import Example, Group, lay_out, visible

EMBEDDINGS = 32  # positions that one clip takes


@dataclass(frozen=True)
class Row:
    """One line of an items file."""

    audio: tuple[str, ...]
    instruction: str
    output: str
    term: str


def read_items(path: Path) -> list[Row]:
    """Raises Error naming the line."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            item = json.loads(line)
            audio = item["audio_id"]
            audio = tuple(filter(None, [audio] if isinstance(audio, str) else audio))
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
    """Prompt as the engine will build it, then the answer and EOS. Without [AUDIO] clips stand before BOS."""
    format: Format = "interleaved" if AUDIO in row.instruction else "prepended"
    prompt = prompter.sequence(row.instruction, [clips[name] for name in row.audio], format).ids
    expanded = expand(prompt)
    answer = tokenizer.encode(row.output, add_special_tokens=False).ids
    return Example((*expanded, *answer, eos), len(expanded), row.audio)


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
        laid_out = [lay_out(group) for group in groups]
        lengths = torch.tensor([len(ids) for ids, *_ in laid_out])
        ids, positions, branch, answer = (
            pad_sequence(list(column), batch_first=True, padding_value=padding)
            for column, padding in zip(zip(*laid_out, strict=True), (0, 0, -1, False), strict=True)
        )
        labels = text_labels(ids, lengths, self._bos_id)
        if self._answers_only:
            labels = labels.masked_fill(~answer, IGNORED)
        labels = labels.masked_fill(torch.tensor([group.silent for group in groups])[:, None], IGNORED)
        heard = [sound for group in groups for sound in self._heard(group)]
        batch = {"ids": ids, "position_ids": positions, "attention_mask": visible(branch), "labels": labels}
        return batch | {self._kind: torch.stack(heard) if heard else torch.empty(0)}

    def _heard(self, group: Group) -> Iterator[Tensor]:
        """One view of each clip."""
        views = [self._sounds[name] for name in group.examples[0].audio]
        if group.drawing is None:
            return (view[0] for view in views)
        rng = np.random.default_rng([self._seed, group.drawing])
        return (view[rng.integers(len(view))] for view in views)

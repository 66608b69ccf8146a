"""Items of questions and answers → examples."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from ltu.audio import Clip
from ltu.defaults import EMBEDDINGS
from ltu.errors import Error
from ltu.files import read_json_lines
from ltu.prompt import AUDIO, CLIP, Format, Prompter
from ltu.training.items.packing import Example
from ltu.training.json_list import is_json_list, read_json_list
from ltu.training.model.loss import AUDIO_POSITION

ITEM = "an item with audio_id, instruction and output"
_ANY_CLIP = Clip(np.zeros(0, np.float32), "any")  # only places are counted here


@dataclass(frozen=True)
class Row:
    """One item of an items file."""

    audio: tuple[str, ...]
    instruction: str
    output: str
    term: str
    open: bool = False  # the output is only an answer's beginning: no end is learnt
    where: str = ""  # file and place, for messages

    @property
    def format(self) -> Format:
        """With [AUDIO]: interleaved. Without, clips stand before BOS."""
        return "interleaved" if AUDIO in self.instruction else "prepended"


def read_items(path: Path, prefixes: Sequence[str] = ()) -> Iterator[Row]:
    """Items of JSON Lines, or of one JSON list, as OpenAQA is released.

    `prefixes`: beginnings that are taken off the audio ids. Raises Error naming the place.
    """
    for where, item in _items(path):
        try:
            audio = item["audio_id"]
            audio = tuple(filter(None, [audio] if isinstance(audio, str) else audio))
            question, answer, term = item["instruction"], item["output"], item.get("term", "")
            if not all(isinstance(value, str) for value in (question, answer, term, *audio)):
                raise TypeError("a value is not text")
        except (KeyError, TypeError) as error:
            raise Error(f"{where}: is not {ITEM}: {error!r}") from None
        audio = tuple(_without(name, prefixes) for name in audio)
        yield Row(audio, question, answer, term, bool(item.get("open", False)), where)


def _items(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file and place, item)."""
    number = 0
    try:
        if not is_json_list(path):
            yield from ((f"{path}:{line}", item) for line, item in read_json_lines(path, ITEM))
            return
        for number, item in enumerate(read_json_list(path), 1):
            yield f"{path}: item {number}", item
    except OSError as error:
        raise Error(f"{path}: cannot be read: {error.strerror}; check the path") from None
    except ValueError as error:  # not UTF-8, not JSON, not a list of objects
        raise Error(f"{path}: item {number + 1} is not {ITEM}: {error}") from None


def _without(name: str, prefixes: Sequence[str]) -> str:
    prefix = max((p for p in prefixes if name.startswith(p)), key=len, default="")
    return name.removeprefix(prefix).lstrip("/") if prefix else name


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

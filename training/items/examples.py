"""Items of questions and answers → examples."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ltu.audio import Clip
from ltu.defaults import EMBEDDINGS
from ltu.errors import Error, PromptError
from ltu.files import read_json_lines
from ltu.prompt import AUDIO, CLIP, Format, Prompter, check_clips
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


def read_items(
    path: Path, prefixes: Sequence[str] = (), refused: Callable[[Error], object] | None = None
) -> Iterator[Row]:
    """Items of JSON Lines, or of one JSON list, as OpenAQA is released.

    `prefixes`: beginnings that are taken off the audio ids. `refused` gets the Error of an item that can't be
    used, and the reading goes on; without it that is raised. Raises Error naming the place.
    """
    for where, item in _items(path, refused):
        try:
            row = _row(item, prefixes, where)
        except Error as error:
            if refused is None:
                raise
            refused(error)
            continue
        yield row


def _items(path: Path, refused: Callable[[Error], object] | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file and place, item)."""
    number = 0
    try:
        if not is_json_list(path):
            yield from ((f"{path}:{line}", item) for line, item in read_json_lines(path, ITEM, refused))
            return
        for number, item in enumerate(read_json_list(path), 1):
            yield f"{path}: item {number}", item
    except ValueError as error:  # not UTF-8, not JSON, not a list of objects
        raise Error(f"{path}: item {number + 1} is not {ITEM}: {error}") from None


def _row(item: Mapping[str, Any], prefixes: Sequence[str], where: str) -> Row:
    """Raises Error for what is no item, or has another number of clips than places for them."""
    try:
        audio = item["audio_id"]
        audio = tuple(filter(None, [audio] if isinstance(audio, str) else audio))
        question, answer, term = item["instruction"], item["output"], item.get("term", "")
        if not all(isinstance(value, str) for value in (question, answer, term, *audio)):
            raise TypeError("a value is not text")
        if item.get("input"):
            raise ValueError("it has an input, which nothing reads: make it part of the instruction")
        "".join((question, answer, term, *audio)).encode()
        row = Row(
            tuple(_without(name, prefixes) for name in audio),
            question,
            answer,
            term,
            bool(item.get("open", False)),
            where,
        )
        check_clips(row.instruction, len(row.audio), row.format)
    except PromptError as error:
        raise Error(f"{where}: {error}") from None
    except UnicodeEncodeError:
        raise Error(f"{where}: is not {ITEM}: a text holds what is no Unicode character") from None
    except (KeyError, TypeError, ValueError) as error:
        problem = f"{error} is missing" if isinstance(error, KeyError) else error
        raise Error(f"{where}: is not {ITEM}: {problem}") from None
    return row


def _without(name: str, prefixes: Sequence[str]) -> str:
    prefix = max((p for p in prefixes if name.startswith(p)), key=len, default="")
    return name.removeprefix(prefix).lstrip("/") if prefix else name


def expand(ids: Iterable[int]) -> list[int]:
    """A prompt's ids with each clip's place made as long as its embeddings."""
    return [id for token in ids for id in ([AUDIO_POSITION] * EMBEDDINGS if token == CLIP else [token])]


def example(row: Row, prompter: Prompter, eos: int) -> Example:
    """Prompt as the engine will build it, then the answer and, unless that stays open, EOS.

    What looks like a control token or a placeholder in an answer is text.
    """
    prompt = prompter.sequence(row.instruction, [_ANY_CLIP] * len(row.audio), row.format).ids
    expanded = expand(prompt)
    answer = prompter.continuation(row.output)
    end = () if row.open else (eos,)
    return Example((*expanded, *answer, *end), len(expanded), row.audio)


def cut(example: Example, limit: int) -> Example | None:
    """At most `limit` text tokens, BOS and EOS included; None when nothing of the answer would be left."""
    text = np.flatnonzero(np.array(example.ids) != AUDIO_POSITION)
    if len(text) <= limit:
        return example
    end = int(text[limit])
    return replace(example, ids=example.ids[:end]) if end > example.prompt else None

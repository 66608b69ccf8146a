"""Tokenised items in an Arrow file that is mapped: a million items take no more memory than ten."""

import hashlib
import json
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ltu.errors import Error, PromptError
from ltu.files import replacing, sha256, write_json
from ltu.prompt import Prompter
from ltu.training.items.examples import Row, cut, example, read_items
from ltu.training.items.packing import Example, Group

ROWS = 1000  # in a record batch
VERSION = 2  # goes up when the files change: older ones are then made anew
SCHEMA = pa.schema(
    {"ids": pa.list_(pa.int32()), "prompt": pa.int32(), "audio": pa.list_(pa.string()), "length": pa.int32()}
)


@dataclass(frozen=True)
class Counts:
    """Counts of the items: `cut` and `left_out` are by format and for the length limit."""

    items: int
    broken: int  # left out because a clip can't be read
    cut: dict[str, int]
    left_out: dict[str, int]  # the prompt alone is longer than the limit
    clips: list[str]  # that the remaining items are about
    terms: list[str]
    bytes: int = 0  # of the Arrow file
    sha256: str = ""  # of the Arrow file


class Tokeniser:
    """Row → example, the same for training and development items."""

    def __init__(
        self, tokenizer_json: str, template: str, bos_id: int | None, eos_id: int, limit: int | None
    ) -> None:
        self._prompter = Prompter(tokenizer_json, template, bos_id)
        self._eos_id, self._limit = eos_id, limit
        settings = [VERSION, tokenizer_json, template, bos_id, eos_id, limit]
        self.digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()

    def __call__(self, row: Row) -> tuple[Example | None, bool]:
        """(example, None when nothing of the answer fits; whether the answer was cut)."""
        whole = example(row, self._prompter, self._eos_id)
        kept = whole if self._limit is None else cut(whole, self._limit)
        return kept, kept is not whole


class Examples(Sequence[Example]):
    def __init__(self, path: Path) -> None:
        from datasets import Dataset  # here, because runs that make their items as they go need none

        self._table = Dataset.from_file(str(path))

    def __len__(self) -> int:
        return len(self._table)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = self._table[index]
        return Example(tuple(row["ids"]), row["prompt"], tuple(row["audio"]))

    @property
    def lengths(self) -> npt.NDArray[np.int32]:
        column: npt.NDArray[np.int32] = self._table.data.column("length").to_numpy()
        return column


class Ungrouped(Sequence[Group]):
    """Each example as a group of its own."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: Any) -> Any:
        return Group((self._examples[index],))


def tokenised(
    items: Path,
    digest: str,
    usable: Container[str],
    broken: Sequence[str],
    tokeniser: Tokeniser,
    cache: Path,
    prefixes: Sequence[str] = (),
) -> tuple[Examples, Counts]:
    """Reads the items through, unless the cache has them; `digest` is their file's hash. Raises Error."""
    what = [digest, tokeniser.digest, sorted(broken), *([list(prefixes)] if prefixes else [])]
    key = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
    path = cache / f"examples-{key}.arrow"
    counts = _counts(path)
    if counts is None:
        with replacing(path) as draft:
            rows = read_items(items, prefixes, refused=lambda _: None)  # they were counted before
            counts = _write(draft, rows, usable, tokeniser)
            counts = replace(counts, bytes=draft.stat().st_size, sha256=sha256(draft))
            write_json(path.with_suffix(".json"), asdict(counts))
    return Examples(path), counts


def _counts(path: Path) -> Counts | None:
    """What the cache says of an Arrow file; None where either is missing, was cut short or is damaged."""
    try:
        counts = Counts(**json.loads(path.with_suffix(".json").read_text(encoding="utf-8")))
        whole = path.stat().st_size == counts.bytes and sha256(path) == counts.sha256
        return counts if whole else None
    except (OSError, ValueError, TypeError):
        return None


def _batch(examples: Sequence[Example]) -> pa.RecordBatch:
    rows = [{**asdict(made), "length": len(made.ids)} for made in examples]
    return pa.RecordBatch.from_pylist(rows, SCHEMA)


def _write(path: Path, items: Iterable[Row], usable: Container[str], tokeniser: Tokeniser) -> Counts:
    shortened: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    total = broken = 0
    clips: dict[str, None] = {}
    terms: dict[str, None] = {}
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, SCHEMA) as stream:
        batch: list[Example] = []
        for row in items:
            total += 1
            if not all(name in usable for name in row.audio):
                broken += 1
                continue
            try:
                made, was_cut = tokeniser(row)
            except PromptError as error:
                raise Error(f"{row.where}: {error}") from None
            if made is None:
                left_out[row.format] += 1
                continue
            shortened[row.format] += was_cut
            clips |= dict.fromkeys(row.audio)
            terms |= {row.term: None} if row.term else {}
            batch.append(made)
            if len(batch) == ROWS:
                stream.write_batch(_batch(batch))
                batch = []
        stream.write_batch(_batch(batch))
    return Counts(total, broken, dict(+shortened), dict(left_out), sorted(clips), sorted(terms))

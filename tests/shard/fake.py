"""A model without weights: it hears what it is told each clip is; its answers depend on content alone."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ltu.audio import SAMPLE_RATE, Clip
from ltu.prompt import AUDIO, PromptSequence
from ltu.query import Answer, Distribution, Exact, Likely, Query, Sample, Score
from ltu.readings import decide
from ltu.sampling import Sampling
from ltu.shard.spec.specification import Spec
from ltu.shard.spec.words import Word, true_terms

ABOUT = re.compile(r"(?:similar to|a type of|a part of) (.+?)(?:\?|: is)", re.IGNORECASE)


def chance(*what: Any) -> np.random.Generator:
    return np.random.default_rng(list(hashlib.sha256(repr(what).encode()).digest()))


class FakePrompter:
    """Ids are the prompt's bytes; -1 stands for a clip."""

    def sequence(
        self, prompt: str, clips: Sequence[Clip] = (), format: str = "interleaved"
    ) -> PromptSequence:
        pieces = prompt.split(AUDIO) if format == "interleaved" else ["", prompt]
        if format == "prepended":
            return PromptSequence((-1, *prompt.encode()), tuple(clips))
        ids: list[int] = []
        for index, piece in enumerate(pieces):
            ids += ([-1] if index else []) + list(piece.encode())
        return PromptSequence(tuple(ids), tuple(clips))

    def continuation(self, text: str) -> list[int]:
        return list(text.encode())


class FakeModel:
    """`hears` maps a clip's hash to its word; `skill`: how often what is heard decides, else a coin does."""

    def __init__(
        self,
        path: Path,
        hears: dict[str, Word],
        skill: float = 0.8,
        yes: float = 0.5,
        batch: int = 8,
        **info: Any,
    ) -> None:
        path.write_bytes(json.dumps([skill, yes]).encode())
        self.path = str(path)
        self.info = {"general.name": "fake", **info}
        self.sampling = Sampling(0.1, 500, 0.95, 1.1)
        self.max_new_tokens = 32
        self.prompter = FakePrompter()
        self.hears, self.skill, self.yes, self.batch = hears, skill, yes, batch
        self.asked: list[tuple[Any, ...]] = []

    clip_threads = 2

    def prepare(self, clips: Iterable[Clip]) -> None:
        """It needs no features."""

    def answers(self, queries: Iterable[Query]) -> Iterator[Answer]:
        """Answers come in batches, the last query's first."""
        waiting: list[Query] = []
        for query in queries:
            waiting.append(query)
            if len(waiting) == self.batch:
                yield from self._batch(waiting)
        yield from self._batch(waiting)

    def _batch(self, waiting: list[Query]) -> Iterator[Answer]:
        for query in reversed(waiting):
            content = (query.sequence.ids, tuple(clip.hash for clip in query.sequence.clips))
            if isinstance(query.mode, Sample):
                self.asked.append(content)
            if isinstance(query.mode, Exact):
                yield self._exact(query, content)
                continue
            if isinstance(query.mode, Score):
                yield from self._scores(query, content)
                continue
            speak = self._speaker(query)
            for repeat in range(query.repeats):
                text = speak(chance(query.seed, content, repeat))
                yield Answer(text, tuple(text.encode()), -1.0, "eos", repeat, query.tag)
        waiting.clear()

    def _share(self, query: Query, content: tuple[Any, ...]) -> dict[str, float]:
        """What 400 other draws decide."""
        random, speak = chance(query.seed, content, "others"), self._speaker(query)
        texts = Counter(speak(random) for _ in range(400))
        term = ABOUT.search(bytes(id for id in query.sequence.ids if id >= 0).decode())
        assert term is not None
        shares = dict.fromkeys(("yes", "no", "neither"), 0.0)
        for text, count in texts.items():
            shares[decide(text, term[1])] += count / 400
        return shares

    def _exact(self, query: Query, content: tuple[Any, ...]) -> Answer:
        if query.mode.reading is None:
            random, speak = chance(query.seed, content, "others"), self._speaker(query)
            drawn = Counter(speak(random) for _ in range(100))
            likely = Likely(tuple((text, count / 100) for text, count in drawn.items()), 0.0, 7)
            return Answer("", (), 0.0, "exact", 0, query.tag, likely=likely)
        distribution = Distribution(**self._share(query, content), undecided=0.0, nodes=7)
        return Answer("", (), 0.0, "exact", 0, query.tag, distribution)

    def _scores(self, query: Query, content: tuple[Any, ...]) -> Iterator[Answer]:
        share = self._share(query, content)
        for index, ids in enumerate(query.mode.continuations):
            text = bytes(ids).decode()
            logprob = float(np.log(share[text.lower()] * (0.9 if text[0].isupper() else 0.1) + 1e-9))
            yield Answer(text, ids, logprob, "given", index, query.tag)

    def _speaker(self, query: Query) -> Callable[[np.random.Generator], str]:
        """What draws an answer to this query."""
        text = bytes(id for id in query.sequence.ids if id >= 0).decode()
        heard = next((self.hears.get(clip.hash) for clip in query.sequence.clips), None)
        about = ABOUT.search(text)
        if about is not None and not query.sequence.clips:  # the word stands in the prompt
            word = re.split(" (?:similar to|a type of|a part of) ", text.removeprefix("Is "))[0]
            heard = next((w for w in self.hears.values() if w.word == word), None)
        truth = heard is not None and about is not None and about[1].casefold() in true_terms(heard)

        def speak(random: np.random.Generator) -> str:
            if about is None:
                label = heard.label if heard and random.random() < self.skill else "Music"
                return f"Labels: {label}; Speech"
            hears = heard is not None and random.random() < self.skill
            yes = truth if hears else random.random() < self.yes
            if random.random() < 0.05:
                return "It is hard to tell."
            return f"Yes, it is {about[1]}." if yes else "No, it is not."

        return speak


def write_clips(
    folder: Path, words: Sequence[Word], per_word: int = 4, seconds: float = 0.5
) -> dict[str, Word]:
    """A folder per word with noise in it, as tests/shard reads it; returns who is who by hash."""
    hears = {}
    for word_index, word in enumerate(words):
        (folder / word.word).mkdir(parents=True, exist_ok=True)
        for index in range(per_word):
            random = np.random.default_rng(1000 * word_index + index)
            samples = (random.standard_normal(int(seconds * SAMPLE_RATE)) * 0.1).astype(np.float32)
            soundfile.write(folder / word.word / f"{index}.wav", samples, SAMPLE_RATE, subtype="FLOAT")
            hears[Clip(samples, "").hash] = word
    return hears


@dataclass(frozen=True)
class Benchmark:
    """The ten ESC-10 words with noise for clips; `hears` says whose each clip is."""

    folder: Path
    spec: Spec
    hears: dict[str, Word]

    def model(self, path: Path, **settings: Any) -> FakeModel:
        return FakeModel(path, self.hears, **settings)

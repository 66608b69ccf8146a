"""What ltu-run asks: one prompt after the other, or a conversation on the terminal."""

import dataclasses
import io
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from ltu.audio import Clip, load_audio, load_windows
from ltu.cli.console import NOTES, print_error, print_warning
from ltu.errors import AudioError, PromptError
from ltu.model import Model
from ltu.prompt import AUDIO
from ltu.query import Answer, Distribution, Exact, Query, Sample
from ltu.readings import Reading
from ltu.sampling import Sampling


class Format(str, Enum):
    interleaved = "interleaved"
    prepended = "prepended"


@dataclass
class Session:
    """A loaded model, the clips in hand and how to ask about them."""

    model: Model
    clips: list[Clip]
    format: Format
    repeats: int
    seed: int
    sampling: Sampling
    max_new_tokens: int | None
    channel: int | None = None  # the one that is heard of each recording
    reading: Reading | None = None  # exact probabilities under it, in the place of answers
    decision_temperature: float = 1.0  # divides their log-odds of yes against no

    def calibrate(self, temperature: float) -> None:
        """Probabilities at sampling temperature 1, whose log-odds a fitted temperature divides."""
        self.sampling = dataclasses.replace(self.sampling, temperature=1.0)
        self.decision_temperature = temperature

    def answer(self, prompt: str) -> None:
        """Prints one answer as it is made, several as they finish, or exact probabilities."""
        if self.reading is not None:
            for answer in self.answers([self.query(prompt)]):
                print(_told(answer.distribution), flush=True)
        elif self.repeats == 1:
            pieces = self.model.generate(
                prompt,
                self.clips,
                seed=self.seed,
                sampling=self.sampling,
                max_new_tokens=self.max_new_tokens,
                format=self.format.value,
                stream=True,
            )
            for piece in pieces:
                print(piece, end="", flush=True)
            print()
        else:
            for answer in self.answers([self.query(prompt)]):
                print(f"[{answer.repeat + 1}/{self.repeats}] {answer.text}", flush=True)

    def answers(self, queries: Sequence[Query]) -> Iterator[Answer]:
        for answer in self.model.answers(queries):
            if answer.distribution is None:
                yield answer
            else:
                found = answer.distribution.at_temperature(self.decision_temperature)
                yield dataclasses.replace(answer, distribution=found)

    def document(self, prompts: Sequence[str]) -> dict[str, Any]:
        answers = self.answers([self.query(prompt, place) for place, prompt in enumerate(prompts)])
        exact: dict[str, Any] = {}
        if self.reading is not None:
            exact = {"term": self.reading.term, "decision_temperature": self.decision_temperature}
        return {
            "model": self.model.path,
            "format": self.format.value,
            "seed": self.seed,
            "sampling": dataclasses.asdict(self.sampling),
            **exact,
            "clips": [{"name": clip.name, "hash": clip.hash, "seconds": clip.seconds} for clip in self.clips],
            "answers": [
                {"prompt": prompts[answer.tag], **fields_of(answer)}
                for answer in sorted(answers, key=lambda answer: (answer.tag, answer.repeat))
            ],
        }

    def query(self, prompt: str, tag: int = 0, clips: Sequence[Clip] | None = None) -> Query:
        heard = self.clips if clips is None else clips
        sequence = self.model.prompter.sequence(prompt, heard, self.format.value)
        mode: Exact | Sample = Exact(self.reading) if self.reading else Sample()
        return Query(sequence, self.repeats, self.seed, self.sampling, self.max_new_tokens, mode, tag)


def converse(session: Session) -> None:
    """Asks for prompts until the end of input; the clips stay loaded. What can't be answered costs a line."""
    NOTES.print(f"{AUDIO} in a prompt stands for a clip. Ctrl-D ends.", markup=False)
    while True:
        try:
            prompt = NOTES.input("> ", markup=False).strip()
        except EOFError:
            NOTES.print()
            return
        try:
            if not session.clips and session.format is Format.interleaved:
                session.clips = [read(file, session.channel) for file in ask_for_clips(prompt.count(AUDIO))]
            if prompt:
                session.answer(prompt)
        except (AudioError, PromptError) as error:
            print_error(error)


def ask_for_clips(count: int) -> list[str]:
    """Paths typed on the terminal, one for each placeholder; none where there is no terminal."""
    if not sys.stdin.isatty():
        return []
    return [
        NOTES.input(f"Path of clip {place} of {count}: ", markup=False).strip()
        for place in range(1, count + 1)
    ]


Heard = TypeVar("Heard", Clip, list[Clip])


def read(file: str, channel: int | None = None) -> Clip:
    return _read(file, load_audio, channel)


def read_windows(file: str, channel: int | None = None) -> list[Clip]:
    """A recording of any length as clips of ten seconds."""
    return _read(file, load_windows, channel)


def _read(file: str, load: Callable[..., Heard], channel: int | None) -> Heard:
    source: str | io.BytesIO = file
    if file == "-":
        source = io.BytesIO(sys.stdin.buffer.read())
        source.name = "standard input"
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        heard = load(source, channel=channel)
    for note in notes:
        print_warning(note.message)
    return heard


def _told(found: Distribution | None) -> str:
    assert found is not None  # the reading says yes, no or neither
    named = ((name, getattr(found, name)) for name in ("yes", "no", "neither", "undecided"))
    return ", ".join(f"{name} {100 * probability:.1f} %" for name, probability in named)


def fields_of(answer: Answer) -> dict[str, Any]:
    fields = dataclasses.asdict(answer)
    del fields["tag"]
    return fields

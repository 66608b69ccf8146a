"""ltu-run: answers prompts about clips."""

import dataclasses
import io
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

import typer

from ltu.audio import Clip, load_audio
from ltu.cli.console import (
    LARGEST,
    NOTES,
    BatchInvariant,
    Device,
    Gguf,
    Json,
    KvMemory,
    Threads,
    application,
    command,
    memory_of,
    print_error,
    print_json,
    print_warning,
    silenced_libraries,
    spread,
    wrong_usage,
)
from ltu.cli.usage import usage_table
from ltu.errors import AudioError, Error, PromptError
from ltu.model import Model, load
from ltu.prompt import AUDIO, check_clips
from ltu.query import Answer, Query
from ltu.sampling import Sampling
from ltu.show.json import as_written

app = application()


class Format(str, Enum):
    interleaved = "interleaved"
    prepended = "prepended"


@app.command()
@command
def run(
    gguf: Gguf = None,
    audio: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE...",
            help="The recordings, one for each [AUDIO] of a prompt and in their order; - reads one from "
            "standard input.",
        ),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="The question, with [AUDIO] where a recording belongs; may be given several times. Without "
            "it a conversation begins on the terminal.",
        ),
    ] = None,
    format: Annotated[
        Format,
        typer.Option(
            help="Where the recordings stand: interleaved puts each at its [AUDIO], prepended all of them "
            "before the text."
        ),
    ] = Format.interleaved,
    repeats: Annotated[
        int, typer.Option(min=1, max=LARGEST, help="How many independent answers each prompt gets.")
    ] = 1,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Decides the draws: equal seeds give equal answers.")
    ] = 0,
    temperature: Annotated[
        float | None,
        typer.Option(
            help="Divides the logits; 0 always takes the likeliest token. Without it the model file's."
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(
            max=LARGEST, help="Draw from the K likeliest tokens; 0 from all. Without it the model file's."
        ),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            help="Draw from the likeliest tokens that together have this probability; 1 from all. Without it "
            "the model file's."
        ),
    ] = None,
    repetition_penalty: Annotated[
        float | None,
        typer.Option(
            help="Make tokens less likely that the prompt or the answer holds; 1 leaves them. Without it the "
            "model file's."
        ),
    ] = None,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(
            min=1, max=LARGEST, help="End an answer after so many tokens. Without it the model file's."
        ),
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
    kv_memory: KvMemory = None,
    batch_invariant: BatchInvariant = False,
    json: Json = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show times, speed and memory at the end.")
    ] = False,
) -> None:
    """Answers prompts about clips."""
    files, prompts = audio or [], prompt or []
    given = {
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "repetition_penalty": repetition_penalty,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if not prompts and (json or not sys.stdin.isatty()):
        raise wrong_usage("--prompt", "absent, and there is no terminal to ask on; add --prompt TEXT")
    if "" in files:
        raise wrong_usage("--audio", "is empty; give the path of a recording")
    if files.count("-") > 1:
        raise wrong_usage("--audio", "standard input (-) can be read only once")
    try:
        Sampling(**changes)
    except Error as error:
        raise wrong_usage("sampling options", str(error)) from None
    if not files and format is Format.interleaved:
        files = ask_for_clips(max((text.count(AUDIO) for text in prompts), default=0))
    for text in prompts:
        try:
            check_clips(text, len(files), format.value)
        except PromptError as error:
            raise wrong_usage("--audio", str(error)) from None

    clips = [read(file) for file in files]
    start = time.perf_counter()
    memory = memory_of("--kv-memory", kv_memory)
    model = load(gguf, device, threads, kv_memory=memory, batch_invariant=batch_invariant)
    loaded = time.perf_counter() - start
    sampling = dataclasses.replace(model.sampling, **changes)
    session = Session(model, clips, format, repeats, seed, sampling, max_new_tokens)
    if json:
        print_json(session.document(prompts))
    elif prompts:
        for text in prompts:
            if len(prompts) > 1:
                print(f"> {text}")
            session.answer(text)
    else:
        converse(session)
    if verbose:
        NOTES.print(usage_table(model, loaded))


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

    def answer(self, prompt: str) -> None:
        """Prints one answer as it is made, or several as they finish."""
        if self.repeats == 1:
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
            for answer in self.model.answers([self.query(prompt)]):
                print(f"[{answer.repeat + 1}/{self.repeats}] {answer.text}", flush=True)

    def document(self, prompts: Sequence[str]) -> dict[str, Any]:
        answers = self.model.answers([self.query(prompt, place) for place, prompt in enumerate(prompts)])
        return {
            "model": self.model.path,
            "format": self.format.value,
            "seed": self.seed,
            "sampling": as_written(dataclasses.asdict(self.sampling)),
            "clips": [{"name": clip.name, "hash": clip.hash, "seconds": clip.seconds} for clip in self.clips],
            "answers": [
                {"prompt": prompts[answer.tag], **_fields(answer)}
                for answer in sorted(answers, key=lambda answer: (answer.tag, answer.repeat))
            ],
        }

    def query(self, prompt: str, tag: int = 0) -> Query:
        sequence = self.model.prompter.sequence(prompt, self.clips, self.format.value)
        return Query(sequence, self.repeats, self.seed, self.sampling, self.max_new_tokens, tag=tag)


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
                session.clips = [read(file) for file in ask_for_clips(prompt.count(AUDIO))]
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


def read(file: str) -> Clip:
    source: str | io.BytesIO = file
    if file == "-":
        source = io.BytesIO(sys.stdin.buffer.read())
        source.name = "standard input"
    with warnings.catch_warnings(record=True) as notes, silenced_libraries():
        warnings.simplefilter("always")
        clip = load_audio(source)
    for note in notes:
        print_warning(note.message)
    return clip


def _fields(answer: Answer) -> dict[str, Any]:
    fields = dataclasses.asdict(answer)
    del fields["tag"]
    return fields


def main() -> None:
    app(spread(sys.argv[1:], "--audio"), prog_name="ltu-run")

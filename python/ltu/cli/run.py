"""ltu-run: answers prompts about clips."""

import dataclasses
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from ltu.cli.console import (
    NOTES,
    Json,
    application,
    command,
    print_json,
    spread,
    wrong_usage,
)
from ltu.cli.options import LARGEST, LARGEST_SEED, BatchInvariant, Device, Gguf, KvMemory, Threads, memory_of
from ltu.cli.session import Format, Session, ask_for_clips, converse, read, read_windows
from ltu.cli.usage import usage_table
from ltu.cli.windows import ask_windows
from ltu.errors import Error, PromptError
from ltu.model import DECISION_TEMPERATURE, load
from ltu.prompt import AUDIO, check_clips
from ltu.query import MOST_REPEATS
from ltu.readings import Reading
from ltu.sampling import Sampling

app = application()

Audio = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE...",
        help="The recordings, one for each [AUDIO] of a prompt and in their order; - reads one from "
        "standard input.",
    ),
]
Channel = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=LARGEST,
        help="Hear this channel of each recording alone; 1 is the left one, which the original LTU "
        "hears. Without it the mean of all.",
    ),
]
Prompt = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TEXT",
        help="The question, with [AUDIO] where a recording belongs; may be given several times. Without "
        "it a conversation begins on the terminal.",
    ),
]
Place = Annotated[
    Format,
    typer.Option(
        help="Where the recordings stand: interleaved puts each at its [AUDIO], prepended all of them "
        "before the text."
    ),
]
Repeats = Annotated[
    int, typer.Option(min=1, max=MOST_REPEATS, help="How many independent answers each prompt gets.")
]
Exact = Annotated[
    bool,
    typer.Option(
        "--exact",
        help="Print the exact probabilities that an answer says yes, no or neither, and what stays "
        "undecided. A model file that ltu-shard calibrate has read gives calibrated ones, unless there "
        "is a --temperature.",
    ),
]
Term = Annotated[
    str,
    typer.Option(metavar="TERM", help="With --exact: what the prompt asks about, such as bird."),
]
Seed = Annotated[
    int, typer.Option(min=0, max=LARGEST_SEED, help="Decides the draws: equal seeds give equal answers.")
]
Temperature = Annotated[
    float | None,
    typer.Option(help="Divides the logits; 0 always takes the likeliest token. Without it the model file's."),
]
TopK = Annotated[
    int | None,
    typer.Option(
        max=LARGEST, help="Draw from the K likeliest tokens; 0 from all. Without it the model file's."
    ),
]
TopP = Annotated[
    float | None,
    typer.Option(
        help="Draw from the likeliest tokens that together have this probability; 1 from all. Without it "
        "the model file's."
    ),
]
RepetitionPenalty = Annotated[
    float | None,
    typer.Option(
        help="Make tokens less likely that the prompt or the answer holds; 1 leaves them. Without it the "
        "model file's."
    ),
]
MaxNewTokens = Annotated[
    int | None,
    typer.Option(min=1, max=LARGEST, help="End an answer after so many tokens. Without it the model file's."),
]
Windows = Annotated[
    bool,
    typer.Option(
        "--windows",
        help="Ask about each ten seconds of one recording of any length, and sum up the answers.",
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show times, speed and memory at the end.")]


@app.command()
@command
def run(
    gguf: Gguf = None,
    audio: Audio = None,
    channel: Channel = None,
    windows: Windows = False,
    prompt: Prompt = None,
    format: Place = Format.interleaved,
    repeats: Repeats = 1,
    exact: Exact = False,
    term: Term = "",
    seed: Seed = 0,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    repetition_penalty: RepetitionPenalty = None,
    max_new_tokens: MaxNewTokens = None,
    device: Device = "auto",
    threads: Threads = None,
    kv_memory: KvMemory = None,
    batch_invariant: BatchInvariant = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Answers prompts about clips."""
    prompts = prompt or []
    if not prompts and (json or not sys.stdin.isatty()):
        raise wrong_usage("--prompt", "absent, and there is no terminal to ask on; add --prompt TEXT")
    reading = _reading(exact, term, repeats)
    sampling = _changes(temperature, top_k, top_p, repetition_penalty)
    files = _recordings(audio or [], prompts, format)
    if windows and (len(files) != 1 or not prompts or exact):
        raise wrong_usage("--windows", "goes with one recording and with --prompt, and without --exact")
    clips = read_windows(files[0], channel) if windows else [read(file, channel) for file in files]
    start = time.perf_counter()
    memory = memory_of("--kv-memory", kv_memory)
    model = load(gguf, device, threads, kv_memory=memory, batch_invariant=batch_invariant)
    loaded = time.perf_counter() - start
    chosen = dataclasses.replace(model.sampling, **sampling)
    session = Session(model, clips, format, repeats, seed, chosen, max_new_tokens, channel, reading)
    if exact and temperature is None and DECISION_TEMPERATURE in model.info:
        session.calibrate(float(model.info[DECISION_TEMPERATURE]))
    if windows:
        ask_windows(session, prompts, json)
    elif json:
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


def _reading(exact: bool, term: str, repeats: int) -> Reading | None:
    """What decides exact answers, if they are wanted."""
    if term and not exact:
        raise wrong_usage("--term", "belongs to --exact")
    if exact and repeats > 1:
        raise wrong_usage("--repeats", "is of no use with --exact, which draws nothing")
    return Reading("careful", term) if exact else None


def _changes(
    temperature: float | None, top_k: int | None, top_p: float | None, repetition_penalty: float | None
) -> dict[str, Any]:
    """What differs from the model file's sampling, checked before the model is loaded."""
    given = {
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "repetition_penalty": repetition_penalty,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    try:
        dataclasses.replace(Sampling(), **changes)
    except Error as error:
        raise wrong_usage("sampling options", str(error)) from None
    return changes


def _recordings(files: list[str], prompts: Sequence[str], format: Format) -> list[str]:
    """The files that go with the prompts; asked for on the terminal where there are none."""
    if files.count("-") > 1:
        raise wrong_usage("--audio", "standard input (-) can be read only once")
    if not files and format is Format.interleaved:
        files = ask_for_clips(max((text.count(AUDIO) for text in prompts), default=0))
    for text in prompts:
        try:
            check_clips(text, len(files), format.value)
        except PromptError as error:
            raise wrong_usage("--audio", str(error)) from None
    return files


def main() -> None:
    app(spread(sys.argv[1:], "--audio"), prog_name="ltu-run")

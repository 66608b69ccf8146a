"""ltu-convert: checkpoint → GGUF, GGUF → GGUF, and what a file is."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from ltu.cli.console import FAILED, NOTES, Json, application, command, print_json, wrong_usage
from ltu.cli.options import Device
from ltu.convert import convert as join
from ltu.convert import describe, export_llama, requantise, run_self_test
from ltu.convert.ltu_part import is_whole
from ltu.convert.outtype import AUDIO_OUTTYPES, OUTTYPES

app = application(
    "Converts a checkpoint to a GGUF file, or a GGUF file to another type.\n\n"
    "ltu-convert --base LLAMA_DIR_OR_GGUF --ltu ltu.bin --outtype q4_k --output m.gguf\n\n"
    "ltu-convert --base LLAMA_DIR_OR_GGUF --checkpoint OUR_OUTPUT --output m.gguf\n\n"
    "ltu-convert --base LTU_DIR_OF_TRANSFORMERS --output m.gguf\n\n"
    "ltu-convert --gguf m.gguf --outtype q8_0 --output n.gguf\n\n"
    "ltu-convert inspect m.gguf --self-test"
)


def _one_of(names: Iterable[str]) -> Callable[[str | None], str | None]:
    def check(name: str | None) -> str | None:
        if name is not None and name not in names:
            raise typer.BadParameter(f"{name!r} is not one of {', '.join(names)}")
        return name

    return check


Base = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="The language model that gets ears: a Hugging Face directory, or a GGUF file of llama.cpp.",
    ),
]
Ltu = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The weights of an original LTU release: audio encoder, projector and LoRA for --base.",
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="What ltu-train wrote, which goes with --base instead of --ltu."),
]
Gguf = Annotated[
    Path | None, typer.Option(metavar="FILE", help="An LTU model file that is converted to other types.")
]
LlamaOnly = Annotated[
    bool, typer.Option("--llama-only", help="Write the language model of --gguf alone, for llama.cpp.")
]
Outtype = Annotated[
    str | None,
    typer.Option(
        metavar="TYPE",
        callback=_one_of(OUTTYPES),
        autocompletion=lambda: list(OUTTYPES),
        help=f"The type of the language model's matrices: {', '.join(OUTTYPES)}. "
        "mixed, the default, is q4_k, and q6_k where errors cost most (output, half of attn_v and "
        "ffn_down), as llama.cpp's Q4_K_M. Matrices whose rows don't fit a type become q8_0 or f16. "
        "--llama-only leaves them as they are by default.",
    ),
]
AudioOuttype = Annotated[
    str | None,
    typer.Option(
        metavar="TYPE",
        callback=_one_of(AUDIO_OUTTYPES),
        autocompletion=lambda: list(AUDIO_OUTTYPES),
        help=f"The type of the audio encoder's and the projector's matrices: "
        f"{', '.join(AUDIO_OUTTYPES)}; by default f32 if the language model's is f32, else f16. q8_0 encodes "
        "faster on CPU and changes embeddings a little.",
    ),
]
Output = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The file to write; in a folder it gets its usual name.")
]


@app.callback(invoke_without_command=True)
@command
def convert(
    context: typer.Context,
    base: Base = None,
    ltu: Ltu = None,
    checkpoint: Checkpoint = None,
    gguf: Gguf = None,
    llama_only: LlamaOnly = False,
    outtype: Outtype = None,
    audio_outtype: AudioOuttype = None,
    output: Output = None,
) -> None:
    if context.invoked_subcommand:
        return
    if (base is None) == (gguf is None):
        raise wrong_usage("--base", "give either --base, with --ltu or --checkpoint, or --gguf; see --help")
    if output is None:
        raise wrong_usage("--output", "name the file to write")
    if base:
        _check_parts(base, ltu, checkpoint, llama_only)
    else:
        _check_whole(ltu, checkpoint, llama_only, audio_outtype)

    columns = (TextColumn("{task.description:28}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=NOTES, transient=True, disable=not NOTES.is_terminal) as bar:
        task = bar.add_task("reading", total=None)

        def progress(tensor: str, done: int, total: int) -> None:
            bar.update(task, description="checking" if done == total else tensor, completed=done, total=total)

        if base:
            written = join(base, ltu, checkpoint, outtype or "mixed", output, progress, audio_outtype)
        elif llama_only:
            written = export_llama(str(gguf), output, outtype, progress)
        else:
            written = requantise(str(gguf), outtype or "mixed", output, progress, audio_outtype)
    for note in written.notes:
        NOTES.print(f"note: {note}", markup=False, soft_wrap=True)
    print(f"{written.path}  {written.bytes / 1e6:.1f} MB")


def _check_parts(base: Path, ltu: Path | None, checkpoint: Path | None, llama_only: bool) -> None:
    """What goes with --base."""
    if llama_only:
        raise wrong_usage("--llama-only", "goes with --gguf")
    if (ltu is None) == (checkpoint is None) and not (ltu is None and is_whole(base)):
        raise wrong_usage(
            "--base",
            "a LLaMA alone can't hear: add either --ltu FILE (audio encoder, projector and LoRA of the "
            "original release) or --checkpoint FOLDER (what ltu-train wrote); a whole LTU of transformers "
            "needs neither",
        )


def _check_whole(
    ltu: Path | None, checkpoint: Path | None, llama_only: bool, audio_outtype: str | None
) -> None:
    """What goes with --gguf."""
    if ltu or checkpoint:
        raise wrong_usage("--gguf", "is converted as it is; --ltu and --checkpoint go with --base")
    if llama_only and audio_outtype:
        raise wrong_usage("--audio-outtype", "--llama-only leaves the audio part out")


@app.command()
@command
def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A GGUF file.")],
    self_test: Annotated[
        bool,
        typer.Option(
            "--self-test", help="Compare what this machine computes with what the converter stored."
        ),
    ] = False,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Shows what a file is: provenance, sizes, types, template."""
    description = describe(file)
    test = run_self_test(file, device) if self_test else None
    if test:
        description["self_test"] = test
    if json:
        print_json(description)
    else:
        _print(description)
    if test and not test["passed"]:
        raise typer.Exit(FAILED)


def _print(description: dict[str, Any]) -> None:
    print(
        f"{description['file']}: {description['bytes'] / 1e6:.1f} MB, {description['parameters']} parameters"
    )
    for key, value in description["keys"].items():
        for line in value if isinstance(value, list) else [value]:
            print(f"  {key} = {line:.6g}" if isinstance(line, float) else f"  {key} = {line!r}")
    tokens, training = description["tokenizer"], description["training"]
    print(f"tokenizer: {tokens['model']}, {tokens['tokens']} tokens")
    print(f"training: {training['clips']} clips and {training['terms']} terms are listed")
    for type, size in description["types"].items():
        print(f"{type}: {size['tensors']} tensors, {size['bytes'] / 1e6:.1f} MB")
    test = description["self_test"]
    if not isinstance(test, dict):
        print(
            "self-test: " + ("values are there, run with --self-test" if test else "the file has no values")
        )
        return
    for part in ("embedding", "logit"):
        values = test[part]
        print(f"self-test: {part}s differ by {values['deviation']:.2g}, {values['tolerance']:.2g} is allowed")
    result = "passed" if test["passed"] else "FAILED"
    print(f"self-test: {result} on {test['device']}, kernels {test['kernels']}")


def main() -> None:
    app(prog_name="ltu-convert")

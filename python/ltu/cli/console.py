"""What the commands share: exit codes, one-line errors, --debug, --json."""

import functools
import inspect
import json
import os
import re
import sys
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console

from ltu.errors import Error

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130  # exit codes; typer itself exits with USAGE
NOTES = Console(stderr=True, highlight=False)
"""Everything that is not the command's result: progress, tables of --verbose, warnings."""

Gguf = Annotated[
    str | None, typer.Option("--gguf", metavar="FILE", help="Model file; absent: the demo model.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, or a back end that was built, as in cuda or cuda:1.")]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="CPU threads; absent: physical cores, no more than the container grants."),
]
KvMemory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Of the KV cache: 512M, 4G, …; absent: a quarter of the memory."),
]
BatchInvariant = Annotated[
    bool,
    typer.Option(
        "--batch-invariant",
        help="On other devices than the CPU: each answer alone, so that no other one changes its last bits.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def application(help: str | None = None) -> typer.Typer:
    """`help` is for several commands; a single one has its docstring."""
    return typer.Typer(help=help, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def command(work: Callable[..., None]) -> Callable[..., None]:
    """Gives a command --debug, and an exit code and one line on standard error to each of its failures."""

    @functools.wraps(work)
    def guarded(*, debug: bool, **options: Any) -> None:
        warnings.showwarning = _warn
        try:
            work(**options)
            sys.stdout.flush()
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:  # the reader of our output has left; nothing more may be written to it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(FAILED) from None
        except Exception as error:
            if debug or _is_usage(error):
                raise
            print_error(error)
            raise typer.Exit(FAILED) from None

    signature = inspect.signature(work, eval_str=True)
    flag = inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Debug)
    guarded.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), flag]
    )
    return guarded


def wrong_usage(option: str, problem: str) -> typer.BadParameter:
    """To raise: ends the command with exit code 2 and a line that names the option."""
    return typer.BadParameter(problem, param_hint=option)


def memory_of(option: str, text: str | None) -> int | None:
    """Bytes of "512M"."""
    if text is None:
        return None
    units = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None or not float(match[1]):
        raise wrong_usage(option, f"{text!r} is no size; write 512M or 4G")
    return int(float(match[1]) * units[match[2].upper()])


def print_json(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))


def show(values: dict[str, Any], json: bool) -> None:
    """Prints what a command did, one fact a line."""
    if json:
        print_json({name.replace(" ", "_"): value for name, value in values.items()})
    else:
        for name, value in values.items():
            print(f"{name}: {value}")


def print_error(error: Exception) -> None:
    print(f"error: {_line(error)}", file=sys.stderr)


def spread(arguments: list[str], option: str) -> list[str]:
    """`--audio a.wav b.wav` → `--audio a.wav --audio b.wav`."""
    result: list[str] = []
    inside = False
    for argument in arguments:
        starts = argument.startswith("-") and argument != "-"
        if inside and not starts and result[-1] != option:
            result.append(option)
        inside = argument == option if starts else inside
        result.append(argument)
    return result


def _is_usage(error: Exception) -> bool:
    """Whether typer prints it: a wrong use of an option, or its Exit and Abort."""
    return isinstance(error, typer.Exit | typer.Abort | typer.BadParameter.__mro__[1])


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, Error):
        return text
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, ModuleNotFoundError):
        return f"{text}; pip install {error.name}"
    if isinstance(error, ImportError):  # an engine that was compiled for another processor says so itself
        return text
    if isinstance(error, MemoryError):
        return "not enough memory; use a smaller model file or close other programs"
    return f"unexpected {type(error).__name__}: {text}; --debug shows where"


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"warning: {message}", file=sys.stderr)

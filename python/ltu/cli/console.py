"""What the commands share: how they end, one-line errors, --json, --version."""

import errno
import functools
import inspect
import json
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated, Any, cast

import typer
from rich.console import Console

from ltu.cli.streams import drop_output, prepare_streams
from ltu.errors import Error
from ltu.show.json import as_written
from ltu.version import __version__

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130  # exit codes
NOTES = Console(stderr=True, highlight=False, emoji=False)
"""Everything that is not the command's result: progress, tables of --verbose, warnings."""
UsageError = cast(type[Exception], typer.BadParameter.__mro__[1])  # of click, which newer typers hold inside


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    print(f"ltu-engine {__version__}")
    try:
        from ltu import _engine

        print(f"devices: {', '.join(_engine.devices())}\nkernels: {_engine.processor()}")
    except (Error, ImportError) as error:  # compiled for another processor; LTU_PROCESSOR asks for one
        print(f"engine: {_line(error)}")
    raise typer.Exit


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Version = Annotated[
    bool,
    typer.Option(
        "--version",
        is_eager=True,
        callback=_print_version,
        help="Print the version, the devices and the kernels, and exit.",
    ),
]


class Application(typer.Typer):
    """One or several commands, which end with an exit code and one line for a wrong use."""

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        prepare_streams()
        try:
            _refuse_empty(args[0] if args else sys.argv[1:])
            code = super().__call__(*args, standalone_mode=False, **kwargs)
        except UsageError as error:
            print_error(error)
            code = USAGE
        except typer.Abort:
            code = INTERRUPTED
        except OSError as error:  # --help and --version, where nothing can be written
            if not isinstance(error, BrokenPipeError):
                print_error(error)
            drop_output()
            code = FAILED
        sys.exit(code or OK)


def application(help: str | None = None) -> Application:
    """`help` is for several commands; a single one has its docstring."""
    app = Application(
        help=help,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    if help:

        @app.callback()
        def options(version: Version = False) -> None:
            pass

    return app


def command(work: Callable[..., None]) -> Callable[..., None]:
    """Gives a command --debug and --version, and its failures an exit code and one line on standard error."""

    @functools.wraps(work)
    def guarded(*, debug: bool, version: bool, **options: Any) -> None:
        warnings.showwarning = _show_warning
        try:
            work(**options)
            sys.stdout.flush()
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:  # the reader of our output has left
            drop_output()
            raise typer.Exit(FAILED) from None
        except Exception as error:
            if debug or isinstance(error, (typer.Exit, typer.Abort, UsageError)):
                raise
            print_error(error)
            drop_output()
            raise typer.Exit(FAILED) from None

    signature = inspect.signature(work, eval_str=True)
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=option)
        for name, option in (("debug", Debug), ("version", Version))
    ]
    guarded.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), *more]
    )
    return guarded


MAY_BE_EMPTY = ("--prompt", "--api-key", "--tasks", "--words", "--folds", "--datasets")


def _refuse_empty(arguments: Sequence[str]) -> None:
    """An empty path would be the folder that the command runs in: a shell's variable may have no value."""
    for before, argument in zip(("", *arguments), arguments, strict=False):
        option = argument.partition("=")[0] if argument.startswith("--") else before
        if (argument == "" or argument == f"{option}=") and option not in MAY_BE_EMPTY:
            raise wrong_usage(option if option.startswith("-") else "an argument", "is empty; give a value")


def wrong_usage(option: str, problem: str) -> typer.BadParameter:
    """To raise: ends the command with exit code 2 and a line that names the option."""
    return typer.BadParameter(problem, param_hint=option)


def print_json(value: object) -> None:
    """Numbers as a person wrote them; characters that standard output can't encode are escaped."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf8")
    print(json.dumps(as_written(value), ensure_ascii=not utf8, indent=2, allow_nan=False))


def show(values: dict[str, Any], json: bool) -> None:
    """Prints what a command did, one fact a line."""
    if json:
        print_json({name.replace(" ", "_"): value for name, value in values.items()})
    else:
        for name, value in values.items():
            print(f"{name}: {value}")


def print_error(error: Exception) -> None:
    _tell(f"error: {_line(error)}")


def print_warning(message: Warning | str) -> None:
    _tell(f"warning: {message}")


def _tell(line: str) -> None:
    """A line on standard error. Where nothing can be written, the work and its exit code still count."""
    with suppress(OSError):
        print(line, file=sys.stderr)


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


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, Error):
        return text
    if isinstance(error, UsageError):
        return _usage_line(error)
    if isinstance(error, OSError) and error.strerror:
        if error.filename:
            return f"{error.filename}: {error.strerror}; check the path"
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        return f"output: {error.strerror}; free some space, or write elsewhere" if full else error.strerror
    if isinstance(error, ModuleNotFoundError):
        return f"{text}; pip install {error.name}"
    if isinstance(error, ImportError):  # an engine that was compiled for another processor says so itself
        return text
    if isinstance(error, MemoryError):
        return "not enough memory; use a smaller model file or close other programs"
    return f"unexpected {type(error).__name__}: {text}; --debug shows where"


def _usage_line(error: Any) -> str:
    """typer's words on one line: the option first, or else the command whose --help says more."""
    text = " ".join(error.format_message().split()).rstrip(".")
    named = re.sub(r"^Invalid value for '?(.+?)'?: (Value error, )?", r"\1: ", text)
    if named != text or not error.ctx:
        return named
    return f"{text}; {error.ctx.command_path} --help shows what there is"


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print_warning(message)

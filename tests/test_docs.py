"""The pages: every command on them has the options that it is shown with; the site builds in strict mode."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from ltu.cli.console import spread

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = "run", "convert", "train", "reformulate", "shard", "serve"
COMMAND = re.compile(rf"(?:^|[`(\s])(ltu-(?:{'|'.join(PROGRAMS)})(?= )[^`\n]*)")
END = re.compile(r"\s(?:[|>&;#]|\d>|…).*")  # a pipe, a redirection, a remark


def commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """(program, arguments) of all that is shown as typed, in blocks and between backticks."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    inside = False
    for line in text.splitlines():
        if line.startswith("```"):
            inside = not inside
            continue
        shown = [line] if inside else re.findall(r"`([^`]+)`", line)
        for match in (COMMAND.search(piece) for piece in shown):
            if match and (inside is False or not line.lstrip().startswith(("#", "usage", "listening"))):
                program, *arguments = shlex.split(END.sub("", match[1]), comments=False)
                yield program, arguments


SHOWN = [(page, program, args) for page in PAGES for program, args in commands(page)]


def test_there_are_commands() -> None:
    assert len(SHOWN) > 40
    assert {program for _, program, _ in SHOWN} == {f"ltu-{name}" for name in PROGRAMS}


@pytest.mark.parametrize(
    ("page", "program", "arguments"), SHOWN, ids=lambda value: value.name if isinstance(value, Path) else None
)
def test_its_options_exist(page: Path, program: str, arguments: list[str]) -> None:
    module = import_module(f"ltu.cli.{program.removeprefix('ltu-')}")
    command: Any = typer.main.get_command(module.app)
    arguments = spread(arguments, "--audio")
    while arguments and arguments[0] in getattr(command, "commands", {}):
        command = command.commands[arguments.pop(0)]
    context = command.context_class(command)
    if arguments and arguments[-1].startswith("--"):  # named in a sentence, without its value
        takes = {name: option for option in command.params for name in option.opts}
        arguments += [] if takes[arguments[-1]].is_flag else ["VALUE"]
    command.make_parser(context).parse_args(args=arguments)  # raises for an option that isn't there


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    for package in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(package, reason="mkdocs-material is not installed (make docs)")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "index.html").is_file()
    assert "load_audio" in (tmp_path / "python" / "index.html").read_text(encoding="utf-8")

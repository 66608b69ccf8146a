"""`make demo`: the demo model is asked about real recordings."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import as_file

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ltu.audio import load_audio
from ltu.demo_model import ASSETS
from ltu.model import Model, load
from ltu.prompt import Format
from ltu.query import Distribution, Query, Sample
from ltu.readings import Reading

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

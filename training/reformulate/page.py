"""The quality report as one HTML file that needs nothing else."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from html import escape

from ltu.prompt import AUDIO
from ltu.show.html import document_of
from ltu.training.reformulate import rules
from ltu.training.reformulate.openaqa import Kind
from ltu.training.reformulate.output import Written
from ltu.training.reformulate.quality import NGRAMS, SAMPLE, Figures, Sample
from ltu.training.reformulate.result import Result, Task

TITLES: Mapping[Kind, str] = {
    "label": "Label classification",
    "acoustic": "Acoustic-feature classification",
    "open": "Open-ended questions",
}


def page(result: Result, written: Written) -> str:
    heading = f"{result.files.output.name}: interleaved prompts"
    parts = [f"<h1>{escape(heading)}</h1>"]
    if result.by in (rules.NAME, rules.PREPENDED):
        parts.append('<p class="note">Written by rules, not by a language model.</p>')
    if written.leaks:
        note = f"{written.leaks} prompts ask, as a yes/no question, about a term of SHARD; see below."
        parts.append(f'<p class="note">{note}</p>')
    facts = [(name.replace("_", " "), str(value)) for name, value in result.facts.items()]
    parts.append(_table(("", ""), facts))
    parts.append("<h2>Quality</h2>" + _table(*figures(result.tasks)))
    parts.append(
        '<p class="caption">distinct-n: different n-grams among all; self-BLEU: BLEU-4 of a prompt against '
        f"the others, 1 if all are alike. Over {SAMPLE} random prompts of each task, or all.</p>"
    )
    for kind, task in result.tasks.items():
        if task.figures:
            parts.append(_task(kind, task.figures, result.quality.samples(kind)))
    parts.append(_problems(result.problems))
    failed = [
        (str(f.item.number), f.item.row["audio_id"], f.item.instruction, f.problem)
        for f in written.failures_listed
    ]
    parts.append(_listed("Failed", written.failed, ("item", "audio id", "instruction", "problem"), failed))
    leaks = [(str(k.item), k.audio_id, ", ".join(k.terms), k.instruction) for k in written.leaks_listed]
    title, columns = "Yes/no questions about SHARD's terms", ("item", "audio id", "terms", "instruction")
    parts.append(_listed(title, written.leaks, columns, leaks))
    return document_of(heading, parts)


def figures(tasks: Mapping[Kind, Task]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows; the terminal shows the same."""

    def of_prompts(value: Callable[[Figures], float | None], digits: int) -> Callable[[Task], str]:
        def shown(task: Task) -> str:
            found = value(task.figures) if task.figures else None
            return "–" if found is None else f"{found:.{digits}f}"

        return shown

    values: dict[str, Callable[[Task], str]] = {
        "items": lambda task: str(task.items),
        "valid at the first try": lambda task: f"{100 * task.valid_first / task.items:.1f} %",
        "valid": lambda task: f"{100 * task.valid / task.items:.1f} %",
        **{f"distinct-{n}": of_prompts(partial(_distinct, n), 3) for n in NGRAMS},
        "self-BLEU": of_prompts(lambda figures: figures.self_bleu, 3),
        "words, mean": of_prompts(lambda figures: figures.mean_words, 1),
    }
    rows = [(name, *map(value, tasks.values())) for name, value in values.items()]
    return ("", *(TITLES[kind] for kind in tasks)), rows


def _distinct(n: int, figures: Figures) -> float:
    return figures.distinct[n]


def _task(kind: Kind, figures: Figures, samples: Sequence[Sample]) -> str:
    lengths = _histogram("words", figures.words)
    beginnings = _histogram("first words", figures.first_words)
    texts = [(sample.original, sample.prompt, sample.answer) for sample in samples]
    table = _table(("original", "interleaved", "answer (as in the source)"), texts)
    return (
        f"<h2>{TITLES[kind]}</h2><div class='pair'>{lengths}{beginnings}</div><h3>Samples</h3>"
        f'<div class="scroll">{table}</div>'
    )


def _histogram(name: str, counts: Mapping[str, int]) -> str:
    largest = max(counts.values())
    body = "".join(
        f"<tr><td>{_text(label)}</td><td>{count}</td>"
        f'<td class="bars"><div class="bar" style="width:{100 * count / largest:.1f}%"></div></td></tr>'
        for label, count in counts.items()
    )
    head = f'<tr><th scope="col">{name}</th><th scope="col">prompts</th><th></th></tr>'
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"


def _problems(problems: Mapping[str, int]) -> str:
    if not problems:
        return ""
    table = _table(("reason", "answers"), [(reason, str(count)) for reason, count in problems.items()])
    return f"<h2>Refused answers</h2>{table}"


def _listed(title: str, count: int, columns: Iterable[str], listed: Sequence[Iterable[str]]) -> str:
    if not count:
        return ""
    first = f", the first {len(listed)}" if len(listed) < count else ""
    table = f'<div class="scroll">{_table(columns, listed)}</div>'
    return f"<h2>{title}</h2><details open><summary>{count}{first}</summary>{table}</details>"


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(text: str) -> str:
    return escape(text).replace(AUDIO, f"<mark>{AUDIO}</mark>")

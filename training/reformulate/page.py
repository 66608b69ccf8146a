"""The quality report as one HTML file that needs nothing else."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from ltu.prompt import AUDIO
from ltu.show.html import document_of
from ltu.training.reformulate import rules
from ltu.training.reformulate.openaqa import KINDS, Kind
from ltu.training.reformulate.output import Written
from ltu.training.reformulate.quality import SAMPLE, Quality, Sample

TITLES: Mapping[Kind, str] = {
    "label": "Label classification",
    "acoustic": "Acoustic-feature classification",
    "open": "Open-ended questions",
}


def page(document: Mapping[str, Any], quality: Quality, written: Written) -> str:
    """`document` is what the command prints as JSON."""
    heading = f"{Path(document['output']).name}: interleaved prompts"
    facts = [(name, value) for name, value in document.items() if not isinstance(value, dict | list)]
    parts = [f"<h1>{escape(heading)}</h1>"]
    if document["by"] in (rules.NAME, rules.PREPENDED):
        parts.append('<p class="note">Written by rules, not by a language model.</p>')
    if written.leaks:
        note = f"{written.leaks} prompts ask, as a yes/no question, about a term of SHARD; see below."
        parts.append(f'<p class="note">{note}</p>')
    parts.append(_table(("", ""), [(name.replace("_", " "), str(value)) for name, value in facts]))
    tasks = document["quality"]
    shown = [kind for kind in KINDS if kind in tasks]
    parts.append("<h2>Quality</h2>" + _table(*figures(tasks)))
    parts.append(
        '<p class="caption">distinct-n: different n-grams among all; self-BLEU: BLEU-4 of a prompt against '
        f"the others, 1 if all are alike. Over {SAMPLE} random prompts of each task, or all.</p>"
    )
    for kind in shown:
        parts.append(_task(kind, tasks[kind], quality.samples(kind)))
    parts.append(_problems(document["problems"]))
    columns = ("item", "audio_id", "instruction", "problem")
    parts.append(_listed("Failed", written.failed, columns, written.failures_listed))
    columns = ("item", "audio_id", "terms", "instruction")
    parts.append(
        _listed("Yes/no questions about SHARD's terms", written.leaks, columns, written.leaks_listed)
    )
    return document_of(heading, parts)


def figures(tasks: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows; the terminal shows the same."""
    shown = [kind for kind in KINDS if kind in tasks]
    values: dict[str, Callable[[Mapping[str, Any]], str]] = {
        "items": lambda f: str(f["items"]),
        "valid at the first try": lambda f: f"{100 * f['valid_first'] / f['items']:.1f} %",
        "valid": lambda f: f"{100 * f['valid'] / f['items']:.1f} %",
        **{f"distinct-{n}": partial(_distinct, n) for n in (1, 2, 3)},
        "self-BLEU": lambda f: "–" if f.get("self_bleu") is None else f"{f['self_bleu']:.3f}",
        "words, mean": lambda f: f"{f['mean_words']:.1f}" if f["valid"] else "–",
    }
    rows = [(name, *(value(tasks[kind]) for kind in shown)) for name, value in values.items()]
    return ("", *(TITLES[kind] for kind in shown)), rows


def _distinct(n: int, figures: Mapping[str, Any]) -> str:
    return f"{figures['distinct'][n]:.3f}" if figures["valid"] else "–"


def _task(kind: Kind, task: Mapping[str, Any], samples: Sequence[Sample]) -> str:
    if not task["valid"]:
        return ""
    lengths = _histogram("words", task["words"])
    beginnings = _histogram("first words", task["first_words"])
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


def _listed(title: str, count: int, columns: tuple[str, ...], listed: Sequence[Mapping[str, Any]]) -> str:
    if not count:
        return ""
    first = f", the first {len(listed)}" if len(listed) < count else ""
    values = ((row[name] for name in columns) for row in listed)
    rows = ((", ".join(v) if isinstance(v, list) else str(v) for v in row) for row in values)
    table = f'<div class="scroll">{_table((name.replace("_", " ") for name in columns), rows)}</div>'
    return f"<h2>{title}</h2><details open><summary>{count}{first}</summary>{table}</details>"


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(text: str) -> str:
    return escape(text).replace(AUDIO, f"<mark>{AUDIO}</mark>")

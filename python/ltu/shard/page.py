"""The report as one HTML file that needs nothing else: tables, figures, answers with their clips."""

import base64
import io
from collections.abc import Callable, Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import soundfile

from ltu.audio import load_audio
from ltu.defaults import SAMPLE_RATE
from ltu.errors import AudioError
from ltu.shard.breakdown import conditions, questions
from ltu.shard.decide import HEADLINE
from ltu.shard.figures import figures
from ltu.shard.render import title
from ltu.shard.scored import Run, Scored
from ltu.shard.table2 import beside_table
from ltu.shard.tables import Table, tables, way

EXAMPLES = 2  # of each kind and condition
KINDS: dict[str, Callable[[Scored], bool]] = {
    "a right yes": lambda s: s.asked.expected is True and s.right(HEADLINE) == 1,
    "a right no": lambda s: not s.asked.expected and s.right(HEADLINE) == 1,
    "a miss": lambda s: s.asked.expected is True and s.count("no", HEADLINE) > 0,
    "a false alarm": lambda s: not s.asked.expected and s.count("yes", HEADLINE) > 0,
    "neither": lambda s: s.count("neither", HEADLINE) > 0,
}
STYLE = """
:root { color-scheme: light; font: 15px/1.5 system-ui, sans-serif; color: #222; }
body { max-width: 76rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
.note { background: #fff4d6; border-left: 4px solid #d9a520; padding: .4rem .8rem; margin: .4rem 0; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: left; border-bottom: 1px solid #ddd; vertical-align: top; }
th { border-bottom: 2px solid #888; font-weight: 600; }
.caption, .about { color: #555; font-size: .85rem; }
.figures { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
figure { margin: 0; } figcaption { width: 0; min-width: 100%; } svg { max-width: 100%; height: auto; }
.scroll { overflow-x: auto; } details summary { cursor: pointer; } audio { height: 2rem; width: 14rem; }
"""


def page(run: Run, document: dict[str, Any]) -> str:
    """The whole page. Raises Error without matplotlib."""
    heading = title(document)
    parts = [f"<h1>{escape(heading)}</h1>", *(f'<p class="note">{escape(n)}</p>' for n in document["notes"])]
    parts.append(f'<p class="about">{escape(_about(document["run"]))}</p>')
    shown = [*tables(document), beside_table(document)]
    parts.append(table_of(shown[0]) if shown else "<p>No question about a term is answered yet.</p>")
    parts.append(figures_of(figures(document)))
    parts += [table_of(table, folded=len(table.rows) > 24) for table in shown[1:]]
    parts.append(_examples(run))
    return document_of(heading, parts)


def document_of(heading: str, parts: Iterable[str]) -> str:
    """A whole HTML file of parts in HTML."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(heading)}</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _about(run: dict[str, Any]) -> str:
    sampling = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in run["sampling"].items())
    return (
        f"Model {run['model']} ({run['model_sha256'][:12]}), licence {run['licence'] or 'unknown'}; benchmark"
        f" {run['spec']} ({run['spec_sha256'][:12]}); {run['answered']} of {run['questions']} answered,"
        f" {run['repeats']} repeats, seed {run['seed']}, {sampling}, at most {run['max_new_tokens']} tokens."
    )


def figures_of(drawn: Iterable[tuple[str, str]]) -> str:
    """(caption, SVG) of each."""
    shown = "".join(
        f'<figure>{svg}<figcaption class="caption">{escape(caption)}</figcaption></figure>'
        for caption, svg in drawn
    )
    return f'<h2>Figures</h2><div class="figures">{shown}</div>'


def table_of(table: Table, folded: bool = False) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    note = f'<p class="caption">{escape(table.note)}</p>' if table.note else ""
    text = (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{note}'
    )
    if folded:
        text = f"<details><summary>{len(table.rows)} rows</summary>{text}</details>"
    return f"<h2>{escape(table.title)}</h2>{text}"


def _examples(run: Run) -> str:
    rows = []
    players: dict[int, str] = {}
    for condition, kind, s in _chosen(run):
        clip = s.asked.clip
        if clip not in players:
            players[clip] = _player(Path(run.clips[clip]["file"]))
        answers = "<br>".join(escape(text) for text in dict.fromkeys(s.texts))
        cells = (escape(kind), f"{escape(s.label)}<br>{players[clip]}", escape(s.asked.prompt), answers)
        rows.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in (escape(condition), *cells))}</tr>")
    if not rows:
        return ""
    head = "".join(f"<th>{name}</th>" for name in ("asked", "", "clip", "prompt", "distinct answers"))
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<h2>Examples</h2><div class="scroll">{table}</div>'


def _chosen(run: Run) -> Iterator[tuple[str, str, Scored]]:
    """The first questions of each kind, no clip twice within a condition."""
    for condition in conditions(run):
        used: set[int] = set()
        base = questions(run, condition)
        for kind, belongs in KINDS.items():
            found: Iterable[Scored] = (s for s in base if s.asked.clip not in used and belongs(s))
            for s, _ in zip(found, range(EXAMPLES), strict=False):
                used.add(s.asked.clip)
                yield f"{condition.task}: {way(vars(condition))}", kind, s


def _player(file: Path) -> str:
    """The clip inside the page, as 16 kHz Ogg; nothing where it is not on this machine."""
    try:
        clip = load_audio(file)
    except AudioError:
        return '<span class="caption">(not on this machine)</span>'
    out = io.BytesIO()
    soundfile.write(out, clip.waveform, SAMPLE_RATE, format="OGG", subtype="VORBIS")
    data = base64.b64encode(out.getvalue()).decode()
    return f'<audio controls preload="none" src="data:audio/ogg;base64,{data}"></audio>'

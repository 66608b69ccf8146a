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
from ltu.shard import HEADLINE
from ltu.shard.report.figures import figures
from ltu.shard.report.table2 import beside_table
from ltu.shard.report.tables import tables, way
from ltu.shard.report.text import title
from ltu.shard.score.breakdown import conditions, questions
from ltu.shard.score.scored import Run, Scored
from ltu.show.html import document_of, figures_of, heading_of, scrolled, table_of
from ltu.show.table import number

EXAMPLES = 2  # of each kind and condition
KINDS: dict[str, Callable[[Scored], bool]] = {
    "a right yes": lambda s: s.asked.expected is True and s.right(HEADLINE) == 1,
    "a right no": lambda s: not s.asked.expected and s.right(HEADLINE) == 1,
    "a miss": lambda s: s.asked.expected is True and s.count("no", HEADLINE) > 0,
    "a false alarm": lambda s: not s.asked.expected and s.count("yes", HEADLINE) > 0,
    "neither": lambda s: s.count("neither", HEADLINE) > 0,
}


def page(run: Run, document: dict[str, Any]) -> str:
    """The whole page. Raises Error without matplotlib."""
    heading = title(document)
    parts = [heading_of(heading, document["notes"])]
    parts.append(f'<p class="about">{escape(_about(document["run"]))}</p>')
    shown = [*tables(document), beside_table(document)]
    parts.append(table_of(shown[0]) if shown else "<p>No question about a term is answered yet.</p>")
    parts.append(figures_of(figures(document)))
    parts += [table_of(table, folded=len(table.rows) > 24) for table in shown[1:]]
    parts.append(_examples(run))
    return document_of(heading, parts)


def _about(run: dict[str, Any]) -> str:
    sampling = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in run["sampling"].items())
    return (
        f"Model {run['model']} ({run['model_sha256'][:12]}), licence {run['licence'] or 'unknown'}; benchmark"
        f" {run['spec']} ({run['spec_sha256'][:12]}); {run['answered']} of {run['questions']} answered,"
        f" {run['repeats']} repeats, seed {run['seed']}, {sampling}, at most {run['max_new_tokens']} tokens."
    )


def _examples(run: Run) -> str:
    """Answers with their clips, beside the exact P(yes) if the run has it."""
    columns: tuple[str, ...] = ("asked", "", "clip", "prompt", "distinct answers", "P(yes)")
    rows: list[list[str]] = []
    players: dict[int, str] = {}
    for condition, kind, s in _chosen(run):
        clip = s.asked.clip
        if clip not in players:
            players[clip] = _player(Path(run.clips[clip]["file"]))
        answers = "<br>".join(escape(text) for text in dict.fromkeys(s.texts))
        sound = f"{escape(s.label)}<br>{players[clip]}"
        chance = number(s.exact.yes, 3) if s.exact else ""
        rows.append([escape(condition), escape(kind), sound, escape(s.asked.prompt), answers, chance])
    if not rows:
        return ""
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    table = scrolled(columns, rows)
    return f"<h2>Examples</h2>{table}"


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

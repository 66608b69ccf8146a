"""The report as one HTML file that needs nothing else: tables, figures, answers with their clips."""

import base64
import io
from collections.abc import Callable, Iterable, Iterator
from html import escape
from pathlib import Path

import numpy as np
import soundfile

from ltu.audio import Clip, load_audio, log_mel
from ltu.defaults import SAMPLE_RATE
from ltu.errors import AudioError
from ltu.shard import HEADLINE
from ltu.shard.report.document import Report, RunRow
from ltu.shard.report.figures import figures
from ltu.shard.report.table2 import beside_table
from ltu.shard.report.tables import tables
from ltu.shard.report.text import title
from ltu.shard.score.breakdown import conditions, questions
from ltu.shard.score.scored import Run, Scored
from ltu.show.html import (
    anchor,
    contents_of,
    document_of,
    figures_of,
    heading_of,
    scrolled,
    section,
    table_of,
)
from ltu.show.table import number

READ_THIS = (
    "The rows “the clip” matter: J is 1 for a model that hears each sound and knows each term, 0 for one that"
    " answers without listening, however often it says yes. With noise or another word's clip J should be"
    " near 0; what the clip's row has above them comes from the sound."
)
PICTURE = (160, 48)  # pixels
EXAMPLES = 2  # of each kind and condition
KINDS: dict[str, Callable[[Scored], bool]] = {
    "a right yes": lambda s: s.asked.expected is True and s.right(HEADLINE) == 1,
    "a right no": lambda s: not s.asked.expected and s.right(HEADLINE) == 1,
    "a miss": lambda s: s.asked.expected is True and s.count("no", HEADLINE) > 0,
    "a false alarm": lambda s: not s.asked.expected and s.count("yes", HEADLINE) > 0,
    "neither": lambda s: s.count("neither", HEADLINE) > 0,
}


def page(run: Run, report: Report) -> str:
    """The whole page. Raises Error without matplotlib."""
    heading = title(report)
    parts = [heading_of(heading, report.notes)]
    parts.append(f'<p class="about">{escape(_about(report.run))}</p>')
    shown = [*tables(report), beside_table(report.table2)]
    examples = _examples(run)
    titles = [shown[0].title, "Figures", *(table.title for table in shown[1:])] + ["Examples"] * bool(
        examples
    )
    parts += [f"<p>{escape(READ_THIS)}</p>", contents_of(titles), table_of(shown[0])]
    parts += [f'<a id="{anchor("Figures")}"></a>', figures_of(figures(report))]
    parts += [table_of(table, folded=len(table.rows) > 24) for table in shown[1:]]
    parts.append(examples)
    return document_of(heading, parts)


def _about(run: RunRow) -> str:
    sampling = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in run.sampling.items())
    return (
        f"Model {run.model} ({run.model_sha256[:12]}), licence {run.licence or 'unknown'}; benchmark"
        f" {run.spec} ({run.spec_sha256[:12]}); {run.answered} of {run.questions} answered,"
        f" {run.repeats} repeats, seed {run.seed}, {sampling}, at most {run.max_new_tokens} tokens."
    )


def _examples(run: Run) -> str:
    """Answers with their clips, beside the exact P(yes) if the run has it."""
    columns: tuple[str, ...] = ("word", "clip", "asked", "outcome", "prompt", "distinct answers", "P(yes)")
    rows: list[list[str]] = []
    players: dict[int, str] = {}
    for condition, kind, s in _chosen(run):
        clip = s.asked.clip
        if clip not in players:
            players[clip] = _player(Path(run.clips[clip]["file"]), s.label)
        answers = "<br>".join(escape(text) for text in dict.fromkeys(s.texts))
        chance = _bar(s.exact.yes) if s.exact else ""
        asked = (escape(condition), escape(kind), escape(s.asked.prompt))
        rows.append([escape(s.label), players[clip], *asked, answers, chance])
    rows.sort(key=lambda row: row[0])
    if not rows:
        return ""
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    table = scrolled(columns, rows)
    return f"{section('Examples')}{table}"


def _chosen(run: Run) -> Iterator[tuple[str, str, Scored]]:
    """The first questions of each kind, no clip twice within a condition."""
    for condition in conditions(run):
        used: set[int] = set()
        base = questions(run, condition)
        for kind, belongs in KINDS.items():
            found: Iterable[Scored] = (s for s in base if s.asked.clip not in used and belongs(s))
            for s, _ in zip(found, range(EXAMPLES), strict=False):
                used.add(s.asked.clip)
                yield f"{condition.task}: {condition.way}", kind, s


def _bar(chance: float) -> str:
    """A probability as a bar, and as a number."""
    return f'<span class="chance"><i style="width: {100 * chance:.0f}%"></i></span> {number(chance, 3)}'


def _picture(clip: Clip, label: str) -> str:
    """The clip's log-mel features, low tones below, as an image inside the page."""
    from PIL import Image

    mel = log_mel(clip.waveform).T[::-1]
    low, high = np.percentile(mel, (5, 99.5))
    grey = np.clip((mel - low) / max(high - low, 1e-6), 0, 1) * 255
    out = io.BytesIO()
    Image.fromarray(grey.astype(np.uint8)).resize(PICTURE).save(out, "PNG", optimize=True)
    data = base64.b64encode(out.getvalue()).decode()
    return (
        f'<img class="mel" alt="log-mel spectrogram of {escape(label)}" src="data:image/png;base64,{data}">'
    )


def _player(file: Path, label: str) -> str:
    """The clip inside the page, as 16 kHz Ogg and as a picture; nothing where it is not on this machine."""
    try:
        clip = load_audio(file)
    except AudioError:
        return '<span class="caption">(not on this machine)</span>'
    out = io.BytesIO()
    soundfile.write(out, clip.waveform, SAMPLE_RATE, format="OGG", subtype="VORBIS")
    data = base64.b64encode(out.getvalue()).decode()
    name = f'aria-label="{escape(label)}"'
    player = f'<audio controls {name} preload="none" src="data:audio/ogg;base64,{data}"></audio>'
    return f'<div class="heard">{player}{_picture(clip, label)}</div>'

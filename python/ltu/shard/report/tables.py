"""A report → tables of text, which the terminal, Markdown and the page show alike."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from ltu.shard.report.document import Report
from ltu.shard.score.causes import CAUSES
from ltu.shard.score.records import Bounds, Calibration, Condition, Figure, Part
from ltu.show.table import Table, number, per_cent
from ltu.show.table import with_interval as interval_text

Row = TypeVar("Row", bound=Condition)
WORD_FIGURES = ("recall", "specificity", "noise_recall", "noise_specificity")
LISTED = 20  # answers on which the readings disagree
READ = {
    "all": "",
    "paper": "paper (neither is no)",
    "exact": "exact probabilities",
    "log-odds": "log-odds above 0",
}
HEARD = {"": "the clip", "other": "another word's clip", "word": "the word"}  # else by its own name


def with_interval(figure: Figure) -> str:
    return interval_text(figure.value, figure.low, figure.high)


def tables(report: Report) -> Iterator[Table]:
    """All tables of a report, the headline first; those without rows are left out."""
    for table in (
        headline(report),
        figures(report),
        identity(report),
        parts(report),
        causes(report),
        calibration(report),
        exact(report),
        comparisons(report),
        words(report),
        readings(report),
        failures(report),
    ):
        if table.rows:
            yield table


def headline(report: Report) -> Table:
    """J beside the rows that a deaf model would have."""
    rows = [
        (
            row.task,
            row.way,
            HEARD.get(row.name, row.name),
            _j(row),
            per_cent(row.figures["recall"].value),
            per_cent(row.figures["specificity"].value),
            per_cent(row.figures["yes_rate"].value),
            str(row.questions),
        )
        for row in report.conditions
        if row.part in ("all", "baseline", "control") and row.reading == "careful"
    ]
    note = (
        "J = recall + specificity − 1, 95 % interval over words and the terms they share. A model that does"
        " not listen has 0. Silence is one sound, so its J is 0 for every model: its yes % is what the words"
        " of a question alone bring."
    )
    return Table(
        "Does it hear and know? Youden's J",
        ("task", "asked", "heard", "J", "recall %", "specificity %", "yes %", "questions"),
        rows,
        note,
    )


def _j(row: Part) -> str:
    """None for silence, no interval for what is known."""
    figure = row.figures["j"]
    if row.name == "silence":
        return "–"
    return number(figure.value) if row.part == "baseline" else with_interval(figure)


def figures(report: Report) -> Table:
    """Every figure of each condition, under both readings."""
    columns = ("accuracy", "precision", "recall", "f1", "specificity", "yes_rate", "unparsed")
    others = ("d_prime", "criterion", "auroc", "within_question_variance")
    rows = []
    for row in report.conditions:
        if row.part in READ:
            f = row.figures
            reading = READ[row.part] or row.reading
            shown = (per_cent(f[name].value) for name in columns)
            rest = (number(f[name].value) for name in others)
            rows.append((row.task, row.way, reading, *shown, *rest))
    titles = (
        "task",
        "asked",
        "reading",
        "acc. %",
        "prec. %",
        "recall %",
        "F1 %",
        "spec. %",
        "yes %",
        "neither %",
    )
    note = (
        "All repeats pooled. Neither: answers that say neither yes nor no, wrong but for precision."
        " d′: how far apart right and wrong terms are, in standard deviations; criterion: above 0 inclined"
        " to say no (log-linear correction, one a question in every row). AUROC of the share of repeats that"
        " say yes, or of the log-odds; variance of yes between the repeats of one question (.25 is a coin)."
    )
    return Table("All figures", (*titles, "d′", "criterion", "AUROC", "variance within"), rows, note)


def identity(report: Report) -> Table:
    rows = [
        (
            row.way,
            HEARD.get(row.control, row.control),
            with_interval(row.strict),
            _between(row.exact),
            with_interval(row.lenient),
            number(row.relative_instead.value),
            number(row.labels_per_answer),
            number(row.precision),
        )
        for row in report.identity
    ]
    columns = (
        "asked",
        "heard",
        "label named",
        "P(label named)",
        "a part of it named",
        "a relative instead",
        "labels an answer",
        "precision",
    )
    note = "Share of answers; P: exact, with --exact; relatives stand above, below or beside the label."
    return Table("Identity", columns, rows, note)


def _between(exact: Bounds | None) -> str:
    return "" if exact is None else f"{exact.low:.3f}–{exact.high:.3f}"


def parts(report: Report) -> Table:
    rows = [
        (
            row.task,
            row.way,
            row.part,
            row.name,
            with_interval(row.figures["j"]),
            with_interval(row.over_noise) if row.over_noise else "–",
            with_interval(row.figures["recall"]),
            with_interval(row.figures["specificity"]),
            str(row.questions),
        )
        for row in report.conditions
        if row.part in ("group", "label", "distance", "seen")
    ]
    note = (
        "distance: negatives of the same branch, or with the same parent, in the ontology; never pooled;"
        " balanced inside each group. A part that is not balanced by term has no J; J over noise is J minus"
        " that of noise in the clips' place, which is 0 for who does not listen."
    )
    columns = ("task", "asked", "part", "which", "J", "J over noise", "recall", "specificity", "questions")
    return Table("Parts", columns, rows, note)


def causes(report: Report) -> Table:
    rows = []
    for use in report.audio_use:
        split = _same(use, report.errors)
        given = _same(use, report.given_named)
        shares = split.shares if split else {}
        rows.append(
            (
                use.task,
                use.way,
                with_interval(use.difference),
                with_interval(given.over_noise) if given else "–",
                str(split.errors) if split else "–",
                *(per_cent(shares.get(name)) for name in CAUSES),
            )
        )
    columns = (
        "task",
        "asked",
        "audio use",
        "label named: J over noise",
        "errors",
        "not heard %",
        "not known %",
        "not joined %",
    )
    note = (
        "Audio use: J minus J with another word's clip. Not heard: the label is not named; not known: wrong"
        " even with the word in place of the sound; not joined: both right alone, wrong together."
    )
    return Table("Why answers are wrong", columns, rows, note)


def _same(use: Condition, rows: Sequence[Row]) -> Row | None:
    """The row of the same condition."""
    mine = use.task, use.way
    return next((row for row in rows if (row.task, row.way) == mine), None)


def calibration(report: Report) -> Table:
    """Whether P(yes) means what it says."""
    untempered = report.run.selection.get("untempered")
    temperature = 1 if untempered else report.run.sampling["temperature"]
    rows = [
        (
            row.task,
            row.way,
            f"exact at temperature {temperature:g}" if row.source == "exact" else row.source,
            *(number(getattr(row.found, name), 3) for name in ("brier", "ece", "log_loss", "auroc")),
            *(per_cent(_risk_at(row.found, share)) for share in (0.5, 0.8, 1.0)),
        )
        for row in report.calibration
    ]
    columns = ("task", "asked", "P(yes) from", "Brier", "ECE", "log-loss", "AUROC")
    covered = ("wrong % of the surest half", "of four fifths", "of all")
    note = (
        "ECE: mean distance of probability and share of yes over ten bins of equal mass; 0 is calibrated."
        " Sampling at a low temperature sharpens P(yes); ltu-shard calibrate fits what undoes it."
    )
    return Table("Calibration", (*columns, *covered), rows, note)


def _risk_at(row: Calibration, share: float) -> float:
    return float(min(row.risk, key=lambda point: abs(point[0] - share))[1])


def exact(report: Report) -> Table:
    """Repeats beside the probabilities that they are drawn with."""
    keys = ("mean_difference", "rms_difference", "rms_of_sampling", "largest_undecided")
    rows = [
        (
            row.task,
            row.way,
            *(number(getattr(row, key), 4) for key in keys),
            f"{row.positions_a_question:.0f}",
        )
        for row in report.exact
    ]
    columns = ("task", "asked", "mean", "rms", "rms expected", "largest undecided", "positions a question")
    note = "Share of repeats that say yes minus the exact P(yes); expected: from sampling alone."
    return Table("Repeats and exact probabilities", columns, rows, note)


def comparisons(report: Report) -> Table:
    rows = []
    for row in report.comparisons:
        needed = "–" if row.words_needed is None else f"{row.words_needed} / {row.clips_needed}"
        p_values = (number(p, 3) for p in (row.p, row.p_holm))
        value, size = with_interval(row.difference), str(row.questions)
        rows.append((row.name, row.task, row.way, value, *p_values, needed, size))
    columns = (
        "difference",
        "task",
        "asked",
        "value",
        "p",
        "p (Holm)",
        "words / clips to tell apart",
        "questions",
    )
    note = (
        "J, or share of labels named; paired by question; p from swapping whole words, larger where they"
        " share terms; 80 % power at 5 %."
    )
    return Table("Comparisons", columns, rows, note)


def words(report: Report) -> Table:
    rows = [
        (
            row.label,
            row.group,
            row.task,
            row.way,
            *(number(getattr(row, name)) for name in WORD_FIGURES),
        )
        for row in sorted(report.words, key=lambda row: (row.label, row.task))
    ]
    columns = (
        "word of the clip",
        "group",
        "task",
        "asked",
        "recall",
        "specificity",
        "recall, noise",
        "spec., noise",
    )
    return Table(
        "Words", columns, rows, "Noise: the same questions with noise in the place of the word's clips."
    )


def readings(report: Report) -> Table:
    found = report.readings
    rows = [
        (row.text.replace("\n", " ")[:100], row.term, row.careful, row.paper) for row in found.list[:LISTED]
    ]
    title = f"Answers that the readings take differently: {found.disagree} of {found.answers}"
    return Table(title, ("answer", "term", "careful", "paper"), rows)


def failures(report: Report) -> Table:
    rows = [(failure.file, failure.reason) for failure in report.failures]
    return Table("Clips that could not be read", ("file", "reason"), rows)

"""Two runs, or two ways of asking in one run, on the same questions."""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, replace

import numpy as np

from ltu.shard import HEADLINE
from ltu.shard.score.breakdown import conditions, j, questions
from ltu.shard.score.intervals import J_DIFFERENCE, holm, interval, jackknife, swap_test, words_needed
from ltu.shard.score.metrics import Decisions, confusion, recall
from ltu.shard.score.records import Comparison, Condition, Figure, or_none
from ltu.shard.score.scored import Run, Scored, counts
from ltu.shard.spec.prompts import PAPER_CELLS
from ltu.shard.spec.relations import IDENTITY

SHARE_DIFFERENCE = (-1.0, 1.0)


Pairs = list[tuple[Scored, Scored]]


def within(run: Run) -> list[Comparison]:
    """The paper's two ways of asking: (interleaved, short) minus (prepended, long)."""
    before, after = PAPER_CELLS
    found = []
    for task in (IDENTITY, *run.relation_names):
        one, other = Condition(task, *after), Condition(task, *before)
        pairs = _pairs(run, one, run, other)
        found.append(_compared(run, one, pairs, "interleaved, short − prepended, long"))
    return _corrected(found)


def in_common(run: Run, other: Run, condition: Condition) -> tuple[int, int]:
    """How many of the questions of a condition another run has, too, and how many there are."""
    return len(_pairs(run, condition, other, condition)), len(_chosen(run, condition))


def between(run: Run, other: Run) -> list[Comparison]:
    """This run minus another, condition by condition."""
    mine, theirs = _named(run), _named(other)
    name = f"{mine} − {theirs}" if mine != theirs else f"{mine}, this file − the other file"
    found = [
        _compared(run, condition, _pairs(run, condition, other, condition), name)
        for condition in conditions(run, (IDENTITY, *run.relation_names))
    ]
    return _corrected(found)


def _pairs(run: Run, one: Condition, other_run: Run, other: Condition) -> Pairs:
    """The same clip, term and answer in both; identity questions by clip."""

    def key(owner: Run, s: Scored) -> Hashable:
        asked = s.asked
        return owner.clips[asked.clip]["hash"], asked.term.casefold(), asked.expected

    theirs = {key(other_run, s): s for s in _chosen(other_run, other)}
    return [(s, theirs[key(run, s)]) for s in _chosen(run, one) if key(run, s) in theirs]


def _chosen(run: Run, condition: Condition) -> list[Scored]:
    if condition.task != IDENTITY:
        return questions(run, condition)
    return run.select(lambda s: condition.holds(s) and not s.asked.control)


def _named(run: Run) -> str:
    """Two files of one model are told apart by what they hold."""
    return f"{run.row['model']} {run.row['model_sha256'][:6]} (run {run.row['id']})"


def _compared(run: Run, condition: Condition, pairs: Pairs, name: str) -> Comparison | None:
    if not pairs:
        return None
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    figure: Callable[[Decisions], float] = j
    if condition.task == "identity":
        one, other = _as_decisions(run, first, first), _as_decisions(run, first, second)
        figure = _strict
    else:
        one = run.decisions(first, HEADLINE)
        yes, no, neither = counts(second, HEADLINE)
        other = replace(one, yes=yes, no=no, neither=neither)
    found = jackknife(one, figure) - jackknife(other, figure)
    needed = words_needed(found)
    clips_per_word = len({s.asked.clip for s in first}) / len({s.label for s in first})
    bounds = SHARE_DIFFERENCE if condition.task == IDENTITY else J_DIFFERENCE
    return Comparison(
        **asdict(condition),
        name=name,
        figure="strict" if condition.task == IDENTITY else "j",
        questions=len(pairs),
        difference=Figure.of(interval(found, bounds)),
        p=or_none(swap_test(found)),
        words_needed=needed,
        clips_needed=None if needed is None else math.ceil(needed * clips_per_word),
    )


def _strict(d: Decisions) -> float:
    return recall(confusion(d))


def _as_decisions(run: Run, asked: Sequence[Scored], scored: Sequence[Scored]) -> Decisions:
    """Identity as a question whose answer is the label; row i of `asked` is the run's own question."""
    repeats = np.array([len(s.texts) for s in scored])
    named = np.array([round(s.strict * len(s.texts)) for s in scored])
    words = np.array([run.word_index[s.label] for s in asked])
    return Decisions(np.ones(len(scored), bool), named, repeats - named, 0 * named, words, words, words)


def _corrected(rows: Sequence[Comparison | None]) -> list[Comparison]:
    """Holm's correction over the tests of one comparison."""
    found = [row for row in rows if row is not None]
    corrected = holm([math.nan if row.p is None else row.p for row in found])
    return [replace(row, p_holm=or_none(p)) for row, p in zip(found, corrected, strict=True)]

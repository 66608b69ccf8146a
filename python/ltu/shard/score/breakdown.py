"""Figures with intervals: of a condition, and of its parts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np

from ltu.readings import READINGS
from ltu.shard import HEADLINE
from ltu.shard.run.controls import CONTROLS
from ltu.shard.score import metrics
from ltu.shard.score.balance import balanced_part, is_balanced
from ltu.shard.score.intervals import (
    J_DIFFERENCE,
    SHARE,
    Estimate,
    Jackknife,
    interval,
    jackknife,
    jackknives,
    words_of,
)
from ltu.shard.score.metrics import Decisions, Floats
from ltu.shard.score.records import Bounds, Condition, Figure, IdentityRow, Part, WordRow, or_none
from ltu.shard.score.scored import Run, Scored
from ltu.shard.spec.ontology import DISTANCES
from ltu.shard.spec.relations import IDENTITY
from ltu.shard.spec.words import stands_in

OF_TERMS = ("j", "d_prime", "criterion", "auroc", "accuracy", "f1", "precision")
ENOUGH = 5  # words for a group's own J among near negatives
TIER = DISTANCES[0]  # "elsewhere": the only one that the headline counts


def conditions(run: Run, tasks: Sequence[str] = ()) -> list[Condition]:
    """What a run asked, in its order; without `tasks` all that is about terms."""
    tasks = tasks or run.relation_names
    asked = dict.fromkeys((s.asked.task, s.asked.position, s.asked.wording) for s in run.scored)
    found = [Condition(*each) for each in asked if each[0] in tasks]
    return sorted(found, key=lambda c: (tasks.index(c.task), c.position != "prepended"))


def in_tier(scored: Scored, tier: str = TIER) -> bool:
    return tier in scored.asked.tiers.split(",")


def questions(run: Run, condition: Condition, control: str = "", tier: str = TIER) -> list[Scored]:
    """The questions of a condition, or its controls, whose negatives are at one distance.

    Where a clip could not be read, those of all rows are the same: the part that is balanced without it.
    """
    found = run.select(lambda s: condition.holds(s) and in_tier(s, tier) and s.asked.base not in run.unheard)
    base = [s for s in found if not s.asked.control]
    if run.unheard and not run.is_part:
        base = balanced_part(base)
    kept = {s.asked.id for s in base}
    if not control:
        return base
    mine = [s for s in found if s.asked.control == control and s.asked.base in kept]
    if control == "other" and len(mine) < len(base) and is_balanced(base):
        return balanced_part(mine)
    return mine


def estimates(d: Decisions, scores: Floats | None = None) -> dict[str, Estimate]:
    """Every figure with its jackknife interval; `scores` for the AUROC, else the share of yes."""
    of = metrics.yes_share(d) if scores is None else scores
    found = jackknives(d, lambda kept: metrics.figures(d.where(kept), of[kept]))
    return {name: interval(figure, metrics.BOUNDS.get(name)) for name, figure in found.items()}


def part(
    condition: Condition, kind: str, name: str, reading: str, d: Decisions, scores: Floats | None = None
) -> Part:
    """One row of the report."""
    figures = {key: Figure.of(value) for key, value in estimates(d, scores).items()}
    positives = int(d.expected.sum())
    return Part(
        **asdict(condition),
        part=kind,
        name=name,
        reading=reading,
        questions=len(d),
        positives=positives,
        words=len(words_of(d)),
        figures=figures,
    )


def rows(run: Run, condition: Condition) -> Iterator[Part]:
    """The whole of a condition, then its baselines, controls and parts."""
    base = questions(run, condition)
    whole = run.decisions(base, HEADLINE)
    yield part(condition, "all", "", HEADLINE, whole)
    if run.stopped_by is None:
        for reading in READINGS:
            if reading != HEADLINE:
                yield part(condition, "all", "", reading, run.decisions(base, reading))
        as_paper = run.decisions(base, "paper").as_paper()
        yield part(condition, "paper", "neither counts as no", "paper", as_paper)
    if (exact := run.exact(base)) is not None:
        yield part(condition, "exact", "probabilities", HEADLINE, exact)
    if (odds := run.log_odds(base)) is not None:
        yield part(condition, "log-odds", "above 0", HEADLINE, run.at_zero(base, odds), odds)
    none = np.zeros_like(whole.yes)
    for name, yes in (("always yes", whole.repeats), ("always no", none)):
        said = replace(whole, yes=yes, no=whole.repeats - yes, neither=none)
        yield part(condition, "baseline", name, HEADLINE, said)
    for control in CONTROLS:
        if found := questions(run, condition, control):
            yield part(condition, "control", control, HEADLINE, run.decisions(found, HEADLINE))
    for tier in DISTANCES[1:]:
        if found := questions(run, condition, tier=tier):
            yield part(condition, "distance", tier, HEADLINE, run.decisions(found, HEADLINE))
            inside = {
                f"{tier}, {group}": asked
                for group, asked in _named(found, _group(run)).items()
                if len({s.label for s in asked}) >= ENOUGH
            }
            yield from _parts(run, condition, "distance", inside, tier)
    groups = _named(base, _group(run))
    if music := [s for s in base if run.words[s.label].is_music]:
        groups["music, of anthrophony"] = music
    yield from _parts(run, condition, "group", groups)
    yield from _parts(run, condition, "label", _named(base, _in_label))
    yield from _parts(run, condition, "seen", _named(base, _seen))


def _named(asked: Sequence[Scored], name_of: Callable[[Scored], str]) -> dict[str, list[Scored]]:
    names: dict[str, list[Scored]] = {name: [] for name in sorted({name_of(s) for s in asked})}
    for s in asked:
        names[name_of(s)].append(s)
    return names


def _parts(
    run: Run, condition: Condition, kind: str, names: Mapping[str, Sequence[Scored]], tier: str = TIER
) -> Iterator[Part]:
    """A row for each part of a tier's questions; one that is not balanced by term has no J."""
    noise = {s.asked.base: s for s in questions(run, condition, "noise", tier)}
    for name, chosen in names.items():
        row = part(condition, kind, name, HEADLINE, run.decisions(chosen, HEADLINE))
        balanced, figures = is_balanced(chosen), dict(row.figures)
        if not balanced:  # its J, d′ and AUROC would be those of the terms, whatever is heard
            figures |= dict.fromkeys(OF_TERMS, Figure())
        over = over_noise(run, chosen, noise)
        yield replace(row, figures=figures, balanced=balanced, over_noise=over)


def over_noise(run: Run, chosen: Sequence[Scored], noise: Mapping[int, Scored]) -> Figure | None:
    """J minus J with noise in the clips' place: 0 for who does not listen, whatever the questions are.

    None without noise.
    """
    pairs = [(s, noise[s.asked.id]) for s in chosen if s.asked.id in noise]
    if not pairs or len({s.asked.expected for s, _ in pairs}) < 2:
        return None
    heard, played = (run.decisions(list(side), HEADLINE) for side in zip(*pairs, strict=True))
    return Figure.of(difference(heard, played))


def j(d: Decisions) -> float:
    return metrics.youden(metrics.confusion(d))


def difference(one: Decisions, other: Decisions) -> Estimate:
    """J of one minus J of the other; row i of both is the same question."""
    return interval(jackknife(one, j) - jackknife(other, j), J_DIFFERENCE)


def _group(run: Run) -> Callable[[Scored], str]:
    return lambda scored: run.words[scored.label].group


def _in_label(scored: Scored) -> str:
    """A term that stands in its word's label asks for the label's name, not for a synonym."""
    stands = stands_in(scored.asked.term_label, scored.asked.term)
    return f"term {'stands' if stands else 'does not stand'} in the label"


def _seen(scored: Scored) -> str:
    """Whether the model's training had the clip, and asked about the term."""
    clip, term = ("seen" if mark else "unseen" for mark in (scored.asked.clip_seen, scored.asked.term_seen))
    return f"clip {clip}, term {term}"


def word_rows(run: Run, condition: Condition) -> Iterator[WordRow]:
    """Per clip's word; no interval, since a word is what is sampled, and no J, which would be its terms'.

    With controls also what noise in the place of its clips gets.
    """
    base = questions(run, condition)
    noise = {s.asked.base: s for s in questions(run, condition, "noise")}
    for label in sorted({s.label for s in base}):
        d = run.decisions([s for s in base if s.label == label], HEADLINE)
        pooled = metrics.confusion(d)
        row = WordRow(
            **asdict(condition),
            label=label,
            group=run.words[label].group,
            questions=len(d),
            recall=or_none(metrics.recall(pooled)),
            specificity=or_none(metrics.specificity(pooled)),
            unparsed=or_none(metrics.unparsed_rate(pooled)),
        )
        played = [noise[s.asked.id] for s in base if s.label == label and s.asked.id in noise]
        if played:
            heard = metrics.confusion(run.decisions(played, HEADLINE))
            recall, specificity = or_none(metrics.recall(heard)), or_none(metrics.specificity(heard))
            row = replace(row, noise_recall=recall, noise_specificity=specificity)
        yield row


def identity_rows(run: Run) -> Iterator[IdentityRow]:
    """Labels named, for each way of asking and each control."""
    for condition in conditions(run, (IDENTITY,)):
        for control in ("", *CONTROLS):
            asked = [s for s in run.scored if condition.holds(s) and s.asked.control == control]
            if not asked:
                continue
            named = sum(len(names) for s in asked for names in s.named)
            answers = sum(len(s.texts) for s in asked)
            yield IdentityRow(
                **asdict(condition),
                control=control,
                questions=len(asked),
                strict=Figure.of(identity_estimate(run, asked, lambda s: s.strict)),
                lenient=Figure.of(identity_estimate(run, asked, lambda s: s.lenient)),
                relative_instead=Figure.of(identity_estimate(run, asked, lambda s: s.relative)),
                labels_per_answer=named / answers,
                precision=sum(s.right_labels for s in asked) / named if named else None,
                exact=_exact_identity(asked),
            )


def _exact_identity(asked: Sequence[Scored]) -> Bounds | None:
    """The mean P(label named); None without --exact."""
    found = [s.exact for s in asked if s.exact is not None]
    if len(found) < len(asked):
        return None
    low = float(np.mean([exact.yes for exact in found]))
    return Bounds(low, low + float(np.mean([exact.undecided for exact in found])))


def identity_estimate(run: Run, asked: Sequence[Scored], share: Callable[[Scored], float]) -> Estimate:
    """A mean over identity questions; clusters are the clips' words."""
    labels = np.array([run.word_index[s.label] for s in asked])
    values = np.array([share(s) for s in asked])
    words = np.unique(labels)
    whole = float(values.mean())
    if len(words) < 2:
        return interval(Jackknife(whole, np.array([whole])), SHARE)
    without = np.array([values[labels != word].mean() for word in words])
    return interval(Jackknife(whole, len(words) * whole - (len(words) - 1) * without), SHARE)

"""The model card: what the demo model is, what it learnt from, and what it gets right."""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

from ltu.files import write_text
from ltu.training.config import Config
from ltu.training.demo import stages
from ltu.training.demo.bank import MIXED, PIECE
from ltu.training.demo.distil import Recipe
from ltu.training.demo.evaluate import ABOUT, Asked, Named, balanced
from ltu.training.demo.log import read_log
from ltu.training.demo.questions import FORMATS, table, terms
from ltu.training.demo.sounds import Sound
from ltu.training.demo.terms import is_unknown, sound_classes
from ltu.training.run.metadata import front_matter

FIGURES = "quick.json"  # how long and how far stages went that ran by the clock, and what their encoder named


@dataclass(frozen=True)
class Figures:
    """Answers about held-out recordings."""

    asked: Sequence[Asked]  # terms, about known sounds
    named: Sequence[Named]  # labels, of all sounds
    about_unknown: Sequence[Asked]  # names, about sounds that have none
    esc10: Collection[str]  # the classes that ESC-10 has
    never_trained: Collection[str]  # labels that no training heard


def write_card(
    path: Path,
    config: Config,
    figures: Figures,
    trained: Sequence[Sound],
    work: Path,
) -> None:
    """`work`: the folder of the stages' log, and of FIGURES if they ran by the clock."""
    known = [name for name in sound_classes(table(ABOUT)) if not is_unknown(name, table(ABOUT))]
    encoder, base = config.encoder, config.base.source
    text = _template("card.md").format(
        name=config.name,
        license=config.license,
        base=base.name,
        base_license=base.license,
        base_url=base.url,
        width=encoder.width,
        blocks=encoder.blocks_a + encoder.blocks_u,
        r=config.lora.r,
        alpha=config.lora.alpha,
        targets=", ".join(config.lora.targets),
        classes=", ".join(name.lower() for name in known),
        known=len(known),
        clips=len(trained),
        recipe=_fresh_recipe(work) if (work / FIGURES).is_file() else _bank_recipe(config, Recipe()),
        log=_log(work),
        named=named_table(figures, known),
        table=terms_table(figures.asked),
        esc10=terms_table([a for a in figures.asked if a.term.true_of <= set(figures.esc10)]),
        by_term=_by_term(figures.asked),
        authors=_authors(trained),
    )
    write_text(path, f"{front_matter(config)}\n{text}")


def _template(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _bank_recipe(config: Config, recipe: Recipe) -> str:
    text = _template("recipe-bank.md").format(
        **asdict(recipe),
        entries=stages.PIECES * PIECE,
        mixed_entries=f"{MIXED:.0%}",
        rounds="; then ".join(round.describe() for round in stages.ROUNDS),
        views=config.data.views,
        projector_rate=config.train.projector_learning_rate,
    )
    return text.rstrip()


def _fresh_recipe(work: Path) -> str:
    done = json.loads((work / FIGURES).read_text(encoding="utf-8"))
    rounds = [
        f"{steps} steps of about {done['language']['positions']} positions, {round.learns()}"
        for steps, round in zip(done["language_steps"], stages.ROUNDS, strict=True)
    ]
    text = _template("recipe-fresh.md").format(
        **done["encoder"],
        steps=done["encoder_steps"],
        views=done["language"]["views"],
        projector_rate=done["language"]["learning_rate_of_projector"],
        rounds="; then ".join(rounds),
    )
    return text.rstrip()


def _log(work: Path) -> str:
    lines = ["| stage | began | minutes | on |", "| --- | --- | --- | --- |"]
    for start in read_log(work):
        minutes = "killed, went on below" if start.seconds is None else f"{start.seconds / 60:.0f}"
        on = f"{start.device}, {start.threads} threads, PyTorch {start.torch}"
        lines.append(f"| {start.stage} | {start.began} | {minutes} | {on} |")
    return "\n".join(lines)


def named_table(figures: Figures, known: Collection[str]) -> str:
    """Labels named wholly and alone, by kind of sound; "yes" about unknown ones."""
    unknown = {name.label for name in figures.named} - set(known)
    kinds: dict[str, Collection[str]] = {
        f"the {len(known)} known sounds": known,
        "of them ESC-10's": figures.esc10,
        'unknown sounds of training: "unknown"': unknown - set(figures.never_trained),
        'unknown sounds of no training: "unknown"': figures.never_trained,
    }
    lines = [f"| labels right | {' | '.join(FORMATS)} |", "| --- | --- | --- |"]
    for kind, labels in kinds.items():
        cells = []
        for format in FORMATS:
            right = [n.right for n in figures.named if n.label in labels and n.format == format]
            cells.append(f"{sum(right)} of {len(right)}")
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    yes = [a.opening == "Yes" for a in figures.about_unknown]
    lines += ["", f'Unknown sounds, asked about a random name: "Yes" to {sum(yes)} of {len(yes)}.']
    return "\n".join(lines)


def terms_table(asked: Sequence[Asked]) -> str:
    rows: dict[str, Callable[[Asked], bool]] = {
        "names of the classes": lambda a: a.term.kind == "name",
        "synonyms, seen in training": lambda a: a.term.kind == "synonym" and a.term.seen,
        "synonyms, unseen": lambda a: a.term.kind == "synonym" and not a.term.seen,
        "hypernyms, seen in training": lambda a: a.term.kind == "hypernym" and a.term.seen,
        "hypernyms, unseen": lambda a: a.term.kind == "hypernym" and not a.term.seen,
        "all seen terms": lambda a: a.term.seen,
        "all unseen terms": lambda a: not a.term.seen,
    }
    lines = [f"| balanced yes/no accuracy | questions | {' | '.join(FORMATS)} |", "| --- | --- | --- | --- |"]
    for name, belongs in rows.items():
        if chosen := [a for a in asked if belongs(a)]:
            cells = [f"{balanced([a for a in chosen if a.format == f]):.1%}" for f in FORMATS]
            lines.append(f"| {name} | {len(chosen)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _by_term(asked: Sequence[Asked]) -> str:
    lines = ["| term | true questions right | false questions right |", "| --- | --- | --- |"]
    for term in terms(ABOUT):
        if chosen := [a for a in asked if a.term == term]:
            cells = [
                f"{sum(a.right for a in of)} of {len(of)}"
                for of in ([a for a in chosen if a.true is t] for t in (True, False))
            ]
            lines.append(f"| {term.text if term.seen else f'*{term.text}*'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _authors(trained: Sequence[Sound]) -> str:
    """Who made the CC BY recordings, with their numbers at freesound.org."""
    numbers: dict[str, list[str]] = {}
    for sound in trained:
        if not sound.licence.startswith("CC0"):
            number = sound.url.rstrip("/").rpartition("/")[2]
            mine = numbers.setdefault(sound.author or "named on the sound's page", [])
            if number not in mine:
                mine.append(number)
    return "; ".join(f"{author} ({', '.join(own)})" for author, own in sorted(numbers.items()))

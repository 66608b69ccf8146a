"""The model card: what the demo model is, what it learnt from, and what it gets right."""

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

from ltu.files import write_text
from ltu.training.config import Config
from ltu.training.demo.classify import ENCODER_RECIPES, TEACHER_RECIPE, Recipe
from ltu.training.demo.evaluate import Asked, Named, balanced
from ltu.training.demo.questions import FORMATS, terms


def write_card(
    path: Path,
    config: Config,
    asked: Sequence[Asked],
    named: Sequence[Named],
    rounds: Sequence[str],
) -> None:
    heard = sorted({name.label for name in named})
    encoder = config.encoder
    template = (files(__package__) / "card.md").read_text(encoding="utf-8")
    text = template.format(
        name=config.name,
        license=config.license,
        base=config.base.source.name,
        base_license=config.base.source.license,
        base_url=config.base.source.url,
        esc_url=config.data.datasets[0].url,
        width=encoder.width,
        blocks=encoder.blocks_a + encoder.blocks_u,
        r=config.lora.r,
        alpha=config.lora.alpha,
        targets=" and ".join(config.lora.targets),
        classes=", ".join(name.lower() for name in heard),
        teacher=_describe(TEACHER_RECIPE),
        encoder=", then ".join(map(_describe, ENCODER_RECIPES)),
        rounds="; then ".join(rounds),
        views=config.data.views,
        projector_rate=config.train.projector_learning_rate,
        table=_table(asked),
        by_term=_by_term(asked),
        identity=_identity(named),
    )
    write_text(path, text)


def _describe(recipe: Recipe) -> str:
    text = f"{recipe.steps} steps of {recipe.batch}, learning rate {recipe.learning_rate:g}"
    seen = f", {recipe.kept} patches, {recipe.teacher_share:.0%} from the teacher"
    return text + (seen if recipe in ENCODER_RECIPES else "")


def _table(asked: Sequence[Asked]) -> str:
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
        chosen = [a for a in asked if belongs(a)]
        cells = [f"{balanced([a for a in chosen if a.format == f]):.1%}" for f in FORMATS]
        lines.append(f"| {name} | {len(chosen)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _by_term(asked: Sequence[Asked]) -> str:
    lines = ["| term | true questions right | false questions right |", "| --- | --- | --- |"]
    for term in terms():
        chosen = [a for a in asked if a.term == term]
        cells = [
            f"{sum(a.right for a in of)} of {len(of)}"
            for of in ([a for a in chosen if a.true is t] for t in (True, False))
        ]
        lines.append(f"| {term.text if term.seen else f'*{term.text}*'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _identity(named: Sequence[Named]) -> str:
    parts = []
    for format in FORMATS:
        right = [name.right for name in named if name.format == format]
        parts.append(f"{format} {sum(right)} of {len(right)}")
    return ", ".join(parts)

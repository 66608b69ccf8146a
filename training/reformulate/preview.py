"""--dry-run: what would be asked, without asking."""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ltu.training.reformulate.completion import request
from ltu.training.reformulate.cost import Tokens, estimate
from ltu.training.reformulate.openaqa import Item, Kind
from ltu.training.reformulate.question import Question
from ltu.training.reformulate.subset import Selection, selected, survey

SHOWN = 10


@dataclass(frozen=True)
class Shown:
    """A request as it would be sent."""

    item: int
    kind: Kind
    body: Mapping[str, Any]  # of the provider's form

    def to_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class Preview:
    """`requests` are random ones of the `items`; `tokens` are those of all items."""

    items: int
    requests: tuple[Shown, ...]
    tokens: Tokens


def preview(selection: Selection, model: str) -> Preview:
    found = survey(selection)
    count = min(selection.limit or found.qualified, found.qualified)
    wanted = set(random.Random(selection.seed).sample(range(count), min(SHOWN, count)))
    questions: Counter[Kind] = Counter()
    characters: Counter[Kind] = Counter()
    requests = []
    for place, item in enumerate(selected(selection, found)):
        assert item.kind
        questions[item.kind] += 1
        characters[item.kind] += len(item.instruction)
        if place in wanted:
            requests.append(_shown(item, item.kind, model, selection.seed))
    work = [(kind, questions[kind], characters[kind]) for kind in questions]
    return Preview(count, tuple(requests), estimate(work))


def _shown(item: Item, kind: Kind, model: str, seed: int) -> Shown:
    question = Question(item.number, kind, item.instruction)
    return Shown(item.number, kind, request(question, model, seed))

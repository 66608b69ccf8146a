"""The messages that a language model is asked with: the paper's templates, filled in."""

import hashlib
import random
from dataclasses import dataclass

from ltu.training.reformulate.openaqa import Kind
from ltu.training.reformulate.resources import table, text

KEY = "revised_prompt"  # where the prompt stands in the JSON object that the templates ask for
COOLEST, WARMEST = 0.7, 1.1  # temperatures, section 3
Message = dict[str, str]


@dataclass(frozen=True)
class Draw:
    """The random choices for one item: the variation instruction (Table 3) and the temperature."""

    variation: str
    temperature: float


def draw(seed: int, number: int) -> Draw:
    """Depends on the seed and the item's number alone."""
    rng = random.Random(f"{seed}:{number}")
    variations: list[str] = table("prompts")["variations"]
    variation = variations[int(rng.random() * len(variations))]
    return Draw(variation, round(COOLEST + (WARMEST - COOLEST) * rng.random(), 3))


def messages(kind: Kind, instruction: str, variation: str) -> list[Message]:
    template = table("prompts")[kind]
    return [
        {"role": "system", "content": template["system"].replace("{instruction}", variation)},
        {"role": "user", "content": template["user"].replace("{non-interleaved prompt}", instruction)},
    ]


def retry(answer: str, reason: str) -> list[Message]:
    """The messages that tell a model why its answer was refused; an answer that never came needs none."""
    wording: str = table("prompts")["retry"]["user"]
    told = {"role": "user", "content": wording.replace("{reason}", reason)}
    return [{"role": "assistant", "content": answer}, told] if answer else []


def fingerprint(name: str) -> str:
    """Short hash of a data file that decides how prompts come about."""
    return hashlib.sha256(text(name).encode()).hexdigest()[:16]

"""An item that waits for a prompt."""

from dataclasses import dataclass, replace

from ltu.training.reformulate.openaqa import Kind


@dataclass(frozen=True)
class Question:
    """`refused` are its answers so far, each with the reason."""

    number: int
    kind: Kind
    instruction: str
    refused: tuple[tuple[str, str], ...] = ()

    def refuse(self, answer: str, reason: str) -> "Question":
        return replace(self, refused=(*self.refused, (answer, reason)))

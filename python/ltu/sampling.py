"""How the next token is drawn: Hugging Face's processors with Hugging Face's meaning."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import numpy.typing as npt

from ltu.checks import is_real, short, whole
from ltu.errors import Error

if TYPE_CHECKING:
    from ltu import _engine


LEAST, MOST = 1e-30, 1e30  # beyond, logits divided by it leave the range of float32
RANGES = {
    "temperature": f"from {LEAST} to {MOST}, or 0 (greedy)",
    "top_p": f"from {LEAST} to 1 (off)",
    "repetition_penalty": f"from {LEAST} to {MOST}; 1 is off",
}


def _fits(name: str, value: float) -> bool:
    if name == "top_p":
        return LEAST <= value <= 1
    return LEAST <= value <= MOST or (name == "temperature" and value == 0)


class SamplingFields(TypedDict, total=False):
    """Fields of Sampling as keywords; those left out are the model file's."""

    temperature: float
    top_k: int
    top_p: float
    repetition_penalty: float


@dataclass(frozen=True)
class Sampling:
    """Applied in this order (transformers `generate`): penalty, temperature, top-k, top-p.

    A field left out is neutral; LTU's own settings are in its model files (`Model.sampling`). Raises Error.
    """

    temperature: float = 1.0
    """Divides the logits; 0 is greedy: the largest logit after the penalty."""
    top_k: int = 0
    """Only the k largest logits stay, ties at the k-th too; 0 is off."""
    top_p: float = 1.0
    """The tail whose ascending sum of probabilities is at most 1 - top_p goes."""
    repetition_penalty: float = 1.0
    """For each distinct text id so far, BOS and prompt included: divides logits > 0, multiplies others."""

    def __post_init__(self) -> None:
        whole("top_k", self.top_k, 0)
        for name, range_ in RANGES.items():
            value = getattr(self, name)
            if not is_real(value) or not _fits(name, value):
                raise Error(f"{name} is {short(value)}; give a value {range_}")

    @property
    def greedy(self) -> bool:
        return self.temperature == 0

    def probabilities(
        self, logits: npt.NDArray[np.float32], history: Iterable[int]
    ) -> npt.NDArray[np.float32]:
        """float32[vocabulary] logits, text ids so far → float32[vocabulary] that a token is drawn from."""
        from ltu import _engine

        ids = [token for token in history if token >= 0]
        return _engine.distribution(np.ascontiguousarray(logits, dtype=np.float32), ids, self.engine())

    def engine(self) -> "_engine.Sampling":
        """The same settings as the engine takes them."""
        from ltu import _engine

        return _engine.Sampling(
            self.temperature, self.top_k, self.top_p, self.repetition_penalty, self.greedy
        )

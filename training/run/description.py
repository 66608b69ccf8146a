"""`ltu.json`: what a training output says of itself."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ltu.defaults import MAX_NEW_TOKENS, SAMPLING
from ltu.files import write_json
from ltu.prompt import AUDIO
from ltu.sampling import Sampling
from ltu.training.config import Source
from ltu.training.model.encoder import EncoderConfig
from ltu.training.model.ltu import LoraSizes

FILE = "ltu.json"
FORMAT = 1


@dataclass(frozen=True)
class BaseModel:
    name: str
    source: str
    sha256: str  # of its weight files
    license: str


@dataclass(frozen=True)
class Description:
    """`train_clips` and `train_terms`: hashes of all clips trained on and terms asked about, earlier runs'
    included."""

    name: str
    license: str
    encoder: EncoderConfig
    lora: LoraSizes
    base_model: BaseModel
    prompt_template: str
    bos: bool
    datasets: tuple[Source, ...]
    train_clips: tuple[str, ...]
    train_terms: tuple[str, ...]
    audio_token: str = AUDIO
    sampling: Sampling = SAMPLING
    max_new_tokens: int = MAX_NEW_TOKENS

    def write(self, folder: Path) -> None:
        lora = {"r": self.lora.r, "alpha": self.lora.alpha, "targets": self.lora.targets}
        write_json(folder / FILE, {"format": FORMAT, **asdict(self), "lora": lora})

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> "Description":
        """Raises KeyError or TypeError for what is missing or is no such value."""
        return cls(
            name=table["name"],
            license=table["license"],
            encoder=EncoderConfig(**table["encoder"]),
            lora=LoraSizes(**{**table["lora"], "targets": tuple(table["lora"]["targets"])}),
            base_model=BaseModel(**table["base_model"]),
            prompt_template=table["prompt_template"],
            bos=table["bos"],
            datasets=tuple(Source(**source) for source in table["datasets"]),
            train_clips=tuple(table["train_clips"]),
            train_terms=tuple(table["train_terms"]),
            audio_token=table["audio_token"],
            sampling=Sampling(**table["sampling"]),
            max_new_tokens=table["max_new_tokens"],
        )


def read_description(folder: Path) -> Description:
    """Raises OSError, ValueError, KeyError or TypeError where there is no such file."""
    return Description.from_json(json.loads((folder / FILE).read_text(encoding="utf-8")))

"""One training run, as a TOML file says it."""

import math
import sys
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

from ltu.checks import at_most
from ltu.defaults import FRAMES, MELS, TEMPLATE
from ltu.errors import Error
from ltu.text_files import read_text
from ltu.training.model.encoder import EncoderConfig
from ltu.training.model.ltu import LoraSizes

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Part = Literal["lora", "projector", "encoder"]
LARGEST_SEED = 2**32 - 1  # NumPy's


SCHEDULERS = (  # of transformers', those that need no settings of their own
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
)


def above_zero(table: object, *names: str) -> None:
    """Raises ValueError naming the first key whose value is not a finite number above 0."""
    for name in names:
        if not 0 < getattr(table, name) < math.inf:
            raise ValueError(f"{name}: must be above 0")


@dataclass(frozen=True)
class Source:
    """Where something comes from, as the model card says it."""

    name: str
    license: str
    url: str = ""


@dataclass(frozen=True)
class BaseConfig:
    path: Path  # Hugging Face directory or GGUF file
    source: Source
    bos: bool = True
    template: str = TEMPLATE


@dataclass(frozen=True)
class DataConfig:
    items: Path  # JSON lines: audio_id (a path or a list of them), instruction, output, optionally term
    audio: Path  # folder that the items' paths start from
    audio_prefixes: tuple[str, ...] = ()  # beginnings of the items' paths that `audio` stands for
    allow_missing: bool = False  # go on although more than 1 % of the clips are not there
    datasets: tuple[Source, ...] = ()
    development: Path | None = None  # items to measure the loss on during training
    reported: tuple[Path, ...] = ()  # SHARD specifications whose clips must not be among those of the items
    cache: Path | None = None  # folder of features and token ids; left out: "cache" beside the items
    bad_items: float = 0.01  # most of the items, as a share, that may be of another form or lack clips
    max_text_tokens: int | None = None  # most in prompt and answer; longer items are cut, and counted
    loss_on: Literal["text", "answer"] = "text"
    shared: int = 1  # most questions about a clip that share its positions (packing.py)
    views: int = (
        1  # inputs for a clip and a frozen encoder: the clip itself and random changes of it (augment.py)
    )

    def __post_init__(self) -> None:
        """Raises ValueError naming the key."""
        above_zero(self, "shared", "views")
        at_most(self, views=1000)
        if self.max_text_tokens is not None:
            above_zero(self, "max_text_tokens")
        if not 0 <= self.bad_items <= 1:
            raise ValueError("bad_items: must be a share, from 0 to 1")


@dataclass(frozen=True)
class TrainConfig:
    output: Path
    train: tuple[Part, ...] = ("lora", "projector", "encoder")
    checkpoint: Path | None = None  # the run starts from it: a folder of ours, or a file of the original LTU
    encoder_weights: Path | None = None  # CAV-MAE's, to start from in place of a checkpoint
    epochs: float = 1.0
    batch: int = 4  # groups in one process and one accumulated step
    positions: int | None = None  # most positions in a global batch, padding included, in place of `batch`
    gradient_accumulation_steps: int = 1
    gradient_checkpointing: bool = False
    learning_rate: float = 2e-5
    projector_learning_rate: float | None = None  # left out: the same
    weight_decay: float = 0.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    gradient_clipping: float = 1.0  # largest norm of a step's gradient; 0: any
    warm_up: int = 100  # steps
    scheduler: str = "cosine"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    logging_steps: int = 10
    eval_steps: int = 500  # between measurements on the development items
    save_steps: int = 500  # between checkpoints that a killed run goes on from; a finished run removes them
    report_to: tuple[str, ...] = ()  # "tensorboard", "wandb", ... as transformers names them
    shard_base: bool = False  # processes share the frozen base's memory, in place of a copy each
    merged: bool = False  # also write a Hugging Face directory with LoRA folded in
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError naming the key."""
        if self.checkpoint and self.encoder_weights:
            raise ValueError("encoder_weights: a checkpoint brings its encoder; give one of the two")
        counts = "batch", "gradient_accumulation_steps", "logging_steps", "eval_steps", "save_steps"
        above_zero(self, "epochs", "learning_rate", "adam_epsilon", *counts)
        at_most(self, epochs=1_000_000, seed=LARGEST_SEED)
        if self.positions is not None:
            above_zero(self, "positions")
        for name in ("projector_learning_rate", "weight_decay", "gradient_clipping", "warm_up", "seed"):
            if not 0 <= (getattr(self, name) or 0) < math.inf:
                raise ValueError(f"{name}: must be 0 or more")
        for name in ("adam_beta1", "adam_beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}: must be from 0 to below 1")
        if not self.train:
            raise ValueError(f"train: must name some of {', '.join(get_args(Part))}")
        if self.scheduler not in SCHEDULERS:
            raise ValueError(
                f"scheduler: transformers knows no {self.scheduler!r} that needs no settings of its own; "
                f"there are {', '.join(SCHEDULERS)}"
            )


@dataclass(frozen=True)
class Config:
    name: str
    license: str
    base: BaseConfig
    data: DataConfig
    train: TrainConfig
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    lora: LoraSizes = field(default_factory=LoraSizes)

    def __post_init__(self) -> None:
        """Raises ValueError naming the key."""
        for name, made in (("frames", FRAMES), ("mels", MELS)):
            if (size := getattr(self.encoder, name)) != made:
                raise ValueError(f"encoder: {name}: {size}; the features that it is trained on have {made}")


def read_config(path: Path) -> Config:
    """Relative paths are taken from the file's folder. Raises Error naming the key that is wrong."""
    try:
        table = tomllib.loads(read_text(path))
    except RecursionError:
        raise Error(f"{path}: is not TOML: it is nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        raise Error(f"{path}: is not TOML: {error}") from None
    config: Config = _build(Config, table, path.parent, str(path))
    return config


def _build(kind: Any, value: Any, folder: Path, where: str) -> Any:
    """A dataclass from a table, a tuple from a list, a path from a string, the rest as it is."""
    if is_dataclass(kind):
        table = _of_type(dict, value, where)
        known = {f.name: f for f in fields(kind)}
        if unknown := sorted(table.keys() - known.keys()):
            raise Error(f"{where}: unknown key {unknown[0]}; known are {', '.join(known)}")
        values = {
            key: _build(known[key].type, entry, folder, f"{where}: {key}") for key, entry in table.items()
        }
        try:
            return kind(**values)  # type: ignore[operator]
        except ValueError as error:
            raise Error(f"{where}: {error}") from None
        except TypeError as error:
            raise Error(f"{where}: {str(error).partition(') ')[2] or error}") from None
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise Error(f"{where}: {value!r} is none of {', '.join(get_args(kind))}")
        return value
    if get_origin(kind) is tuple:
        return tuple(
            _build(get_args(kind)[0], entry, folder, where) for entry in _of_type(list, value, where)
        )
    if get_origin(kind) is UnionType:  # a type or None, which TOML can't say
        return _build(get_args(kind)[0], value, folder, where)
    return folder / _of_type(str, value, where) if kind is Path else _of_type(kind, value, where)


def _of_type(kind: type, value: Any, where: str) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise Error(f"{where}: {value!r} is not of type {kind.__name__}")
    return value

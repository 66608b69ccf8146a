"""The configuration as the Trainer takes it, and as a checkpoint remembers it."""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import torch
from transformers import TrainingArguments
from transformers.integrations import integration_utils

from ltu.errors import Error
from ltu.files import sha256
from ltu.training.config import Config

AUTOCAST = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
IRRELEVANT = {  # to the weights that come out
    "base": ("path", "source"),
    "data": (
        "items",
        "audio",
        "audio_prefixes",
        "allow_missing",
        "bad_items",
        "datasets",
        "development",
        "reported",
        "cache",
    ),
    "train": (
        "output",
        "checkpoint",
        "encoder_weights",
        "logging_steps",
        "eval_steps",
        "save_steps",
        "report_to",
        "merged",
        "shard_base",
    ),
}


def arguments(config: Config) -> TrainingArguments:
    """Raises Error for what this machine can't do."""
    train = config.train
    if train.merged and not config.base.path.is_dir():
        raise Error("train.merged: needs the base as a Hugging Face directory; base.path is a file")
    there = next(path for path in (train.output, *train.output.parents) if path.exists())
    if not there.is_dir():
        raise Error(f"train.output: {there} is a file; give a folder")
    if train.precision == "float16" and not torch.cuda.is_available():
        raise Error("train.precision: float16 needs a GPU; bfloat16 runs everywhere")
    available = integration_utils.get_available_reporting_integrations()  # type: ignore[no-untyped-call]
    if missing := sorted(set(train.report_to) - set(available)):
        raise Error(
            f"train.report_to: {missing[0]} is not installed, or transformers doesn't know it; there are "
            f"{', '.join(available) or 'none'}"
        )
    try:
        settings = TrainingArguments(
            output_dir=str(train.output),
            num_train_epochs=train.epochs,
            per_device_train_batch_size=train.batch,
            gradient_accumulation_steps=train.gradient_accumulation_steps,
            learning_rate=train.learning_rate,
            weight_decay=train.weight_decay,
            adam_beta1=train.adam_beta1,
            adam_beta2=train.adam_beta2,
            adam_epsilon=train.adam_epsilon,
            max_grad_norm=train.gradient_clipping,
            warmup_steps=train.warm_up,
            lr_scheduler_type=train.scheduler,
            bf16=train.precision == "bfloat16",
            fp16=train.precision == "float16",
            use_cpu=not torch.cuda.is_available(),
            seed=train.seed,
            remove_unused_columns=False,
            label_names=["labels"],
            eval_strategy="steps" if config.data.development else "no",
            eval_steps=train.eval_steps,
            save_strategy="steps",
            save_steps=train.save_steps,
            save_total_limit=2,  # one may be half written when the run is killed
            average_tokens_across_devices=True,
            ddp_find_unused_parameters=False,
            logging_steps=train.logging_steps,
            logging_nan_inf_filter=False,  # `LtuTrainer` stops at the first
            report_to=list(train.report_to) or "none",
            dataloader_pin_memory=False,
        )
        settings._n_gpu = min(1, settings.n_gpu)  # one process, one GPU: never nn.DataParallel
        return settings
    except ValueError as error:
        raise Error(f"train: {str(error).splitlines()[0]}") from None


@dataclass(frozen=True)
class Decisive:
    """All that decides the weights, and so whether a run may go on from a checkpoint; SHA-256 in place of
    files. `clips`: of the hashes of those trained on."""

    config: Config
    base: str
    items: str
    clips: str
    start: str | None

    def to_json(self) -> dict[str, object]:
        tables = asdict(self.config)
        for name, keys in IRRELEVANT.items():
            for key in keys:
                del tables[name][key]
        tables["base"]["sha256"] = self.base
        tables["data"] |= {"items": self.items, "clips": self.clips}
        tables["train"]["start"] = self.start
        return dict(tables)


def decisive(config: Config, base_sha256: str, clips: Iterable[str]) -> Decisive:
    """`clips`: the hashes of those trained on."""
    heard = hashlib.sha256("".join(sorted(clips)).encode()).hexdigest()
    start = started_from(config)
    return Decisive(config, base_sha256, sha256(config.data.items), heard, start.sha256 if start else None)


@dataclass(frozen=True)
class Start:
    """What a run starts from beside its base."""

    name: str
    sha256: str


def started_from(config: Config) -> Start | None:
    path = config.train.checkpoint or config.train.encoder_weights
    if path is None:
        return None
    file = path / "ltu.safetensors" if path.is_dir() else path
    try:
        return Start(path.name, sha256(file))
    except OSError as error:
        raise Error(f"{file}: cannot be read: {error.strerror}; check the path") from None

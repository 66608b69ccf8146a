"""Files beside a finished run's checkpoint: LoRA as PEFT has it, a merged model, a model card."""

import shutil
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file, save_file

from ltu.convert.checkpoint import weight_files
from ltu.files import sha256, write_text
from ltu.training.config import Config
from ltu.training.model.base import LanguageModel, load_opened, open_base
from ltu.training.model.ltu import LTU
from ltu.training.run.card import card
from ltu.training.run.checkpoint import load_checkpoint
from ltu.training.run.description import read_description
from ltu.training.run.train import Trained

TOKENIZER = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
)


def finish(config: Config, trained: Trained) -> None:
    folder = config.train.output
    _write_adapter(folder / "adapter", config, trained.model)
    if config.train.merged:
        write_merged(folder / "merged", config)
    write_text(folder / "MODEL_CARD.md", card(config, trained))


def _write_adapter(folder: Path, config: Config, model: LTU) -> None:
    model.llama.peft_config["default"].base_model_name_or_path = config.base.source.name
    model.llama.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty form of a model card


def write_merged(folder: Path, config: Config) -> None:
    """A Hugging Face LLaMA directory, the rest of LTU beside it: both --base and --checkpoint of ltu-convert.

    The base is read again: the one that was trained on may be rounded to the precision of the run.
    """
    opened = load_opened(open_base(config.base.path, config.base.bos))
    model = LTU(opened.model, config.encoder, config.lora)
    load_checkpoint(config.train.output, model)
    llama = model.llama.merge_and_unload()
    assert isinstance(llama, LanguageModel)
    llama.half().save_pretrained(folder)  # type: ignore[no-untyped-call]
    for name in TOKENIZER:
        if (config.base.path / name).is_file():
            shutil.copyfile(config.base.path / name, folder / name)
    tensors = load_file(config.train.output / "ltu.safetensors")
    save_file({n: t for n, t in tensors.items() if "lora_" not in n}, folder / "ltu.safetensors")
    description = read_description(config.train.output)
    base = replace(
        description.base_model, sha256=sha256(*weight_files(folder))
    )  # what the rest now goes with
    replace(description, base_model=base).write(folder)

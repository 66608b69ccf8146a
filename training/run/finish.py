"""Files beside a finished run's checkpoint: LoRA as PEFT has it, a merged model, a model card."""

from dataclasses import asdict
from pathlib import Path

from ltu.defaults import MAX_NEW_TOKENS, SAMPLING
from ltu.files import write_text
from ltu.training.config import Config
from ltu.training.model.base import load_opened, open_base
from ltu.training.model.ltu import LTU
from ltu.training.model.modeling import LtuForConditionalGeneration
from ltu.training.model.processing import LtuProcessor
from ltu.training.model.settings import generation, wrapped_tokenizer
from ltu.training.run.card import card
from ltu.training.run.checkpoint import load_checkpoint
from ltu.training.run.train import Trained

PROVENANCE = ("name", "license", "base_model", "datasets", "train_clips", "train_terms")  # of ltu.json


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
    """The whole model with LoRA folded in, as transformers saves one (`ltu.hf`): --base of ltu-convert.

    The base is read again: the one that was trained on may be rounded to the precision of the run.
    """
    base = load_opened(open_base(config.base.path, config.base.bos))
    model = LTU(base.model, config.encoder, config.lora)
    described = asdict(load_checkpoint(config.train.output, model))
    ltu = model.llama.merge_and_unload()
    assert isinstance(ltu, LtuForConditionalGeneration)
    ltu.config.provenance = {name: described[name] for name in PROVENANCE}
    ends = base.read.keys.get("ltu.eos_token_ids", [base.eos_id])
    ltu.generation_config = generation(SAMPLING, MAX_NEW_TOKENS, base.bos_id, ends)
    ltu.half().save_pretrained(folder)  # type: ignore[no-untyped-call]
    tokenizer = wrapped_tokenizer(base.tokenizer_json, base.bos_id, base.eos_id)
    sizes = config.encoder.frames, config.encoder.mels
    LtuProcessor(tokenizer, config.base.template, config.base.bos, *sizes).save_pretrained(folder)

"""A tiny random base model and tiny recordings, made in memory or a temporary folder."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from training_run import TINY_ENCODER
from transformers import LlamaConfig, LlamaForCausalLM

from ltu.training.model.ltu import LTU, LoraSizes

SPECIAL = ["<s>", "</s>"]


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face directory: grouped-query LLaMA, byte-level tokenizer."""
    folder = tmp_path_factory.mktemp("base")
    tokens = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), "Ġa", "is"]
    tokenizer = Tokenizer(
        models.BPE({token: id for id, token in enumerate(tokens)}, [("Ġ", "a"), ("i", "s")])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.save(str(folder / "tokenizer.json"))
    tiny_llama(len(tokens)).save_pretrained(folder)
    return folder


def tiny_llama(vocabulary: int = 300) -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    tokens = {"vocab_size": vocabulary, "bos_token_id": 0, "eos_token_id": 1, "tie_word_embeddings": True}
    return LlamaForCausalLM(LlamaConfig(**sizes, **tokens, num_key_value_heads=2)).float()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Two for such small tensors wait for each other longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny_ltu() -> LTU:
    return LTU(tiny_llama(), TINY_ENCODER, LoraSizes(r=2, alpha=4)).eval()


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Four short tones as files."""
    folder = tmp_path / "audio"
    folder.mkdir()
    for index in range(4):
        wave = 0.3 * np.sin(2 * np.pi * 220 * (index + 1) * np.arange(8_000) / 16_000)
        soundfile.write(folder / f"{index}.wav", wave, 16_000)
    return folder

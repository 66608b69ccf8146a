"""A tiny random LTU file for tests, written in a second by the converter's own writer.

path = tiny_gguf(tmp_path / "tiny.gguf", kv_heads=1, tied=True, outtype="q8_0")
"""

from pathlib import Path
from typing import Any

import numpy as np

from ltu.convert import tokenizer, vocabulary
from ltu.convert.gguf_file import Value
from ltu.convert.llama import HUGGING_FACE
from ltu.convert.llama_cpp import ARCHITECTURE
from ltu.convert.ltu_part import audio_keys, prompt_keys
from ltu.convert.model import Model, write_model
from ltu.convert.table import Row, table
from ltu.convert.tensor import Tensor

BYTES = 256
HEADS: dict[tuple[int, int], dict[str, int]] = {  # head size, query heads to a key head: sizes for tiny_model
    (64, 1): {"width": 256, "heads": 4, "kv_heads": 4},
    (64, 3): {"width": 768, "heads": 12, "kv_heads": 4},
    (64, 4): {"width": 512, "heads": 8, "kv_heads": 2},
    (128, 1): {"width": 256, "heads": 2, "kv_heads": 2},
}


def tiny_gguf(path: Path, **options: Any) -> Path:
    """Writes a random LTU file and returns its path. Options as in `tiny_model`, and outtype ("f32")."""
    outtype = options.pop("outtype", "f32")
    return write_model(tiny_model(**options), outtype, Path(path)).path


def tiny_model(
    seed: int = 0,
    architecture: str = "llama",
    width: int = 64,
    feed_forward: int = 96,
    blocks: int = 2,
    heads: int = 4,
    kv_heads: int = 2,
    tied: bool = False,
    context: int = 512,
    rope_base: float = 10000.0,
    rope_scaling: str | None = None,  # "linear" or "yarn", by a factor of 4
    rope_factors: bool = False,  # rope_freqs.weight, as Llama 3.1 has it
    encoder_width: int = 32,
    encoder_feed_forward: int = 64,
    encoder_heads: int = 2,
    blocks_a: int = 1,
    blocks_u: int = 1,
    frames: int = 1024,
    mels: int = 128,
    bos: bool = True,
    template: str = "Q: {prompt}\nA:",
    sampling: dict[str, float] | None = None,
    words: tuple[str, ...] = ("yes", "no", "bird", "type"),
) -> Model:
    """A random LTU under GGUF names. Its vocabulary is <unk>, <s>, </s>, 256 bytes, the space and `words`."""
    keys, tokens = _vocabulary(words)
    rows, head = len(tokens), width // heads
    encoder = {"width": encoder_width, "heads": encoder_heads, "blocks_a": blocks_a, "blocks_u": blocks_u}
    encoder |= {"frames": frames, "mels": mels, "patch": 16}
    keys |= {
        "general.architecture": "ltu",
        "general.name": "tiny",
        ARCHITECTURE: architecture,
        "llama.context_length": context,
        "llama.embedding_length": width,
        "llama.block_count": blocks,
        "llama.feed_forward_length": feed_forward,
        "llama.vocab_size": rows,
        "llama.attention.head_count": heads,
        "llama.attention.head_count_kv": kv_heads,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": head,
        "llama.rope.freq_base": rope_base,
    }
    if rope_scaling:
        keys |= {"llama.rope.scaling.type": rope_scaling, "llama.rope.scaling.factor": 4.0}
        keys["llama.rope.scaling.original_context_length"] = context // 4
    keys |= audio_keys(encoder, encoder_feed_forward, width)
    keys |= prompt_keys(
        {"prompt_template": template, "bos": bos, "sampling": sampling or {}, "max_new_tokens": 16}
    )
    random = np.random.default_rng(seed)

    def values(row: Row) -> Tensor:
        if row.name == "rope_freqs.weight":
            return Tensor.of(np.linspace(1, 4, head // 2, dtype=np.float32))
        scale = 0.1 if len(row.shape) == 1 else scales.get(row.name.split(".")[-2], 1) / row.shape[-1] ** 0.5
        mean = float("norm.weight" in row.name or (".ln" in row.name and row.name.endswith("weight")))
        return Tensor.of(random.normal(mean, scale, row.shape).astype(np.float32))

    scales = {"token_embd": 4, "output": 3, "attn_q": 1.5, "attn_k": 1.5, "position_embd": 4}
    absent = {"output.weight": tied, "rope_freqs.weight": not rope_factors}
    tensors = {row.name: values(row) for row in table(keys).values() if not absent.get(row.name)}
    return Model(keys, tensors, "tiny model")


def _vocabulary(words: tuple[str, ...]) -> tuple[dict[str, Value], list[str]]:
    """A SentencePiece vocabulary whose words can be joined from their letters."""
    special = [("<unk>", vocabulary.UNKNOWN), ("<s>", vocabulary.CONTROL), ("</s>", vocabulary.CONTROL)]
    special += [(f"<0x{byte:02X}>", vocabulary.BYTE) for byte in range(BYTES)]
    pieces = dict.fromkeys(
        f"{vocabulary.SPACE}{word}"[:end] for word in words for end in range(1, len(word) + 2)
    )
    pieces |= dict.fromkeys(letter for word in words for letter in word)
    tokens = [token for token, _ in special] + list(pieces)
    keys: dict[str, Value] = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * len(special) + [-float(i) for i in range(len(pieces))],
        "tokenizer.ggml.token_type": [kind for _, kind in special] + [vocabulary.NORMAL] * len(pieces),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.add_bos_token": True,
    }
    keys[HUGGING_FACE] = tokenizer.with_audio(tokenizer.from_keys(keys, "tiny"), len(tokens))
    return keys, tokens

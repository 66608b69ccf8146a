"""A tiny random LTU file for tests, written in a second by the converter's own writer.

path = tiny_gguf(tmp_path / "tiny.gguf", kv_heads=1, tied=True, outtype="q8_0")
"""

from pathlib import Path
from typing import Any

import numpy as np

from ltu import tokenizer, vocabulary
from ltu.convert.gguf_file import Value
from ltu.convert.llama import HUGGING_FACE
from ltu.convert.ltu_part import audio_keys, prompt_keys
from ltu.convert.model import Model, write_model
from ltu.convert.tensor import Tensor

BYTES = 256


def tiny_gguf(path: Path, **options: Any) -> Path:
    """Writes a random LTU file and returns its path. Options as in `tiny_model`, and outtype ("f32")."""
    outtype = options.pop("outtype", "f32")
    return write_model(tiny_model(**options), outtype, Path(path)).path


def tiny_model(
    seed: int = 0,
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
    bos: bool = True,
    template: str = "Q: {prompt}\nA:",
    sampling: dict[str, float] | None = None,
    words: tuple[str, ...] = ("yes", "no", "bird", "type"),
) -> Model:
    """A random LTU under GGUF names. Its vocabulary is <unk>, <s>, </s>, 256 bytes, the space and `words`."""
    keys, tokens = _vocabulary(words)
    rows, head = len(tokens), width // heads
    encoder = {"width": encoder_width, "heads": encoder_heads, "blocks_a": blocks_a, "blocks_u": blocks_u}
    encoder |= {"frames": 1024, "mels": 128, "patch": 16}
    keys |= {
        "general.architecture": "ltu",
        "general.name": "tiny",
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

    def matrix(rows: int, columns: int, scale: float = 1.0) -> Tensor:
        return Tensor.of(random.normal(0, scale / columns**0.5, (rows, columns)).astype(np.float32))

    def vector(size: int, mean: float = 0.0) -> Tensor:
        return Tensor.of(random.normal(mean, 0.1, size).astype(np.float32))

    tensors = {"token_embd.weight": matrix(rows, width, 4), "output_norm.weight": vector(width, 1)}
    if not tied:
        tensors["output.weight"] = matrix(rows, width, 3)
    if rope_factors:
        tensors["rope_freqs.weight"] = Tensor.of(np.linspace(1, 4, head // 2, dtype=np.float32))
    for i in range(blocks):
        tensors |= {
            f"blk.{i}.attn_norm.weight": vector(width, 1),
            f"blk.{i}.attn_q.weight": matrix(width, width, 1.5),
            f"blk.{i}.attn_k.weight": matrix(kv_heads * head, width, 1.5),
            f"blk.{i}.attn_v.weight": matrix(kv_heads * head, width),
            f"blk.{i}.attn_output.weight": matrix(width, width),
            f"blk.{i}.ffn_norm.weight": vector(width, 1),
            f"blk.{i}.ffn_gate.weight": matrix(feed_forward, width),
            f"blk.{i}.ffn_up.weight": matrix(feed_forward, width),
            f"blk.{i}.ffn_down.weight": matrix(width, feed_forward),
        }

    def linear(name: str, columns: int, rows: int) -> dict[str, Tensor]:
        return {f"{name}.weight": matrix(rows, columns), f"{name}.bias": vector(rows)}

    def norm(name: str) -> dict[str, Tensor]:
        return {f"{name}.weight": vector(encoder_width, 1), f"{name}.bias": vector(encoder_width)}

    tensors |= linear("a.patch_embd", 256, encoder_width)
    tensors["a.position_embd.weight"] = matrix(512, encoder_width, 4)
    tensors["a.modality_embd"] = vector(encoder_width)
    for i in range(blocks_a + blocks_u):
        tensors |= norm(f"a.blk.{i}.ln1") | norm(f"a.blk.{i}.ln2")
        tensors |= linear(f"a.blk.{i}.attn_qkv", encoder_width, 3 * encoder_width)
        tensors |= linear(f"a.blk.{i}.attn_out", encoder_width, encoder_width)
        tensors |= linear(f"a.blk.{i}.ffn_up", encoder_width, encoder_feed_forward)
        tensors |= linear(f"a.blk.{i}.ffn_down", encoder_feed_forward, encoder_width)
    tensors |= norm("a.post_ln") | linear("mm.a", encoder_width, width)
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

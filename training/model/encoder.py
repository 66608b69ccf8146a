"""CAV-MAE's audio branch in PyTorch, under the parameter names of an LTU checkpoint.

Source: LTU `modeling_llama.py`, class CAVMAE (Gong et al.). Every size is free; LTU's own are the defaults.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ltu.checks import at_most
from ltu.defaults import FRAMES, LAYER_NORM_EPSILON, MELS, PATCH, TIME_POOL


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes, under the names that `ltu.json` and the GGUF file give them."""

    width: int = 768
    mlp: int = 3072
    heads: int = 12
    blocks_a: int = 11
    blocks_u: int = 1
    patch: int = PATCH
    frames: int = FRAMES
    mels: int = MELS

    def __post_init__(self) -> None:
        """Raises ValueError naming the key."""
        for name in ("width", "mlp", "heads", "patch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be above 0")
        for name in ("blocks_a", "blocks_u"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: must be 0 or more")
        at_most(self, width=8192, mlp=32768, blocks_a=256, blocks_u=256, frames=65536, mels=1024)
        if self.width % self.heads or self.width % 4:
            raise ValueError(f"width: {self.width} must be a multiple of 4 and of heads, {self.heads}")
        for name, step in (("mels", self.patch), ("frames", TIME_POOL * self.patch)):
            if getattr(self, name) < 1 or getattr(self, name) % step:
                raise ValueError(f"{name}: {getattr(self, name)} is no multiple of {step}, as patch asks")

    @property
    def grid(self) -> tuple[int, int]:
        """(frequency, time) patches of a whole input."""
        return self.mels // self.patch, self.frames // self.patch

    @property
    def embeddings(self) -> int:
        """The number of embeddings that a clip is pooled to."""
        return self.grid[1] // TIME_POOL

    @property
    def patches(self) -> int:
        return self.grid[0] * self.grid[1]


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, tokens, width)
        return self.proj(mixed)  # type: ignore[no-any-return]


class Mlp(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Pre-norm transformer block. The joint blocks' audio norms are called `norm1_a` and `norm2_a`."""

    def __init__(self, config: EncoderConfig, norm_suffix: str) -> None:
        super().__init__()
        self.norms = [f"norm1{norm_suffix}", f"norm2{norm_suffix}"]
        for name in self.norms:
            self.add_module(name, nn.LayerNorm(config.width, eps=LAYER_NORM_EPSILON))
        self.attn = Attention(config.width, config.heads)
        self.mlp = Mlp(config.width, config.mlp)

    def forward(self, x: Tensor) -> Tensor:
        norm1, norm2 = (self.get_submodule(name) for name in self.norms)
        x = x + self.attn(norm1(x))
        return x + self.mlp(norm2(x))  # type: ignore[no-any-return]


class PatchEmbed(nn.Module):
    """The 16 × 16 convolution, written as a product with flattened patches so that some can be left out."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, config.width, config.patch, config.patch)

    def forward(self, patches: Tensor) -> Tensor:
        return F.linear(patches, self.proj.weight.flatten(1), self.proj.bias)


class AudioEncoder(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.recompute = False  # blocks in the backward pass: gradient checkpointing
        self.patch_embed_a = PatchEmbed(config)
        self.pos_embed_a = nn.Parameter(_sine_positions(config))
        self.modality_a = nn.Parameter(torch.zeros(1, 1, config.width))
        self.blocks_a = nn.ModuleList(Block(config, "") for _ in range(config.blocks_a))
        self.blocks_u = nn.ModuleList(Block(config, "_a") for _ in range(config.blocks_u))
        self.norm_a = nn.LayerNorm(config.width, eps=LAYER_NORM_EPSILON)
        nn.init.normal_(self.modality_a, std=0.02)
        self.apply(_initialise)

    def tokens(
        self, features: Tensor, keep: Tensor | None = None, watch: Callable[[Tensor], None] = lambda _: None
    ) -> Tensor:
        """Features [batch, frames, mels] → tokens [batch, patches, width], frequency-major, after norm_a.

        `keep` [batch, kept] picks patches (training on a part of the input); `watch` sees every stage.
        """
        patches = patchify(features, self.config.patch)
        positions: Tensor = self.pos_embed_a
        if keep is not None:
            patches = torch.take_along_dim(patches, keep[..., None], 1)
            positions = positions[0, keep]
        x: Tensor = self.patch_embed_a(patches) + positions + self.modality_a
        watch(x)
        for block in [*self.blocks_a, *self.blocks_u]:
            recompute = self.recompute and torch.is_grad_enabled()
            x = checkpoint(block, x, use_reentrant=False) if recompute else block(x)
            watch(x)
        x = self.norm_a(x)
        watch(x)
        return x

    def forward(self, features: Tensor) -> Tensor:
        """Features [batch, 1024, 128] → [batch, 32, width]: mean over frequency, then over pairs in time."""
        frequency, time = self.config.grid
        x = self.tokens(features)
        x = x.view(len(x), frequency, time // TIME_POOL, TIME_POOL, self.config.width)
        return x.mean((1, 3))


def patchify(features: Tensor, patch: int) -> Tensor:
    """[batch, frames, mels] → [batch, patches, patch · patch]: frequency-major, each patch mel-major."""
    batch, frames, mels = features.shape
    cut = features.transpose(1, 2).reshape(batch, mels // patch, patch, frames // patch, patch)
    return cut.transpose(2, 3).reshape(batch, mels // patch * (frames // patch), patch * patch)


def _sine_positions(config: EncoderConfig) -> Tensor:
    """[1, patches, width]: half of the width tells the frequency, half the time (as MAE starts them)."""
    frequency, time = config.grid
    quarter = config.width // 4
    speeds = 10_000.0 ** (-torch.arange(quarter) / quarter)
    row = torch.arange(frequency).repeat_interleave(time)[:, None] * speeds
    column = torch.arange(time).repeat(frequency)[:, None] * speeds
    return torch.cat([row.sin(), row.cos(), column.sin(), column.cos()], 1)[None]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        nn.init.xavier_uniform_(module.weight.flatten(1) if isinstance(module, nn.Conv2d) else module.weight)
        assert module.bias is not None
        nn.init.zeros_(module.bias)

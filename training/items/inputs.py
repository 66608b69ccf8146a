"""The inputs that stand for a clip in a batch: its features, or outputs of a frozen encoder."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ltu.audio import Clip
from ltu.defaults import FEATURE_MEAN, FEATURE_STD
from ltu.files import replacing
from ltu.training.items.augment import Float32, random_view
from ltu.training.items.clips import Clips, Float16, StoredClip, frames_of
from ltu.training.model.encoder import AudioEncoder

BATCH = 16  # clips that are encoded together


class ClipInputs(Mapping[str, Tensor]):
    """Name → float32[views, ...], from float16 values that lie on disk."""

    def __init__(self, rows: Mapping[str, int], values: Float16) -> None:
        self._rows, self._values = rows, values

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(self._values[self._rows[name]].astype(np.float32))

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def bytes(self) -> int:
        return self._values[:1].nbytes * len(self._rows)


class _Features(Mapping[str, Tensor]):
    """Features as they are, float32[1, 1024, 128] a clip. Raises Error for damaged ones."""

    def __init__(self, clips: Clips) -> None:
        self._clips = clips

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(self._clips.features_of(name)[None].astype(np.float32))

    def __iter__(self) -> Iterator[str]:
        return iter(self._clips.stored)

    def __len__(self) -> int:
        return len(self._clips.stored)


def features_of(clips: Clips) -> Mapping[str, Tensor]:
    """[1, 1024, 128] a clip."""
    return _Features(clips)


def encoded(
    cache: Path, encoder: AudioEncoder, clips: Clips, views: int, seed: int, autocast: torch.dtype | None
) -> ClipInputs:
    """Encoder outputs [views, 32, width] a clip, computed once for an encoder and a set of clips."""
    names = list(clips.stored)
    path = cache / f"encoded-{_digest(encoder, clips, views, seed, autocast)}.f16"
    shape = (len(names), views, encoder.config.embeddings, encoder.config.width)
    if names and not (path.is_file() and path.stat().st_size == math.prod(shape) * 2):
        with replacing(path) as draft:
            values = np.memmap(draft, np.float16, "w+", shape=shape)
            for start in range(0, len(names), BATCH):
                part = names[start : start + BATCH]
                inputs = np.concatenate(
                    [_views(clips.features_of(name), clips.stored[name], views, seed) for name in part]
                )
                values[start : start + BATCH] = (
                    _encode(encoder, inputs, autocast).view(len(part), *shape[1:]).cpu().numpy()
                )
            values.flush()
    rows = {name: row for row, name in enumerate(names)}
    empty = np.zeros(shape, np.float16)
    return ClipInputs(rows, np.memmap(path, np.float16, "r", shape=shape) if names else empty)


def encode_views(
    encoder: AudioEncoder, clips: Mapping[str, Clip], views: int, seed: int
) -> dict[str, Tensor]:
    """Encoder outputs [views, 32, width] per clip: of the clip itself and of random views of it."""
    return {
        name: _encode(
            encoder,
            _views(clip.features(), StoredClip(0, frames_of(clip), clip.hash), views, seed),
            torch.bfloat16,
        )
        for name, clip in clips.items()
    }


def _views(features: Float32 | Float16, clip: StoredClip, views: int, seed: int) -> Float32:
    """float32[views, 1024, 128]; what is random depends on the seed and the clip alone."""
    whole = features.astype(np.float32)
    power = np.exp(whole[: clip.frames] * np.float32(FEATURE_STD) + np.float32(FEATURE_MEAN))
    rng = np.random.default_rng([seed, int(clip.hash[:16], 16)])
    return np.stack([whole, *(random_view(power, rng).features for _ in range(views - 1))])


def _digest(encoder: AudioEncoder, clips: Clips, views: int, seed: int, autocast: torch.dtype | None) -> str:
    digest = hashlib.sha256()
    for parameter in encoder.parameters():
        digest.update(parameter.detach().cpu().numpy().tobytes())
    hashes = [clip.hash for clip in clips.stored.values()]
    sizes = asdict(encoder.config)  # heads among them, which no weight's shape tells
    digest.update(json.dumps([hashes, views, seed, str(autocast), sizes]).encode())
    return digest.hexdigest()[:16]


@torch.no_grad()
def _encode(encoder: AudioEncoder, inputs: Float32, autocast: torch.dtype | None) -> Tensor:
    device = encoder.modality_a.device
    encoder.eval()
    with torch.autocast(device.type, autocast, enabled=autocast is not None):
        return encoder(torch.from_numpy(inputs).to(device)).float()  # type: ignore[no-any-return]

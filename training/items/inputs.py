"""The inputs that stand for a clip in a batch: its features, or outputs of a frozen encoder."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltu.audio import Clip
from ltu.defaults import FEATURE_MEAN, FEATURE_STD
from ltu.files import replacing
from ltu.training.items.augment import Float32, random_view
from ltu.training.items.clips import Clips, Float16, StoredClip, checked_row, frames_of
from ltu.training.model.device import has_bfloat16
from ltu.training.model.encoder import AudioEncoder

BATCH = 16  # clips that are encoded together
UInt32 = npt.NDArray[np.uint32]


class ClipInputs(Mapping[str, Tensor]):
    """Name → float32[views, ...], from float16 values that lie on disk. Raises Error for damaged ones."""

    def __init__(self, rows: Mapping[str, int], values: Float16, sums: UInt32) -> None:
        self._rows, self._values, self._sums = rows, values, sums

    def __getitem__(self, name: str) -> Tensor:
        row = self._rows[name]
        damaged = (
            f"what the encoder made of {name} is damaged; remove that file, and all clips are encoded again"
        )
        found = checked_row(self._values, row, int(self._sums[row]), damaged)
        return torch.from_numpy(found.astype(np.float32))

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
    """Encoder outputs [views, 32, width] a clip, computed once for an encoder and a set of clips.

    The file holds a CRC-32 of each clip's outputs behind them all.
    """
    names = list(clips.stored)
    rows = {name: row for row, name in enumerate(names)}
    path = cache / f"encoded-{_digest(encoder, clips, views, seed, autocast)}.f16"
    shape = (len(names), views, encoder.config.embeddings, encoder.config.width)
    if not names:
        return ClipInputs(rows, np.zeros(shape, np.float16), np.zeros(0, np.uint32))
    size = math.prod(shape) * 2
    if not (path.is_file() and path.stat().st_size == size + 4 * len(names)):
        with replacing(path) as draft, draft.open("wb") as file:
            sums = []
            for start in range(0, len(names), BATCH):
                part = names[start : start + BATCH]
                inputs = np.concatenate(
                    [_views(clips.features_of(name), clips.stored[name], views, seed) for name in part]
                )
                outputs = _encode(encoder, inputs, autocast).cpu().numpy().astype(np.float16)
                for values in outputs.reshape(len(part), -1):
                    data = values.tobytes()
                    file.write(data)
                    sums.append(crc32(data))
            file.write(np.array(sums, np.uint32).tobytes())
    values = np.memmap(path, np.float16, "r", shape=shape)
    return ClipInputs(rows, values, np.fromfile(path, np.uint32, offset=size))


def encode_views(
    encoder: AudioEncoder, clips: Mapping[str, Clip], views: int, seed: int
) -> dict[str, Tensor]:
    """Encoder outputs [views, 32, width] per clip: of the clip itself and of random views of it."""
    autocast = torch.bfloat16 if has_bfloat16(encoder.modality_a.device) else None
    return {
        name: _encode(
            encoder, _views(clip.features(), StoredClip(0, frames_of(clip), clip.hash), views, seed), autocast
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

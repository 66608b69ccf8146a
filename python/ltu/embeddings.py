"""Embeddings of clips: computed once, kept in memory and, if wanted, in a folder for later sweeps."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ltu.audio import FRONT_END, Clip
from ltu.errors import Error
from ltu.files import replacing, unwritable
from ltu.front_end import FrontEnd

Float32 = npt.NDArray[np.float32]

MEMORY_BYTES = 256 << 20


class Embeddings:
    """`encode` gets the features of clips that are not known yet; the least recently used leave the memory.

    With a folder, what comes out is rounded to float16, read or computed, so that both are the same bits.
    """

    def __init__(
        self, encode: Callable[[Float32], Float32], front_end: FrontEnd, folder: Path | None = None
    ) -> None:
        self._encode, self._front_end, self._folder = encode, front_end, folder
        self._known: OrderedDict[str, Float32] = OrderedDict()

    def prepare(self, clip: Clip) -> None:
        """Computes what `of` needs of a clip and no engine does, from any thread. Raises AudioError."""
        if self._folder is None and clip.hash not in self._known:
            clip.features(self._front_end)

    def of(self, clip: Clip) -> Float32:
        """float32[32, width]. Raises AudioError, Error when the folder cannot be written."""
        embeddings = self._known.pop(clip.hash, None)
        if embeddings is None:
            embeddings = self._read_or_encode(clip) if self._folder else self._computed(clip)
        self._known[clip.hash] = embeddings
        if len(self._known) * embeddings.nbytes > MEMORY_BYTES:
            self._known.popitem(last=False)
        return embeddings

    def _read_or_encode(self, clip: Clip) -> Float32:
        assert self._folder is not None
        path = self._folder / clip.hash[:2] / f"{clip.hash}.npy"
        try:
            return np.asarray(np.load(path), np.float32)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, EOFError) as error:
            raise Error(f"{path}: cannot be read ({error}); delete it") from None
        embeddings = self._computed(clip).astype(np.float16)
        _write(path, embeddings)
        return embeddings.astype(np.float32)

    def _computed(self, clip: Clip) -> Float32:
        return self._encode(clip.features(self._front_end))


def folder_for(folder: Path, model: Path, kernels: str) -> Path:
    """The part of `folder` for what computes these embeddings: encoder, projector, front end and kernels."""
    from ltu.convert import gguf_file

    file = gguf_file.read(model)
    front_end = FrontEnd.of_file(file.keys, str(model))
    digest = hashlib.sha256(f"{FRONT_END} {front_end}\n{kernels}\n".encode())
    for name, tensor in sorted(file.tensors.items()):
        if name.startswith(("a.", "mm.a.")):
            digest.update(f"{name} {tensor.shape} {tensor.type}\n".encode())
            digest.update(tensor.rows(0, tensor.row_count).tobytes())
    return folder / digest.hexdigest()[:16]


def _write(path: Path, embeddings: npt.NDArray[np.float16]) -> None:
    """Whole or not at all, whoever else writes it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from None
    with replacing(path) as draft, draft.open("wb") as file:
        np.save(file, embeddings)

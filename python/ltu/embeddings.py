"""Embeddings of clips: computed once, kept in memory and, if wanted, in a folder for later sweeps."""

import hashlib
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
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
    """The least recently used leave the memory.

    With a folder, what comes out is rounded to float16, read or computed, so that both are the same bits.
    """

    def __init__(
        self,
        encode: Callable[[Float32], Float32],
        front_end: FrontEnd,
        folder: Path | None = None,
        at_once: int = 1,
        shape: tuple[object, ...] | None = None,
    ) -> None:
        """`encode`: float32[clips, frames, mels] → [clips, 32, width], of at most `at_once` clips.

        shape: (32, width); files in the folder that hold something else are made anew.
        """
        self._encode, self._front_end, self._folder, self._at_once = encode, front_end, folder, at_once
        self._shape = shape
        self._known: OrderedDict[str, Float32] = OrderedDict()
        self._waiting: weakref.WeakValueDictionary[str, Clip] = weakref.WeakValueDictionary()  # prepared
        self._lock = threading.Lock()  # of what waits

    def prepare(self, clips: Iterable[Clip]) -> None:
        """Computes what `of` needs of clips and no engine does, from any thread. Raises AudioError."""
        for clip in clips:
            if clip.hash in self._known or (self._folder and self._file(self._folder, clip).exists()):
                continue
            clip.features(self._front_end)
            with self._lock:
                self._waiting[clip.hash] = clip

    def of(self, clip: Clip) -> Float32:
        """float32[32, width]. What is prepared and not encoded yet is encoded with it, as far as allowed.

        Raises AudioError, Error when the folder cannot be written.
        """
        embeddings = self._known.pop(clip.hash, None)
        if embeddings is None and (embeddings := self._stored(clip)) is None:
            others = self._company(clip)
            embeddings, *rest = self._computed([clip, *others])
            for other, its in zip(others, rest, strict=True):
                self._keep(other, its)
        self._keep(clip, embeddings)
        return embeddings

    def _company(self, clip: Clip) -> list[Clip]:
        """Clips that are encoded with this one; they wait no longer."""
        with self._lock:
            self._waiting.pop(clip.hash, None)
            others = list(islice(self._waiting.values(), self._at_once - 1))
            for other in others:
                del self._waiting[other.hash]
        return [other for other in others if other.hash not in self._known]

    def _keep(self, clip: Clip, embeddings: Float32) -> None:
        self._known[clip.hash] = embeddings
        if len(self._known) * embeddings.nbytes > MEMORY_BYTES:
            self._known.popitem(last=False)

    @staticmethod
    def _file(folder: Path, clip: Clip) -> Path:
        return folder / clip.hash[:2] / f"{clip.hash}.npy"

    def _stored(self, clip: Clip) -> Float32 | None:
        if self._folder is None:
            return None
        path = self._file(self._folder, clip)
        try:
            stored = np.load(path)
            is_ours = stored.dtype == np.float16 and stored.shape == (self._shape or stored.shape)
            return np.asarray(stored, np.float32) if is_ours and np.isfinite(stored).all() else None
        except (AttributeError, FileNotFoundError, ValueError, EOFError):  # not there, or damaged: made anew
            return None
        except OSError as error:
            raise Error(f"{path}: cannot be read ({error}); delete it") from None

    def _computed(self, clips: Sequence[Clip]) -> list[Float32]:
        embeddings = self._encode(np.stack([clip.features(self._front_end) for clip in clips]))
        if self._folder is None:
            return list(embeddings)
        for clip, rounded in zip(clips, embeddings.astype(np.float16), strict=True):
            _write(self._file(self._folder, clip), rounded)
        return list(embeddings.astype(np.float16).astype(np.float32))


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

"""Recordings that clients send, decoded once and found again by their hash."""

import base64
import binascii
import hashlib
import io
import warnings
from collections import OrderedDict

from ltu.audio import Clip, load_audio
from ltu.serve.problems import Problem

REMEMBERED = 64  # clips: about a megabyte each, samples and features


class Clips:
    """For one thread at a time."""

    def __init__(self) -> None:
        self._clips: OrderedDict[str, Clip] = OrderedDict()  # by clip hash, the latest last
        self._hashes: OrderedDict[str, str] = OrderedDict()  # of encoded bytes → clip hash
        self._notes: dict[str, list[str]] = {}

    def of_data(self, data: str, where: str) -> Clip:
        """The clip in base64 text or a data URL. Raises Problem, AudioError."""
        encoded = _decoded(data, where)
        digest = hashlib.sha256(encoded).hexdigest()
        known = self._hashes.get(digest)
        if known is not None and known in self._clips:
            self._clips.move_to_end(known)
            return self._clips[known]
        file = io.BytesIO(encoded)
        file.name = where
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always")
            clip = load_audio(file)
        self._keep(clip, digest, [str(note.message).removeprefix(f"{where}: ") for note in notes])
        return clip

    def of_hash(self, hash: str, where: str) -> Clip:
        """A clip that was sent before. Raises Problem, upon which a client sends it again."""
        clip = self._clips.get(hash)
        if clip is None:
            raise Problem(
                404, f"{where}: no such clip is known (any more); send its data", where, "clip_unknown"
            )
        self._clips.move_to_end(hash)
        return clip

    def notes(self, clip: Clip) -> list[str]:
        """What its owner should know: that it was cut, or is silent."""
        return self._notes.get(clip.hash, [])

    def _keep(self, clip: Clip, digest: str, notes: list[str]) -> None:
        self._clips[clip.hash] = clip
        self._hashes[digest] = clip.hash
        self._notes[clip.hash] = notes
        if len(self._clips) > REMEMBERED:
            oldest, _ = self._clips.popitem(last=False)
            self._notes.pop(oldest, None)
        if len(self._hashes) > 4 * REMEMBERED:
            self._hashes.popitem(last=False)


def _decoded(data: str, where: str) -> bytes:
    if data.startswith("data:"):
        head, _, data = data.partition(",")
        if not head.endswith(";base64"):
            raise Problem(400, f"{where}: a data URL must hold base64", where, "invalid_audio")
    elif "://" in data[:16]:
        raise Problem(400, f"{where}: nothing is fetched; send the recording itself in base64", where)
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Problem(400, f"{where}: is no base64", where, "invalid_audio") from None

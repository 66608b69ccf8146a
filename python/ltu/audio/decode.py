"""Encoded files → samples: libsndfile reads WAV, FLAC, Ogg, MP3 and its other formats, PyAV what it can't."""

import io
import re
from contextlib import nullcontext, suppress
from typing import Any, BinaryIO

import numpy as np
import soundfile

from ltu.audio.containers import HEAD, closed, closed_caf, conversion, foreign, ogg_links, unread
from ltu.audio.features import CLIP_SAMPLES
from ltu.audio.quiet import without_notes
from ltu.audio.sound import LOUDEST, Float32, Sound, checked_rate, seen
from ltu.errors import AudioError

BLOCK = 1024  # frames read at a time from a damaged file: what it loses before the damage
UNRECOGNISED = 1  # libsndfile's code for a format that it doesn't know
LOST = 0.05  # seconds that may lack without a note: encoders differ in what they count
ESTIMATED = ("aac", "ac3", "amr")  # FFmpeg's formats without a header that says how long they are
STREAMED = 0x7FFF_0000  # bytes: larger sizes are what programs write that don't know the size yet
MP3_IN_WAV = b"\x55\0"  # its place in the header where the first chunk is the format
TAG = 128  # bytes of an ID3v1 tag, at the end of an MP3 file
SIZES = re.compile(r"^ *(?:data|SSND|Data Size|riff|Riff size) *: (\d+) \(should be (\d+)\)", re.MULTILINE)


def decode(file: BinaryIO, name: str, heard: int = CLIP_SAMPLES) -> Sound:
    """The recording that a seekable file holds from its start. Raises AudioError that says what it is."""
    head = file.read(HEAD)
    if not head:
        raise AudioError(f"{name}: is empty (0 bytes), not audio; give a recording")
    if problem := foreign(head):
        raise AudioError(f"{name}: {problem}")
    if container := unread(head):
        sound, whole = _with_av(file, name, container, heard)
        if head.startswith(b"OggS"):
            whole = whole and ogg_links(_rest(file))[1]
    elif head.startswith(b"caff"):
        sound, whole = _caf(file, name, heard)
    else:
        sound, whole = _with_libsndfile(file, name, heard)
        if len(sound.samples) < seen(sound.rate, heard) and head.startswith(b"OggS"):
            whole = _go_on(sound, _rest(file), heard) and whole
        elif not len(sound.samples) and (filled := closed(_rest(file))):
            sound, whole = _with_libsndfile(io.BytesIO(filled), name, heard)
            sound.notes.append("was never closed: its header says that it is empty; all of it is heard")
    if not whole and len(sound.samples):
        seconds = len(sound.samples) / sound.rate
        sound.notes.append(f"is cut off or damaged; only {seconds:.2f} s are heard")
    return sound


def _with_libsndfile(file: BinaryIO, name: str, heard: int) -> tuple[Sound, bool]:
    """What libsndfile reads, and whether that is all that should be heard."""
    try:
        with nullcontext() if _is_plain(file) else without_notes():
            samples, rate, declared, whole, lossy = _read(file, name, heard)
    except soundfile.LibsndfileError as error:
        if error.code != UNRECOGNISED:
            raise AudioError(
                f"{name}: is cut off or damaged before anything can be heard; get it again"
            ) from None
        raise AudioError(
            f"{name}: is not audio that can be read (WAV, FLAC, Ogg, MP3); if it plays elsewhere, "
            f"convert it: {conversion(name)}"
        ) from None
    except OSError as error:
        raise AudioError(f"{name}: cannot be read: {error.strerror or error}") from None
    declared = max(declared, len(samples))
    whole = whole and min(declared, seen(rate, heard)) - len(samples) < LOST * rate
    sound = Sound(name, samples, rate, declared / rate)
    if lossy and (peak := np.abs(samples).max(initial=0)) > LOUDEST:
        sound.notes.append(f"is damaged: samples up to {peak:.2g} were cut to full scale, 1")
        np.clip(samples, -1, 1, out=samples)
    return sound, whole


def _is_plain(file: BinaryIO) -> bool:
    """Whether a file is of the usual kinds that libmpg123 has no part in."""
    file.seek(0)
    head = file.read(22)
    is_riff = head[:4] == b"RIFF" and head[20:] != MP3_IN_WAV
    return is_riff or head.startswith((b"fLaC", b"OggS"))


class _Longer(io.BytesIO):
    """An MP3 file that seems to be much longer, with an empty tag at its end: libmpg123 guesses the number of
    frames from the length where no header counts them, and libsndfile reads no further."""

    END = 1 << 30

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        from_end = whence == io.SEEK_END
        return super().seek(offset + self.END if from_end else offset, io.SEEK_SET if from_end else whence)

    def readinto(self, buffer: Any) -> int:
        if self.END - TAG <= self.tell() < self.END:
            buffer[:] = bytes(len(buffer))
            self.seek(len(buffer), io.SEEK_CUR)
            return len(buffer)
        return super().readinto(buffer)


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """Reads on to the end. soundfile would seek after each reading, to where it is: MP3 does not survive that
    unchanged, and FLAC of unknown length, as it comes out of a pipe, fails at its end."""

    def seekable(self) -> bool:
        return False


def _read(file: BinaryIO, name: str, heard: int) -> tuple[Float32, float, int, bool, bool]:
    """(samples [n, channels], rate, samples that the header promises, whether none is known to lack, whether
    they were computed and not stored)."""
    file.seek(0)
    with _Forward(file) as source:
        rate = checked_rate(source.samplerate, name)
        lossy = source.subtype not in ("FLOAT", "DOUBLE")
        wanted, declared = seen(rate, heard), source.frames if source.frames < 2**62 else 0
        try:
            samples = source.read(wanted, dtype="float32", always_2d=True)
            if source.subtype == "MPEG_LAYER_III" and len(samples) == declared < wanted:
                samples = _to_the_end(file, samples, wanted)
            whole = len(samples) == wanted or not _is_cut(source)
            return samples, rate, declared, whole, lossy
        except soundfile.LibsndfileError as error:
            damaged = error
    file.seek(0)
    with _Forward(file) as source, suppress(soundfile.LibsndfileError):
        blocks: list[Float32] = []  # of what lies before the damage
        while len(blocks) * BLOCK < wanted:
            blocks.append(source.read(BLOCK, dtype="float32", always_2d=True))
    if not blocks:
        raise damaged
    return np.concatenate(blocks)[:wanted], rate, declared, False, lossy


def _to_the_end(file: BinaryIO, samples: Float32, wanted: int) -> Float32:
    """All of an MP3 file whose number of frames may have been a guess, or the samples that were read."""
    with suppress(soundfile.LibsndfileError), _Forward(_Longer(_rest(file))) as source:
        more: Float32 = source.read(wanted, dtype="float32", always_2d=True)
        return max(samples, more, key=len)
    return samples


def _is_cut(source: Any) -> bool:
    """Whether the header promises more bytes than the file has. libsndfile says so in its log alone."""
    sizes = [(int(said), int(is_)) for said, is_ in SIZES.findall(source.extra_info)]
    return any(is_ < said < STREAMED for said, is_ in sizes)


def _caf(file: BinaryIO, name: str, heard: int) -> tuple[Sound, bool]:
    """A CAF file; what libsndfile does not know of it, as ALAC with another's packets, FFmpeg may."""
    caf, complete = closed_caf(_rest(file))
    try:
        sound, whole = _with_libsndfile(io.BytesIO(caf), name, heard)
    except AudioError:
        return _with_av(file, name, "a CAF file", heard)
    return sound, whole and (complete or len(sound.samples) >= seen(sound.rate, heard))


def _rest(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


def _go_on(sound: Sound, ogg: bytes, heard: int) -> bool:
    """Adds what an Ogg file chains to its first stream, all that libsndfile reads; whether it is complete."""
    links, ended = ogg_links(ogg)
    for link in links[1:]:
        more, whole = _with_libsndfile(io.BytesIO(link), sound.name, heard)
        if more.rate != sound.rate or more.samples.shape[1] != sound.samples.shape[1]:
            sound.notes.append(f"changes its format; only the first {sound.seconds:.2f} s are heard")
            break
        sound.samples = np.concatenate([sound.samples, more.samples])[: seen(sound.rate, heard)]
        sound.seconds += more.seconds
        ended = ended and whole
    return ended


def _with_av(file: BinaryIO, name: str, container: str, heard: int) -> tuple[Sound, bool]:
    """What FFmpeg's libraries read, where PyAV is installed, and whether that is all."""
    file.seek(0)
    try:
        import av
    except ImportError:
        raise AudioError(
            f"{name}: is {container}; convert it: {conversion(name)} (or pip install 'ltu-engine[formats]')"
        ) from None
    blocks: list[Float32] = []
    whole = True
    try:
        with av.open(file) as source:
            stream = source.streams.audio[0]
            rate = checked_rate(stream.rate, name)
            duration = (source.duration or 0) / av.time_base
            estimated = source.format.name in ESTIMATED
            as_float = av.AudioResampler(format="fltp")
            try:
                for frame in source.decode(stream):
                    blocks += [part.to_ndarray().T for part in as_float.resample(frame)]
                    if sum(map(len, blocks)) >= seen(rate, heard):
                        break
            except av.FFmpegError:
                whole = False
    except (av.FFmpegError, IndexError) as error:
        reason = "no audio in it" if isinstance(error, IndexError) else error.strerror
        raise AudioError(f"{name}: is {container} that cannot be read: {reason}; get it again") from None
    samples = np.concatenate(blocks)[: seen(rate, heard)] if blocks else np.zeros((0, 1), np.float32)
    lost = min(duration * rate, seen(rate, heard)) - len(samples)
    whole = whole and (estimated or lost < 2 * LOST * rate)  # a duration counts whole packets
    return Sound(name, samples, rate, max(duration, len(samples) / rate)), whole

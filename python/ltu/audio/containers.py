"""What a file is, by its bytes: containers that libsndfile can't read, and files that are no recordings."""

import os
import shlex
import struct

UNREAD = (  # (place, mark, what it is): PyAV reads these
    (4, b"ftyp", "an MP4 or M4A file"),
    (0, b"\x1a\x45\xdf\xa3", "a WebM or Matroska file"),
    (0, b"#!AMR", "an AMR file"),
    (0, b"\xff\xf0", "an AAC file"),
    (0, b"\xff\xf1", "an AAC file"),
    (0, b"\xff\xf8", "an AAC file"),
    (0, b"\xff\xf9", "an AAC file"),
    (0, b"\x0b\x77", "an AC-3 file"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a WMA file"),
    (0, b"wvpk", "a WavPack file"),
    (0, b"TTA1", "a TTA file"),
    (0, b"MAC ", "a Monkey's Audio file"),
    (0, b"DSD ", "a DSF file"),
    (0, b"FLV", "a Flash video"),
    (8, b"AVI ", "an AVI file"),
    (28, b"\x7fFLAC", "FLAC in an Ogg file"),
    (28, b"Speex   ", "Speex in an Ogg file"),
)
FOREIGN = (  # (mark, what it is and what to do)
    (b"version https://git-lfs", "is a Git LFS pointer, not audio; fetch the recording with git lfs pull"),
    (b"<!doctype", "is a web page, not audio; download the recording again"),
    (b"<html", "is a web page, not audio; download the recording again"),
    (b"<?xml", "is an XML document, not audio; download the recording again"),
    (b"pk\x03\x04", "is a zip archive, not audio; unpack it"),
    (b"\x1f\x8b", "is compressed with gzip, not audio; unpack it"),
    (b"%pdf", "is a PDF, not audio; give a recording"),
)
HEAD = 512  # bytes that tell


def foreign(head: bytes) -> str | None:
    """What a file is that holds no sound, and what to do; None where it may hold some."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((what for mark, what in FOREIGN if start.startswith(mark)), None)


def unread(head: bytes) -> str | None:
    """The name of a container that libsndfile can't read; None for all others."""
    return next((what for place, mark, what in UNREAD if head.startswith(mark, place)), None)


def conversion(name: str) -> str:
    """The command that makes a WAV file of anything that plays."""
    return f"ffmpeg -i {shlex.quote(name) if os.path.isfile(name) else 'FILE'} recording.wav"


def closed_wav(wav: bytes) -> bytes | None:
    """A WAV file whose header says that it holds 0 bytes of samples, with the true size; None for others.

    Recorders write the size when they close the file; one that crashed leaves 0.
    """
    place = 12
    while wav[:4] == b"RIFF" and place + 8 < len(wav):
        chunk, size = struct.unpack_from("<4sI", wav, place)
        if chunk == b"data":
            true_size = struct.pack("<I", min(len(wav) - place - 8, 0xFFFFFFFF))
            return wav[: place + 4] + true_size + wav[place + 8 :] if size == 0 else None
        place += 8 + size + size % 2
    return None


def ogg_links(ogg: bytes) -> tuple[list[bytes], bool]:
    """The streams that an Ogg file chains, and whether the last page says that it is the last one."""
    starts, begun, ended, place = [0], False, False, 0
    while (place := ogg.find(b"OggS", place)) >= 0 and place + 27 <= len(ogg):
        flags, lacing = ogg[place + 5], ogg[place + 27 : place + 27 + ogg[place + 26]]
        first, last = flags & 2, flags & 4
        if first and begun:
            starts.append(place)
        begun = not first
        place += 27 + len(lacing) + sum(lacing)
        ended = bool(last) and place <= len(ogg)
    return [ogg[a:b] for a, b in zip(starts, [*starts[1:], len(ogg)], strict=True)], ended

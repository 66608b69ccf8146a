"""What a file is, by its bytes: containers that libsndfile can't read, and files that are no recordings."""

import os
import re
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
    (b"<head", "is a web page, not audio; download the recording again"),
    (b"<!--", "is a web page, not audio; download the recording again"),
    (b"<?xml", "is an XML document, not audio; download the recording again"),
    (b"pk\x03\x04", "is a zip archive, not audio; unpack it"),
    (b"\x1f\x8b", "is compressed with gzip, not audio; unpack it"),
    (b"rar!", "is an archive, not audio; unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "is an archive, not audio; unpack it"),
    (b"%pdf", "is a PDF, not audio; give a recording"),
    (b"\x89png", "is a picture, not audio; give a recording"),
    (b"\xff\xd8\xff", "is a picture, not audio; give a recording"),
    (b"mthd", "is a MIDI file, which holds notes and no sound; give a recording of it"),
)
TEXT = re.compile(rb"[\t\n\r\x20-\x7e\x80-\xff]*")  # UTF-8 or an older encoding, no control characters
HEAD = 512  # bytes that tell


def foreign(head: bytes) -> str | None:
    """What a file is that holds no sound, and what to do; None where it may hold some."""
    if unread(head):
        return None
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    named = next((what for mark, what in FOREIGN if start.lower().startswith(mark)), None)
    if named or not TEXT.fullmatch(start):
        return named
    line = start.split(b"\n", 1)[0][:40].decode("utf-8", "replace").strip()
    return f"is text, not audio (it begins {line!r}); download the recording again"


def unread(head: bytes) -> str | None:
    """The name of a container that libsndfile can't read; None for all others."""
    return next((what for place, mark, what in UNREAD if head.startswith(mark, place)), None)


def conversion(name: str) -> str:
    """The command that makes a WAV file of anything that plays."""
    return f"ffmpeg -i {shlex.quote(name) if os.path.isfile(name) else 'FILE'} recording.wav"


def closed(file: bytes) -> bytes | None:
    """A WAV, RF64 or AU file whose header says that it holds 0 bytes of samples, with the true size; None for
    others.

    Recorders write the size when they close the file; one that crashed leaves 0.
    """
    if file[:4] == b".snd":
        [start] = struct.unpack_from(">I", file, 4)
        return _filled(file, 8, ">I", len(file) - start)
    place, size_64 = 12, None
    while file[:4] in (b"RIFF", b"RF64") and place + 8 < len(file):
        chunk, size = struct.unpack_from("<4sI", file, place)
        if chunk == b"ds64":
            size_64 = place + 16
        if chunk == b"data":
            there = len(file) - place - 8
            if size_64 is not None:
                return _filled(file, size_64, "<Q", there)
            return _filled(file, place + 4, "<I", min(there, 0xFFFFFFFF))
        place += 8 + size + size % 2
    return None


def _filled(file: bytes, place: int, format: str, size: int) -> bytes | None:
    """The size where the file has 0."""
    field = slice(place, place + struct.calcsize(format))
    return None if any(file[field]) else file[: field.start] + struct.pack(format, size) + file[field.stop :]


def closed_caf(caf: bytes) -> tuple[bytes, bool]:
    """A CAF file with the true size of its last chunk of samples, and whether it has all that it promises.

    Recorders leave -1, "up to the end of the file". libsndfile refuses that, and files that were cut off.
    """
    place = 8
    while place + 12 <= len(caf):
        chunk, size = struct.unpack_from(">4sq", caf, place)
        there = len(caf) - place - 12
        if chunk == b"data" and not 0 < size <= there:
            return caf[: place + 4] + struct.pack(">q", there) + caf[place + 12 :], size <= 0
        if size < 0:
            break
        place += 12 + size
    return caf, True


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

"""A model file that is broken, or made to do harm, ends in a load or in one line, never in a signal."""

import json
import random
import struct
import subprocess
import sys
from pathlib import Path

import gguf
import pytest

import ltu
from ltu.convert import gguf_file
from ltu.errors import Error, ModelFileError
from tiny import tiny_gguf

MUTATIONS, PROCESSES = 2000, 4
EXTREME = (0, 1, 2, 3, 7, 255, 2**15, 2**30, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1)


def mutated(whole: bytes, header: int, places: list[tuple[int, int]], source: random.Random) -> bytes:
    """The file with one to three faults. places: (offset, bytes) of the header's numbers and texts."""
    data = bytearray(whole)
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        if len(data) < header:  # it has ended already
            break
        at, size = source.choice(places)
        kind = source.randrange(8)
        if kind < 3 and size <= 8:  # a number becomes another, of any size and sign
            data[at : at + size] = (source.choice(EXTREME) % 256**size).to_bytes(size, "little")
        elif kind == 3:  # a number or text becomes noise
            data[at : at + size] = source.randbytes(size)
        elif kind == 4:  # single bytes anywhere in the header
            for _ in range(source.randint(1, 8)):
                data[source.randrange(header)] = source.randrange(256)
        elif kind == 5:  # single bits
            place = source.randrange(header)
            data[place] ^= 1 << source.randrange(8)
        elif kind == 6:  # something is left out, or comes twice
            length = source.choice((1, 4, 8, size))
            data[at : at + length] = bytes(data[at : at + length]) * source.choice((0, 2))
        else:  # the file ends
            del data[source.choice((at, header, source.randrange(len(data)))) :]
    return bytes(data)


def places_of(path: Path) -> tuple[int, list[tuple[int, int]]]:
    """Bytes of the header, and where its fields lie, as gguf's own reader finds them."""
    reader = gguf.GGUFReader(path)
    places = [(4, 4), (8, 8), (16, 8)]
    for field in [*reader.fields.values(), *(tensor.field for tensor in reader.tensors)]:
        at = field.offset
        for part in field.parts[:64]:  # a vocabulary's first tokens stand for all
            if not field.name.startswith("GGUF."):
                places.append((at, part.nbytes))
            at += part.nbytes
    return reader.data_offset, places


def outcomes(path: Path, numbers: range) -> dict[str, int]:
    """Mutates, opens with both readers, and counts what came of it."""
    header, places = places_of(path)
    whole, broken = path.read_bytes(), path.with_name(f"broken-{numbers.start}.gguf")
    counts = {"loaded": 0, "refused": 0}
    for number in numbers:
        broken.write_bytes(mutated(whole, header, places, random.Random(number)))
        print(number, file=sys.stderr)
        try:
            gguf_file.read(broken)
            model = ltu.load(broken, device="cpu", threads=1, kv_memory=1 << 20)
            model.generate_ids([1, 5, 7], max_new_tokens=2)
            counts["loaded"] += 1
        except Error as error:
            counts["refused"] += 1
            if len(str(error).splitlines()) != 1 or len(str(error)) > 1000:
                raise SystemExit(f"this is not one line: {error}") from None
    return counts


if __name__ == "__main__":
    print(json.dumps(outcomes(Path(sys.argv[1]), range(int(sys.argv[2]), int(sys.argv[3])))))


def named(parts: bytes, count: int) -> bytes:
    """A header of one key or tensor, and room behind it."""
    return b"GGUF" + struct.pack("<IQQ", 3, count >> 1, count & 1) + parts + bytes(4096)


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


KEY, TENSOR = 1, 2
U32 = struct.pack("<II", 4, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (named(text(b"") + U32, KEY), 'a key named ""'),  # ggml's reader aborts the process
        (named(text(b"a\nb") + U32, KEY), r'a key named "a\?b"'),
        (named(text(b"n") + struct.pack("<I", 99), KEY), "key n is of the unknown type 99"),
        (named(text(b"n") + struct.pack("<IIQ", 9, 9, 1), KEY), "key n is an array of the unknown type 9"),
        (named(text(b"n") + struct.pack("<IIQ", 9, 10, 2**61), KEY), "ends inside key n"),
        (named(text(b"n") + struct.pack("<IQ", 10, 2**63), KEY), "key n is 9223372036854775808"),
        (named(text(b"general.alignment") + struct.pack("<II", 4, 3), KEY), "general.alignment is 3"),
        (named(text(b"split.count") + struct.pack("<IH", 2, 4), KEY), "one of 4 parts of a split model"),
        (named(struct.pack("<Q", 2**64 - 1), KEY), "ends inside its header"),
        (
            named(text(b"t") + struct.pack("<IQIQ", 1, 2**63, 0, 0), TENSOR),
            "tensor t has an impossible shape",
        ),
        (named(text(b"t") + struct.pack("<IQQIQ", 2, 2**40, 2**40, 0, 0), TENSOR), "impossible shape"),
        (named(text(b"t") + struct.pack("<IQIQ", 1, 2**40, 0, 0), TENSOR), "ends inside tensor t"),
        (named(text(b"t") + struct.pack("<IQIQ", 1, 8, 0, 2**64 - 32), TENSOR), "ends inside tensor t"),
        (named(text(b"t") + struct.pack("<IQIQ", 1, 8, 0, 7), TENSOR), "lies at 7, no multiple of 32"),
        (named(text(b"t") + struct.pack("<IQIQ", 1, 8, 4, 0), TENSOR), "of the unknown type 4"),
        (named(text(b"t") + struct.pack("<IQIQ", 1, 8, 8, 0), TENSOR), "don't fill the blocks of q8_0"),
        (named(text(b"t" * 64) + struct.pack("<IQIQ", 1, 8, 0, 0), TENSOR), "a tensor named"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"PK\x03\x04" + bytes(60), "zip archive"),
        (struct.pack("<Q", 20) + b'{"__metadata__":{}}' + bytes(60), "safetensors"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"lmgg" + bytes(60), "before GGUF"),
    ],
)
def test_the_fault_of_a_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    for opened in (gguf_file.read, ltu.load):
        with pytest.raises(ModelFileError, match=rf"m\.gguf: .*{message}"):
            opened(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("llama.block_count", 0),
        ("llama.embedding_length", -64),
        ("llama.attention.head_count", 2**40),
        ("llama.attention.head_count_kv", 3),
        ("llama.attention.layer_norm_rms_epsilon", float("nan")),
        ("llama.rope.freq_base", float("inf")),
        ("llama.rope.dimension_count", 2**33),
        ("llama.rope.scaling.type", "spiral"),
        ("clip.audio.num_mel_bins", 0),
        ("ltu.audio.patch_size", 2**30),
        ("ltu.audio.time_pool", 3),
        ("ltu.projector.divisor", 0.0),
        ("tokenizer.ggml.bos_token_id", 2**31),
        ("tokenizer.ggml.eos_token_id", -7),
        ("general.sampling.temp", -1.0),
        ("general.sampling.top_k", 2**40),
        ("ltu.sampling.max_new_tokens", 0),
    ],
)
def test_impossible_settings_are_named(tmp_path: Path, key: str, value: float | str) -> None:
    path = tmp_path / "m.gguf"
    whole = gguf_file.read(tiny_gguf(tmp_path / "tiny.gguf", blocks=1))
    gguf_file.write(path, whole.keys | {key: value}, whole.tensors)
    with pytest.raises(ModelFileError, match=rf"m\.gguf: .*{key}"):
        ltu.load(path, device="cpu", threads=1, kv_memory=1 << 20)


def test_mutated_files_end_in_a_load_or_in_one_line(tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "tiny.gguf", blocks=1, encoder_width=16, encoder_heads=1)
    each = MUTATIONS // PROCESSES
    counts = {"loaded": 0, "refused": 0}
    for first in range(0, MUTATIONS, each):
        command = [sys.executable, __file__, str(path), str(first), str(first + each)]
        run = subprocess.run(command, capture_output=True, text=True)
        last = [line for line in run.stderr.splitlines() if line.isdigit()][-1:]
        assert run.returncode == 0, f"mutation {last} ended with {run.returncode}: {run.stderr[-2000:]}"
        for outcome, count in json.loads(run.stdout).items():
            counts[outcome] += count
    assert min(counts.values()) > MUTATIONS / 50, counts  # both happen, or nothing was tested

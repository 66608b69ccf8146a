"""Each bad input of the real command line: its exit code and one line that says what is wrong."""

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ltu.convert import gguf_file
from ltu.convert.tensor import Tensor, reshaped
from tiny import tiny_gguf

RATE = 16_000
PROMPT = "Is [AUDIO] a bird?"


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("tiny") / "tiny.gguf", outtype="f32")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audio") / "noise.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, RATE), RATE)
    return path


def ltu_run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from ltu.cli.run import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )


def assert_one_line(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 1
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert not line.startswith("error: unexpected")
    for word in words:
        assert word in line


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def truncated_in_header(data: bytes) -> bytes:
    return data[:200]


def empty(_: bytes) -> bytes:
    return b""


def text(_: bytes) -> bytes:
    return b"This is no model.\n" * 100


def a_later_version(data: bytes) -> bytes:
    return data[:4] + struct.pack("<I", 99) + data[8:]


def more_tensors_than_bytes(data: bytes) -> bytes:
    return data[:8] + struct.pack("<Q", 1 << 60) + data[16:]


@pytest.mark.parametrize(
    "damage", [truncated, truncated_in_header, empty, text, a_later_version, more_tensors_than_bytes]
)
def test_damaged_model_files_are_named(
    model_file: Path, recording: Path, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(damage(model_file.read_bytes()))
    assert_one_line(ltu_run("--gguf", broken, "--audio", recording, "--prompt", PROMPT), "broken.gguf")


def test_a_missing_model_file_is_named(recording: Path) -> None:
    assert_one_line(ltu_run("--gguf", "absent.gguf", "--audio", recording, "--prompt", PROMPT), "absent.gguf")


def another_architecture(keys: dict[str, gguf_file.Value], tensors: dict[str, Tensor]) -> str:
    keys["general.architecture"] = "llama"
    return "general.architecture"


def a_missing_key(keys: dict[str, gguf_file.Value], tensors: dict[str, Tensor]) -> str:
    del keys["clip.audio.embedding_length"]
    return "clip.audio.embedding_length"


def a_missing_template(keys: dict[str, gguf_file.Value], tensors: dict[str, Tensor]) -> str:
    del keys["ltu.prompt.template"]
    return "ltu.prompt.template"


def a_broken_tokenizer(keys: dict[str, gguf_file.Value], tensors: dict[str, Tensor]) -> str:
    keys["tokenizer.huggingface.json"] = "{}"
    return "tokenizer.huggingface.json"


def a_key_of_another_type(keys: dict[str, gguf_file.Value], tensors: dict[str, Tensor]) -> str:
    keys["llama.block_count"] = "two"
    return "llama.block_count"


def a_missing_tensor(keys: dict[str, gguf_file.Value], tensors: dict[str, Tensor]) -> str:
    del tensors["blk.0.attn_q.weight"]
    return "blk.0.attn_q.weight"


def a_wrong_shape(keys: dict[str, gguf_file.Value], tensors: dict[str, Tensor]) -> str:
    rows, columns = tensors["mm.a.weight"].shape
    tensors["mm.a.weight"] = reshaped(tensors["mm.a.weight"], (columns // 2, rows * 2))
    return "mm.a.weight"


def a_tensor_too_many(keys: dict[str, gguf_file.Value], tensors: dict[str, Tensor]) -> str:
    tensors["blk.99.attn_q.weight"] = tensors["blk.0.attn_q.weight"]
    return "blk.99.attn_q.weight"


@pytest.mark.parametrize(
    "change",
    [
        another_architecture,
        a_missing_key,
        a_missing_template,
        a_broken_tokenizer,
        a_key_of_another_type,
        a_missing_tensor,
        a_wrong_shape,
        a_tensor_too_many,
    ],
)
def test_wrong_parts_of_a_model_file_are_named(
    model_file: Path,
    recording: Path,
    tmp_path: Path,
    change: Callable[[dict[str, gguf_file.Value], dict[str, Tensor]], str],
) -> None:
    whole = gguf_file.read(model_file)
    keys, tensors = dict(whole.keys), dict(whole.tensors)
    part = change(keys, tensors)
    broken = tmp_path / "broken.gguf"
    gguf_file.write(broken, keys, tensors)
    result = ltu_run("--gguf", broken, "--audio", recording, "--prompt", PROMPT)
    assert_one_line(result, "broken.gguf", part)


def test_unheard_recordings_are_named(model_file: Path, tmp_path: Path) -> None:
    inputs: dict[str, bytes | np.ndarray] = {
        "empty.wav": b"",
        "text.wav": b"no audio, but text\n" * 50,
        "nan.wav": np.full(RATE, np.nan),
        "nothing.wav": np.zeros(0),
        "short.wav": np.zeros(100),
    }
    for name, content in inputs.items():
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            soundfile.write(path, content, RATE, subtype="FLOAT")
        assert_one_line(ltu_run("--gguf", model_file, "--audio", path, "--prompt", PROMPT), name)
    absent = ltu_run("--gguf", model_file, "--audio", tmp_path / "absent.wav", "--prompt", PROMPT)
    assert_one_line(absent, "absent.wav")
    assert_one_line(ltu_run("--gguf", model_file, "--audio", tmp_path, "--prompt", PROMPT), str(tmp_path))


def test_a_prompt_longer_than_the_context_says_both_lengths(model_file: Path, recording: Path) -> None:
    context = gguf_file.read(model_file).keys["llama.context_length"]
    assert isinstance(context, int)
    long = PROMPT + " really" * context
    result = ltu_run("--gguf", model_file, "--audio", recording, "--prompt", long)
    assert_one_line(result, "positions", str(context))


@pytest.mark.parametrize("device", ["abacus", "cuda:x", "cuda:99"])
def test_unknown_devices_are_named(model_file: Path, recording: Path, device: str) -> None:
    result = ltu_run("--gguf", model_file, "--audio", recording, "--prompt", PROMPT, "--device", device)
    assert_one_line(result, device, "auto, cpu")


def test_a_mistaken_number_of_threads_is_one_line(model_file: Path, recording: Path) -> None:
    result = ltu_run("--gguf", model_file, "--audio", recording, "--prompt", PROMPT, "--threads", "100000")
    assert (result.returncode, result.stdout) == (2, "")
    [line] = result.stderr.splitlines()
    assert line.startswith("error: --threads: ")
    assert "512" in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prompt", "Is [AUDIO] like [AUDIO]?", "--audio", "a.wav"], ["--audio", "2 [AUDIO]", "1 clips"]),
        (["--prompt", "What is this?", "--audio", "a.wav"], ["0 [AUDIO]", "add [AUDIO]"]),
        (["--prompt", PROMPT], ["1 [AUDIO]", "0 clips", "give one clip"]),
        (["--prompt", PROMPT, "--audio", "a.wav", "--format", "prepended"], ["take [AUDIO] out"]),
        (["--prompt", PROMPT, "--audio", "a.wav", "--format", "sideways"], ["--format"]),
        (["--audio", "a.wav"], ["--prompt"]),
        (["--prompt", PROMPT, "--audio", "-", "-"], ["--audio", "once"]),
        (["--prompt", PROMPT, "--audio", "a.wav", "--temperature", "-1"], ["temperature"]),
        (["--prompt", PROMPT, "--audio", "a.wav", "--top-p", "1.5"], ["top_p"]),
        (["--prompt", PROMPT, "--audio", "a.wav", "--repeats", "0"], ["--repeats"]),
        (["--prompt", PROMPT, "--audio", "a.wav", "--repetitions", "3"], ["--repetitions"]),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_to_change(
    model_file: Path, arguments: list[str], words: list[str]
) -> None:
    result = ltu_run("--gguf", model_file, *arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


def test_debug_shows_where_an_error_came_from(recording: Path) -> None:
    result = ltu_run("--gguf", "absent.gguf", "--audio", recording, "--prompt", PROMPT, "--debug")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "ModelFileError" in result.stderr

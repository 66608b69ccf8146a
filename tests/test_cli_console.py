"""What all commands share, as a shell meets it: version, help, wrong usage, odd terminals."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import ltu
from tiny import tiny_gguf

COMMANDS = ["run", "convert", "train", "reformulate", "shard"]


def typed(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """`python -m ltu …`, the same as the installed commands."""
    given = {
        "capture_output": True,
        "text": True,
        "encoding": "utf-8",
        "stdin": subprocess.DEVNULL,
        "timeout": 120,
    }
    return subprocess.run([sys.executable, "-m", "ltu", *map(str, arguments)], **(given | options))  # type: ignore[call-overload,no-any-return]


@pytest.fixture(scope="module")
def question(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """Arguments that make `ltu-run` answer."""
    folder = tmp_path_factory.mktemp("question")
    model = tiny_gguf(folder / "tiny.gguf", outtype="f32")
    soundfile.write(folder / "noise.wav", np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
    asked = ["--audio", folder / "noise.wav", "--prompt", "Is [AUDIO] a bird?", "--max-new-tokens", 8]
    return ["run", "--gguf", model, *asked]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_version_and_help(command: str) -> None:
    version = typed(command, "--version")
    assert version.returncode == 0, version.stderr
    first, devices, kernels = version.stdout.splitlines()
    assert first == f"ltu-engine {ltu.__version__}"
    assert devices.startswith("devices: cpu")
    assert kernels.startswith("kernels: ")
    short, long = typed(command, "-h"), typed(command, "--help")
    assert short.returncode == 0
    assert short.stdout == long.stdout
    assert f"ltu-{command}" in short.stdout


def test_the_package_lists_its_commands() -> None:
    assert all(command in typed("--help").stdout for command in COMMANDS)
    assert typed("--version").stdout == typed("run", "--version").stdout
    unknown = typed("walk")
    assert unknown.returncode == 2
    assert "there is no command walk" in unknown.stderr


def test_shells_complete_options() -> None:
    asked = {"_LTU_RUN_COMPLETE": "complete_bash", "COMP_WORDS": "ltu-run --rep", "COMP_CWORD": "1"}
    done = typed("run", env=os.environ | asked)
    assert "--repeats" in done.stdout.split()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["run", "--repeats", 0, "--prompt", "x"], "error: --repeats: "),
        (["run", "--nothing"], "error: No such option: --nothing"),
        (["run", "--audio"], "error: Option '--audio' requires an argument"),
        (["run", "--prompt", "x", "--audio", ""], "error: --audio: is empty; give a value"),
        (["run", "--prompt", "x", "--gguf", ""], "error: --gguf: is empty; give a value"),
        (["run", "--prompt", "x", "--top-k", 10**11], "error: --top-k: "),
        (
            ["run", "--prompt", "x", "--kv-memory", "99999999999G"],
            "error: --kv-memory: '99999999999G' is no size",
        ),
        (["convert", "--gguf=", "--output", "x"], "error: --gguf: is empty; give a value"),
        (["convert", "inspect", ""], "error: an argument: is empty; give a value"),
        (["run", "--prompt", "x", "--threads", 4096], "error: --threads: "),
        (["run", "--prompt", "x", "--repeats", 10**9], "error: --repeats: "),
        (["run"], "error: --prompt: absent, and there is no terminal to ask on"),
        (["convert", "--outtype", "q9"], "error: --outtype: 'q9' is not one of"),
        (["convert"], "error: --base: give either --base, "),
        (["convert", "inspect"], "error: Missing argument 'FILE'; ltu-convert inspect --help shows"),
        (["train"], "error: Missing argument 'CONFIG'; ltu-train --help shows"),
        (["reformulate"], "error: Missing argument 'OPENAQA'; ltu-reformulate --help shows"),
        (["shard"], "error: Missing command; ltu-shard --help shows"),
        (["shard", "run"], "error: Missing option '--spec'; ltu-shard run --help shows"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_wrong_usage_is_one_line_and_2(arguments: list[object], line: str) -> None:
    done = typed(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    [said] = done.stderr.splitlines()
    assert said.startswith(line)


@pytest.mark.parametrize("text", ["[audio]", "<audio>", "[ AUDIO ]", "<|audio|>", "{AUDIO}"])
def test_near_misses_of_the_placeholder_are_named(text: str) -> None:
    done = typed("run", "--prompt", f"Is {text} a bird?", "--audio", "a.wav")
    assert done.returncode == 2
    assert done.stderr.rstrip().endswith(f"write [AUDIO] for {text}")


def test_numbers_in_json_are_as_they_were_written(question: list[object]) -> None:
    sampling = json.loads(typed(*question, "--json").stdout)["sampling"]
    assert sampling == {"temperature": 0.1, "top_k": 500, "top_p": 0.95, "repetition_penalty": 1.1}


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_terminals_that_are_not_utf8_get_other_characters(question: list[object], encoding: str) -> None:
    prompts = ["--prompt", "What is [AUDIO], 鳥 or 🐦?"]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    plain = typed(*question, *prompts, env=environment, encoding=encoding)
    assert plain.returncode == 0, plain.stderr
    assert "> What is [AUDIO], ? or ??" in plain.stdout
    document = typed(*question, *prompts, "--json", env=environment, encoding=encoding)
    assert json.loads(document.stdout) == json.loads(typed(*question, *prompts, "--json").stdout)


@pytest.mark.skipif(sys.platform == "win32", reason="closes streams as a shell does")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_end_quietly(question: list[object], closed: str) -> None:
    line = ["sh", "-c", f'exec "$0" -m ltu "$@" {closed}', sys.executable, *map(str, question)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert done.stderr == ""
    assert bool(done.stdout) == (">&-" not in closed.replace("2>&-", ""))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
def test_a_full_disk_is_one_line(question: list[object]) -> None:
    with open("/dev/full", "w") as full:
        done = typed(*question, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr == "error: output: No space left on device; free some space, or write elsewhere\n"


@pytest.mark.skipif(sys.platform == "win32", reason="passes bytes as arguments")
def test_a_prompt_that_is_not_unicode_is_one_line(question: list[object]) -> None:
    arguments = [os.fsencode(str(argument)) for argument in question]
    arguments[arguments.index(b"--prompt") + 1] = b"Is [AUDIO] gr\xfcn?"
    done = subprocess.run(
        [sys.executable, "-m", "ltu", *arguments], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "no Unicode character" in line
    assert "UTF-8" in line


def test_a_damaged_mp3_costs_no_line_of_its_decoder(question: list[object], tmp_path: Path) -> None:
    path = tmp_path / "damaged.mp3"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 48_000), 16_000)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 300] = bytes(300)
    path.write_bytes(content)
    arguments = [path if str(argument).endswith(".wav") else argument for argument in question]
    done = typed(*arguments)
    assert done.returncode == 0
    [line] = done.stderr.splitlines()  # libmpg123 adds notes of its own
    assert "is cut off or damaged" in line

"""ltu-run as a user meets it: what it prints where, on a pipe and on a terminal."""

import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import ltu
from ltu.cli.console import spread
from ltu.cli.usage import notes
from ltu.convert import gguf_file
from tiny import tiny_gguf

COMMAND = [sys.executable, "-c", "from ltu.cli.run import main; main()"]
PROMPT = "Is [AUDIO] a bird?"
TWO = "Compare [AUDIO] and [AUDIO]."


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("tiny") / "tiny.gguf", outtype="f32")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("audio")
    paths = [folder / "one.wav", folder / "two.flac"]
    for seed, path in enumerate(paths):
        soundfile.write(path, np.random.default_rng(seed).normal(0, 0.1, (44_100, 2)), 44_100)
    return paths


@pytest.fixture(scope="module")
def model(model_file: Path) -> ltu.Model:
    return ltu.load(model_file, device="cpu")


def run(*arguments: object, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, input=input, timeout=120)


def output(*arguments: object, input: bytes = b"") -> str:
    result = run(*arguments, input=input)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout.decode()


def test_prints_the_answer_and_nothing_else(
    model: ltu.Model, model_file: Path, recordings: list[Path]
) -> None:
    result = run("--gguf", model_file, "--audio", recordings[0], "--prompt", PROMPT, "--max-new-tokens", 12)
    [answer] = model.generate(PROMPT, recordings[0], max_new_tokens=12)
    assert result.stdout.decode() == answer.text + "\n"
    assert result.stderr == b""


def test_one_channel_is_heard(model_file: Path, recordings: list[Path], tmp_path: Path) -> None:
    samples, rate = soundfile.read(recordings[0])
    soundfile.write(tmp_path / "left.wav", samples[:, 0], rate)
    common = ["--gguf", model_file, "--prompt", PROMPT, "--max-new-tokens", 5, "--json"]
    [left], [alone] = (
        json.loads(output(*common, *audio))["clips"]
        for audio in (["--audio", recordings[0], "--channel", 1], ["--audio", tmp_path / "left.wav"])
    )
    assert left["hash"] == alone["hash"]
    result = run(*common, "--audio", recordings[0], "--channel", 3)
    assert result.returncode == 1
    assert b"has channels 1 to 2; it has no channel 3" in result.stderr


def test_json_holds_every_answer_with_its_ids(
    model: ltu.Model, model_file: Path, recordings: list[Path]
) -> None:
    prompts = [PROMPT, "What is [AUDIO]"]
    asked = [argument for prompt in prompts for argument in ("--prompt", prompt)]
    options = ["--repeats", 3, "--seed", 7, "--temperature", 0.9, "--top-k", 20, "--max-new-tokens", 6]
    text = output("--gguf", model_file, "--audio", recordings[0], *asked, *options, "--json")
    document = json.loads(text)
    assert document["clips"][0]["hash"] == ltu.load_audio(recordings[0]).hash
    sampling = document["sampling"]
    assert sampling["temperature"] == 0.9
    assert sampling["top_k"] == 20
    assert np.float32(sampling["top_p"]) == model.sampling.top_p  # not given: the file's
    expected = [
        (prompt, answer.repeat, answer.text, list(answer.token_ids), answer.logprob, answer.stop)
        for prompt in prompts
        for answer in model.generate(prompt, recordings[0], 3, 7, ltu.Sampling(**sampling), 6)
    ]
    keys = ("prompt", "repeat", "text", "token_ids", "logprob", "stop")
    assert [tuple(answer[key] for key in keys) for answer in document["answers"]] == expected


def test_several_clips_follow_one_option_or_several(model_file: Path, recordings: list[Path]) -> None:
    one, two = recordings
    common = ["--gguf", model_file, "--prompt", TWO, "--max-new-tokens", 8, "--temperature", 0, "--json"]
    together = json.loads(output(*common, "--audio", one, two))
    assert together == json.loads(output(*common, "--audio", one, "--audio", two))
    assert [clip["name"] for clip in together["clips"]] == [str(one), str(two)]


def test_standard_input_is_a_clip(model_file: Path, recordings: list[Path]) -> None:
    common = ["--gguf", model_file, "--prompt", PROMPT, "--max-new-tokens", 8]
    from_file = output(*common, "--audio", recordings[1])
    assert output(*common, "--audio", "-", input=recordings[1].read_bytes()) == from_file


def test_prepended_clips_need_no_placeholder(
    model: ltu.Model, model_file: Path, recordings: list[Path]
) -> None:
    prompt = "What can be heard?"
    options = ["--format", "prepended", "--max-new-tokens", 8]
    text = output("--gguf", model_file, "--audio", recordings[0], "--prompt", prompt, *options)
    [answer] = model.generate(prompt, recordings[0], max_new_tokens=8, format="prepended")
    assert text == answer.text + "\n"


def test_repeats_are_printed_with_their_numbers(model_file: Path, recordings: list[Path]) -> None:
    options = ["--repeats", 3, "--max-new-tokens", 1]
    text = output("--gguf", model_file, "--audio", recordings[0], "--prompt", PROMPT, *options)
    for number in (1, 2, 3):
        assert f"[{number}/3] " in text


@pytest.fixture(scope="module")
def yes_or_no(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that can say yes and no."""
    folder = tmp_path_factory.mktemp("words")
    return tiny_gguf(folder / "words.gguf", outtype="f32", words=("yes", "no", "Yes", "No"))


def exact_ones(file: Path, recording: Path, *options: object) -> dict[str, Any]:
    common = ["--gguf", file, "--audio", recording, "--prompt", PROMPT, "--max-new-tokens", 2]
    return dict(json.loads(output(*common, "--exact", "--term", "bird", *options, "--json")))


def test_exact_prints_probabilities(yes_or_no: Path, recordings: list[Path]) -> None:
    model = ltu.load(yes_or_no, device="cpu")
    wanted = model.answer_distribution(PROMPT, recordings[0], "bird", max_new_tokens=2, temperature=2.0)
    assert wanted.yes > 0
    document = exact_ones(yes_or_no, recordings[0], "--temperature", 2)
    assert (document["term"], document["decision_temperature"]) == ("bird", 1)
    found = document["answers"][0]["distribution"]
    names = ("yes", "no", "neither", "undecided")
    assert [found[name] for name in names] == pytest.approx([getattr(wanted, name) for name in names])
    common = ["--gguf", yes_or_no, "--audio", recordings[0], "--prompt", PROMPT, "--max-new-tokens", 2]
    line = output(*common, "--exact", "--term", "bird", "--temperature", 2)
    assert line == ", ".join(f"{name} {100 * getattr(wanted, name):.1f} %" for name in names) + "\n"


def test_exact_uses_the_files_decision_temperature(
    yes_or_no: Path, recordings: list[Path], tmp_path: Path
) -> None:
    made, calibrated = gguf_file.read(yes_or_no), tmp_path / "calibrated.gguf"
    keys = {**made.keys, "ltu.decision.temperature": 2.5}
    gguf_file.write(calibrated, keys, made.tensors)
    model = ltu.load(calibrated, device="cpu")
    wanted = model.answer_distribution(PROMPT, recordings[0], "bird", max_new_tokens=2, calibrated=True)
    document = exact_ones(calibrated, recordings[0])
    assert (document["sampling"]["temperature"], document["decision_temperature"]) == (1, 2.5)
    assert document["answers"][0]["distribution"]["yes"] == pytest.approx(wanted.yes)
    assert wanted.yes > 0
    as_sampled = exact_ones(calibrated, recordings[0], "--temperature", 2)
    assert as_sampled["decision_temperature"] == 1
    plain = model.answer_distribution(PROMPT, recordings[0], "bird", max_new_tokens=2, temperature=2.0)
    assert as_sampled["answers"][0]["distribution"]["yes"] == pytest.approx(plain.yes)


@pytest.mark.parametrize("options", [["--term", "bird"], ["--exact", "--repeats", "2"]])
def test_what_belongs_to_exact_answers_is_said(
    model_file: Path, recordings: list[Path], options: list[str]
) -> None:
    done = run("--gguf", model_file, "--audio", recordings[0], "--prompt", PROMPT, *options)
    assert done.returncode == 2
    assert b"--exact" in done.stderr


def test_verbose_adds_times_and_memory_on_standard_error(model_file: Path, recordings: list[Path]) -> None:
    common = ["--gguf", model_file, "--audio", recordings[0], "--prompt", PROMPT, "--max-new-tokens", 5]
    result = run(*common, "--verbose")
    assert result.stdout.decode() == output(*common)
    for word in ("load", "encode", "prefill", "decode", "tokens/s", "peak memory", "kernels"):
        assert word in result.stderr.decode()


def test_verbose_names_what_is_not_as_the_file_or_the_device_would_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTU_KERNELS", "ggml")
    path = tiny_gguf(tmp_path / "b.gguf", outtype="bf16")
    with ltu.load(path, device="cpu") as model:
        told = model.description()
    stored = [tensor.type for tensor in gguf_file.read(path).tensors.values()]
    matrices = stored.count("bf16") - 1  # the table of tokens stays in the file
    assert notes(told) == [
        "an answer's last bits depend on those beside it (--batch-invariant)",
        f"matrices that the device holds in another type: {matrices} bf16 as f16",
    ]
    left = notes(told | {"converted": {}, "left_to_cpu": {"SOFT_MAX", "ROPE"}, "graph_parts": 5})
    assert left[1:] == ["operations that the device leaves to the CPU: ROPE, SOFT_MAX (5 parts of a graph)"]


def test_a_cut_clip_costs_one_warning(model_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 12 * 16_000), 16_000)
    result = run("--gguf", model_file, "--audio", path, "--prompt", PROMPT, "--max-new-tokens", 2)
    [line] = result.stderr.decode().splitlines()
    assert line.startswith("warning: ")
    assert "12.0 s" in line


def test_a_reader_that_leaves_costs_no_traceback(model_file: Path, recordings: list[Path]) -> None:
    arguments = ["--gguf", model_file, "--audio", recordings[0], "--prompt", PROMPT]
    command = [*COMMAND, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.wait(120) == 1
    assert process.stderr.read() == b""
    process.stderr.close()


def test_options_with_several_values_are_spread() -> None:
    assert spread(["--audio", "a", "b", "--prompt", "c d", "--audio", "-", "e"], "--audio") == [
        *("--audio", "a", "--audio", "b", "--prompt", "c d", "--audio", "-", "--audio", "e")
    ]


@pytest.mark.parametrize("example", ["ask.py", "folder.py", "logits.py"])
def test_examples_run(model_file: Path, recordings: list[Path], example: str) -> None:
    given = {
        "ask.py": [recordings[0], PROMPT, model_file],
        "folder.py": [recordings[0].parent, model_file],
        "logits.py": [recordings[0], model_file],
    }[example]
    path = Path(__file__).parent.parent / "examples" / example
    result = subprocess.run([sys.executable, path, *given], capture_output=True, timeout=120)
    assert result.returncode == 0, result.stderr.decode()
    assert len(result.stdout.splitlines()) >= 2


class Terminal:
    """A process on a terminal of its own."""

    def __init__(self, process: subprocess.Popen[bytes], screen: int) -> None:
        self.process, self._screen, self.seen = process, screen, ""

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Reads the screen until it shows `text` after what was waited for before."""
        end = time.monotonic() + seconds
        new = io.StringIO()
        while text not in new.getvalue():
            assert time.monotonic() < end, f"{text!r} did not come; seen: {self.seen}{new.getvalue()}"
            if select.select([self._screen], [], [], 0.2)[0]:
                new.write(os.read(self._screen, 65_536).decode(errors="replace"))
        self.seen += new.getvalue()

    def wait_for_end(self, seconds: float = 60) -> None:
        """Reads on, so that the process is never kept waiting by a full screen."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < end, f"still running; seen: {self.seen[-2000:]}"
            if select.select([self._screen], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self._screen, 65_536).decode(errors="replace")
                except OSError:  # the other end is closed
                    break
        self.process.wait(seconds)

    def type(self, text: str) -> None:
        os.write(self._screen, text.encode())


@contextmanager
def terminal(*arguments: object) -> Iterator[Terminal]:
    screen, its_end = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=its_end,
        stdout=its_end,
        stderr=its_end,
        start_new_session=True,
        env=os.environ | {"TERM": "dumb"},
    )
    os.close(its_end)
    try:
        yield Terminal(process, screen)
    finally:
        process.kill()
        process.wait()
        os.close(screen)


def test_conversation_keeps_the_clip_and_survives_a_wrong_prompt(
    model: ltu.Model, model_file: Path, recordings: list[Path]
) -> None:
    options: dict[str, Any] = {"max_new_tokens": 8}
    with terminal("--gguf", model_file, "--audio", recordings[0], "--max-new-tokens", 8) as session:
        session.wait_for("> ")
        for prompt in (PROMPT, "What is [AUDIO]"):
            session.type(prompt + "\n")
            session.wait_for("\r\n> ")
            [answer] = model.generate(prompt, recordings[0], **options)
            assert answer.text.split()[0] in session.seen
        session.type("What is it?\n")
        session.wait_for("add [AUDIO]")
        session.type("\x04")
        session.wait_for_end()
        assert session.process.returncode == 0


def test_a_terminal_is_asked_for_the_clip_that_a_prompt_lacks(
    model_file: Path, recordings: list[Path]
) -> None:
    with terminal("--gguf", model_file, "--prompt", TWO, "--max-new-tokens", 2) as session:
        for path in recordings:
            session.wait_for("of 2: ")
            session.type(f"{path}\n")
        session.wait_for_end()
        assert session.process.returncode == 0


def test_ctrl_c_ends_with_130_and_no_traceback(model_file: Path, recordings: list[Path]) -> None:
    with terminal("--gguf", model_file, "--audio", recordings[0]) as session:
        session.wait_for("> ")
        session.process.send_signal(signal.SIGINT)
        session.wait_for_end()
        assert session.process.returncode == 130
        assert "Traceback" not in session.seen


def test_ctrl_c_in_the_middle_of_answers_ends_with_130(model_file: Path, recordings: list[Path]) -> None:
    options = ["--audio", recordings[0], "--prompt", PROMPT, "--repeats", 5000, "--max-new-tokens", 300]
    with terminal("--gguf", model_file, *options) as session:
        session.wait_for("/5000]")
        session.process.send_signal(signal.SIGINT)
        session.wait_for_end()
        assert session.process.returncode == 130
        assert "Traceback" not in session.seen

"""A recording longer than ten seconds as windows: nothing lost, each asked as it would be alone."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

import ltu
from ltu.audio import CLIP_SAMPLES, load_windows
from ltu.cli.run import app
from ltu.cli.windows import Window, summary
from ltu.query import Answer
from tiny import tiny_gguf

PROMPT = "Is [AUDIO] a bird?"


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audio") / "long.wav"
    noise = (
        np.random.default_rng(0).normal(0, 0.1, int(25.3 * 16_000))
        * np.repeat([1, 0.1, 3], 134_934)[:404_800]
    )
    soundfile.write(path, noise, 16_000)
    return path


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


def test_windows_hold_every_sample(long: Path) -> None:
    samples, _ = soundfile.read(long, dtype="float32")
    windows = load_windows(long)
    assert [round(clip.start, 3) for clip in windows] == [0, 10, 15.3]
    for clip in windows:
        assert clip.name.endswith(f"long.wav {clip.start:.1f}–{clip.start + 10:.1f} s")
        assert np.array_equal(clip.waveform, samples[round(clip.start * 16_000) :][:160_000])


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_every_format_is_read_to_its_end(tmp_path: Path, rate: int, suffix: str) -> None:
    path = tmp_path / f"long.{suffix}"
    soundfile.write(path, np.sin(np.arange(12 * rate) / 20) / 2, rate)
    windows = load_windows(path)
    assert [round(clip.start, 1) for clip in windows] == [0, 2]
    assert np.abs(windows[-1].waveform[-8000:]).max() > 0.3


def test_what_fits_a_clip_is_the_clip(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, CLIP_SAMPLES).astype(np.float32)
    for samples in (noise, noise[:8000]):
        [clip] = load_windows(samples)
        assert clip.hash == ltu.load_audio(samples).hash


def test_what_lies_beyond_an_hour_costs_a_line() -> None:
    with pytest.warns(UserWarning, match="is 3700 s long; only the first hour is heard"):
        windows = load_windows((np.random.default_rng(2).normal(0, 0.1, 3_700_000).astype(np.float32), 1000))
    assert len(windows) == 360


def test_each_window_is_answered_as_it_would_be_alone(long: Path, model_file: Path) -> None:
    asked = ["--gguf", str(model_file), "--audio", str(long), "--prompt", PROMPT, "--windows"]
    result = CliRunner().invoke(app, [*asked, "--json", "--repeats", "2", "--threads", "1"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.output)
    model = ltu.load(model_file, device="cpu", threads=1)
    alone = [a.text for clip in load_windows(long) for a in model.generate(PROMPT, clip, repeats=2, seed=0)]
    assert [answer["text"] for answer in document["answers"]] == alone
    assert [answer["window"][0] for answer in document["answers"]] == [0, 0, 10, 10, 15.3, 15.3]
    assert sum(said["answers"] for said in document["summary"]) == 6
    lines = CliRunner().invoke(app, [*asked, "--threads", "1"]).output.splitlines()
    assert [line.partition("  ")[0].strip() for line in lines[:3]] == [
        "0.0–10.0 s",
        "10.0–20.0 s",
        "15.3–25.3 s",
    ]


def test_windows_that_touch_are_one_span() -> None:
    def window(start: float, text: str) -> Window:
        clip = ltu.Clip(np.zeros(160_000, np.float32), "x", start)
        return Window(clip, Answer(text, (), 0.0, "stop", 0))

    texts = {0: "Yes, it is.", 10: "Yes.", 20: "No, it is not.", 30: "Rain", 35: "Yes"}
    assert summary([window(start, text) for start, text in texts.items()]) == [
        ("yes", 3, [(0, 20), (35, 45)]),
        ("no", 1, [(20, 30)]),
        ("Rain", 1, [(30, 40)]),
    ]


@pytest.mark.parametrize("audio", [[], ["--audio", "{long}", "--audio", "{long}"]])
def test_windows_of_no_or_two_recordings_are_refused(audio: list[str], long: Path) -> None:
    prompt = "Is it a bird?"
    files = [part.format(long=long) for part in audio]
    how = ["--windows", "--format", "prepended", "--prompt", prompt]
    result = CliRunner().invoke(app, [*files, *how])
    assert result.exit_code == 2
    assert "--windows: goes with one recording and with --prompt" in " ".join(result.output.split())

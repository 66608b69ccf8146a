"""The front end against the original LTU code's features, and what it refuses."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ltu.audio import CLIP_SAMPLES, SAMPLE_RATE, Clip, features, load_audio, log_mel
from ltu.errors import AudioError

GOLDEN = Path(__file__).parent / "golden"
MAX_ABS, RMS_REL = 2e-3, 2e-5  # golden/README.md, "Tolerances"


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "golden.npz") as arrays:
        return {name: arrays[name] for name in arrays.files if name.endswith(("_wave", "_fbank"))}


def tone(seconds: float, rate: int = SAMPLE_RATE, hertz: float = 440.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def wav(samples: np.ndarray, rate: int, format: str = "WAV", subtype: str | None = None) -> io.BytesIO:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format, subtype=subtype)
    file.seek(0)
    return file


@pytest.mark.parametrize(
    "clip", json.loads((GOLDEN / "golden.json").read_text())["clips"], ids=lambda c: c["name"]
)
def test_features_equal_the_original_ltu_code(golden: dict[str, np.ndarray], clip: dict[str, int]) -> None:
    expected = golden[f"clip{clip['index']}_fbank"]
    waveform = golden[f"clip{clip['index']}_wave"]
    for actual in (features(waveform), Clip(waveform, "golden").features()):
        assert actual.dtype == np.float32
        assert np.abs(actual - expected).max() <= MAX_ABS
        assert np.sqrt(np.mean((actual - expected) ** 2) / np.mean(expected**2)) <= RMS_REL
    assert len(log_mel(waveform)) == clip["n_frames"]


def test_padding_comes_before_the_normalisation() -> None:
    assert features(tone(1.0))[98:] == pytest.approx(1.13291, abs=1e-5)
    assert features(np.zeros(CLIP_SAMPLES, np.float32)) == pytest.approx(-2.4218, abs=1e-4)


@pytest.mark.parametrize(
    ("format", "subtype"), [("WAV", "FLOAT"), ("WAV", "PCM_24"), ("FLAC", None), ("OGG", None), ("MP3", None)]
)
def test_every_container_gives_the_same_sound(format: str, subtype: str | None) -> None:
    clip = load_audio(wav(tone(2.0, 44_100), 44_100, format, subtype))
    middle = slice(8_000, 24_000)
    assert clip.seconds == pytest.approx(2.0, abs=0.1)
    spectrum = np.abs(np.fft.rfft(clip.waveform[middle]))
    assert np.argmax(spectrum) == 440
    assert clip.waveform[middle].std() == pytest.approx(0.3 / np.sqrt(2), rel=0.02)


def test_path_file_object_and_array_are_one_clip(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(1.0), SAMPLE_RATE, subtype="FLOAT")
    with path.open("rb") as file:
        clips = [load_audio(path), load_audio(str(path)), load_audio(file), load_audio(tone(1.0))]
    assert len({clip.hash for clip in clips}) == 1
    assert clips[0].name == str(path)


def test_channels_are_averaged_and_integers_scaled() -> None:
    stereo = np.stack([tone(1.0), np.zeros(SAMPLE_RATE, np.float32)], axis=1)
    np.testing.assert_allclose(load_audio(stereo).waveform, tone(1.0) / 2, atol=1e-7)
    integers = np.round(tone(1.0) * 32768).astype(np.int16)
    np.testing.assert_array_equal(load_audio(integers).waveform, integers / np.float32(32768))


def test_resampling_keeps_the_length_and_the_tone() -> None:
    for rate in (8_000, 22_050, 48_000, 192_000):
        clip = load_audio(tone(1.0, rate), rate)
        assert len(clip.waveform) == pytest.approx(SAMPLE_RATE, abs=1)
        np.testing.assert_allclose(
            clip.waveform[2000:-2000], tone(1.0)[2000 : len(clip.waveform) - 2000], atol=2e-3
        )


def test_a_long_clip_is_cut_with_a_warning_and_keeps_its_features() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 12 * SAMPLE_RATE).astype(np.float32)
    with pytest.warns(UserWarning, match=r"12\.0 s long; only the first 10 s"):
        clip = load_audio(noise)
    assert len(clip.waveform) == CLIP_SAMPLES
    np.testing.assert_array_equal(clip.features(), features(noise))
    assert clip.hash == Clip(noise, "whole").hash


@pytest.mark.filterwarnings("error")
def test_ten_seconds_are_heard_whole_without_a_warning() -> None:
    assert load_audio(tone(10.0, 44_100), 44_100).seconds == 10.0


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(0, np.float32), "holds no samples"),
        (np.zeros((0, 2), np.float32), "holds no samples"),
        (np.zeros((1000, 0), np.float32), "holds no samples"),
        (np.zeros(399, np.float32), "25 ms are needed"),
        (np.full(1000, np.nan, np.float32), "NaN or infinite"),
        (np.full(1000, np.inf, np.float32), "NaN or infinite"),
        (np.zeros(1000, np.complex64), "not audio"),
    ],
)
def test_an_array_that_is_no_sound_is_one_clear_line(samples: np.ndarray, message: str) -> None:
    with pytest.raises(AudioError, match=message) as caught:
        load_audio(samples)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_sound_is_one_clear_line(tmp_path: Path) -> None:
    cases = {
        "missing.wav": (None, "no such file"),
        "empty.wav": (b"", "empty"),
        "text.wav": (b"hello" * 99, "not audio"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(AudioError, match=message) as caught:
            load_audio(path)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(AudioError, match="not a file"):
        load_audio(tmp_path)
    with pytest.raises(AudioError, match="holds no samples"):
        load_audio(wav(np.zeros(0, np.float32), SAMPLE_RATE))
    with pytest.raises(AudioError, match="NaN or infinite"):
        load_audio(wav(np.full(1000, np.nan, np.float32), SAMPLE_RATE, subtype="FLOAT"))
    with pytest.raises(AudioError, match="not audio"):
        load_audio(io.BytesIO(b""))

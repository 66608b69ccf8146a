"""The front end against the original LTU code's features, and what it refuses."""

import io
import json
import os
import shutil
import struct
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ltu.audio import CLIP_SAMPLES, SAMPLE_RATE, Clip, features, load_audio, log_mel
from ltu.audio.quiet import without_notes
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


NOT_WRITTEN = {  # libsndfile lists them, and can't
    ("WAV", "MPEG_LAYER_III"),
    ("AIFF", "DWVW_12"),
    ("MP3", "MPEG_LAYER_I"),
    ("MP3", "MPEG_LAYER_II"),
}
WRITTEN = [
    (format, subtype)
    for format in ("WAV", "WAVEX", "RF64", "W64", "AIFF", "CAF", "AU", "FLAC", "OGG", "MP3")
    for subtype in soundfile.available_subtypes(format)
    if (format, subtype) not in NOT_WRITTEN
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("format", "subtype"), WRITTEN, ids=lambda name: name)
def test_whatever_libsndfile_writes_is_heard_without_a_note(format: str, subtype: str) -> None:
    rate = 48_000 if subtype == "OPUS" else 32_000
    clip = load_audio(wav(tone(1.0, rate), rate, format, subtype))
    assert clip.seconds == pytest.approx(1.0, abs=0.1)
    middle = clip.waveform[4_000:12_000]
    assert np.argmax(np.abs(np.fft.rfft(middle))) == 220
    assert middle.std() == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


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


def heard(audio: Any, sample_rate: float | None = None) -> tuple[Clip, list[str]]:
    """A clip and the warnings that it cost."""
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        clip = load_audio(audio, sample_rate)
    return clip, [str(note.message) for note in notes]


def stereo(seconds: float, rate: int = SAMPLE_RATE) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 0.1, (int(seconds * rate), 2))
    return noise.astype(np.float32)


def encoded(format: str, subtype: str | None = None, rate: int = 44_100, seconds: float = 3.0) -> bytes:
    return wav(stereo(seconds, rate), rate, format, subtype).getvalue()


class Decoder:
    """What `datasets` gives for a sound since its version 4."""

    def get_all_samples(self) -> Any:
        samples = type("AudioSamples", (), {})()
        samples.data, samples.sample_rate = stereo(1.0).T, SAMPLE_RATE
        return samples


@pytest.mark.parametrize(
    "audio",
    [
        stereo(1.0).T,
        (stereo(1.0), SAMPLE_RATE),
        (float(SAMPLE_RATE), stereo(1.0)),
        {"array": stereo(1.0), "sampling_rate": SAMPLE_RATE, "path": None},
        {"array": stereo(1.0).tolist(), "sampling_rate": float(SAMPLE_RATE)},
        {"bytes": wav(stereo(1.0), SAMPLE_RATE, subtype="FLOAT").getvalue(), "path": "a.wav"},
        wav(stereo(1.0), SAMPLE_RATE, subtype="FLOAT").getvalue(),
        bytearray(wav(stereo(1.0), SAMPLE_RATE, subtype="FLOAT").getvalue()),
        np.ma.masked_array(stereo(1.0)),
        stereo(1.0).astype(np.float64),
        Decoder(),
    ],
    ids=lambda audio: type(audio).__name__,
)
def test_every_way_to_hand_over_a_sound_gives_the_same_clip(audio: Any) -> None:
    clip, notes = heard(audio)
    assert clip.hash == load_audio(stereo(1.0)).hash
    assert not notes


def test_tensors_are_arrays() -> None:
    torch = pytest.importorskip("torch")
    assert load_audio(torch.from_numpy(stereo(1.0).T)).hash == load_audio(stereo(1.0)).hash
    expected = load_audio(stereo(1.0))
    assert load_audio(torch.from_numpy(stereo(1.0)).requires_grad_()).hash == expected.hash
    assert load_audio((torch.from_numpy(stereo(1.0)), torch.tensor(SAMPLE_RATE))).hash == expected.hash
    coarse = load_audio(torch.from_numpy(stereo(1.0)).bfloat16())
    np.testing.assert_allclose(coarse.waveform, expected.waveform, atol=2e-3)


@pytest.mark.parametrize("audio", [1, True, None, 0.5, object(), (1, 2), ("a", "b"), {"raw": [0.0]}, []])
def test_what_is_no_sound_is_refused_by_its_type(audio: Any) -> None:
    open_files = os.listdir("/proc/self/fd") if sys.platform == "linux" else []
    with pytest.raises(AudioError, match=r"is no recording|holds no samples") as caught:
        load_audio(audio)
    assert " at 0x" not in str(caught.value)
    assert len(str(caught.value)) < 200
    if sys.platform == "linux":
        assert os.listdir("/proc/self/fd") == open_files


@pytest.mark.parametrize("rate", [0, 1, -16_000, True, float("nan"), float("inf"), "16000", 2**31 - 1])
def test_rates_that_no_recording_has_are_refused(rate: Any) -> None:
    with pytest.raises(AudioError, match=r"sample rate of .* is not possible"):
        load_audio(stereo(1.0), rate)
    if isinstance(rate, int) and 0 < rate < 2**31:  # in a file's header
        file = bytearray(encoded("WAV"))
        struct.pack_into("<I", file, file.index(b"fmt ") + 12, int(rate))
        with pytest.raises(AudioError, match=r"sample rate of .* is not possible"):
            load_audio(bytes(file))


def test_rates_may_be_floats() -> None:
    assert load_audio(stereo(1.0, 44_100), 44_100.0).hash == load_audio(stereo(1.0, 44_100), 44_100).hash
    assert load_audio(stereo(1.0, 22_050), np.float32(22_050.5)).seconds == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.round(tone(1.0) * 32768).astype(np.int64), "int64 have no full scale"),
        (np.round(tone(1.0) * 32768), "divide 16-bit samples by 32768"),
        (np.round(tone(1.0) * 20), r"up to 6, .*divide 16-bit samples by 32768"),
        (np.full(1000, 1e30), r"up to 1e\+30"),
        (np.full(1000, 1e300), "NaN or infinite"),
        (np.ma.masked_less(tone(1.0), 0), "masked"),
        (np.zeros((1, 1, 1000)), r"shape \(1, 1, 1000\)"),
        (np.zeros((1024, 128)), r"shape \(1024, 128\)"),
        (tone(399 / SAMPLE_RATE), r"24\.9 ms long"),
        ([[0.0, 0.1], [0.2]], "no array of samples"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_samples_that_mean_something_else_are_named(samples: Any, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        load_audio(samples)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(SAMPLE_RATE), "is silent: every sample that is heard is 0"),
        (np.full(SAMPLE_RATE, 0.25), "is silent: every sample that is heard is 0.25"),
        (np.round(tone(1.0) * 32768).astype(np.int32), "nearly silent"),
    ],
)
def test_what_cannot_be_heard_is_said(samples: np.ndarray, message: str) -> None:
    _, [note] = heard(samples)
    assert message in note


def test_of_channels_that_cancel_one_is_heard() -> None:
    clip, [note] = heard(np.stack([tone(1.0), -tone(1.0)], axis=1))
    assert "channels cancel, so channel 1 is heard alone" in note
    np.testing.assert_array_equal(clip.waveform, tone(1.0))


@pytest.mark.filterwarnings("error")
def test_one_channel_can_be_heard_alone() -> None:
    left, right = tone(1.0), tone(1.0, hertz=880.0)
    both = np.stack([left, -left, right], axis=1)
    np.testing.assert_array_equal(load_audio(both, channel=1).waveform, left)
    file = wav(both, SAMPLE_RATE, subtype="FLOAT")
    np.testing.assert_array_equal(load_audio(file, channel=3).waveform, right)
    np.testing.assert_array_equal(load_audio(left, channel=1).waveform, left)
    for channel in (0, 4):
        with pytest.raises(AudioError, match=rf"channels 1 to 3; it has no channel {channel}"):
            load_audio(both, channel=channel)


@pytest.mark.parametrize(
    ("format", "subtype"),
    [
        *((format, None) for format in ("WAV", "WAVEX", "RF64", "W64", "AIFF", "CAF", "AU", "FLAC", "OGG")),
        ("OGG", "OPUS"),
        ("MP3", None),
    ],
)
def test_half_a_file_is_heard_with_one_note(format: str, subtype: str | None) -> None:
    whole = encoded(format, subtype, rate=48_000)
    clip, notes = heard(whole)
    assert not notes
    half, [note] = heard(whole[: len(whole) // 2])
    assert "is cut off or damaged; only" in note
    assert 0.25 < half.seconds / clip.seconds < 0.6
    same = len(half.waveform) - 2000
    np.testing.assert_allclose(half.waveform[:same], clip.waveform[:same], atol=2e-4)


def test_a_damaged_flac_is_heard_up_to_the_damage() -> None:
    whole = bytearray(encoded("FLAC"))
    middle = len(whole) // 2
    whole[middle : middle + 300] = bytes(300)
    clip, [note] = heard(bytes(whole))
    assert "cut off or damaged" in note
    assert 1.2 < clip.seconds < 1.6


def test_a_file_whose_cut_lies_behind_what_is_heard_costs_no_second_note() -> None:
    whole = encoded("WAV", seconds=30.0)
    clip, [note] = heard(whole[: len(whole) // 2])
    assert "only the first 10 s" in note
    assert clip.hash == heard(whole)[0].hash


@pytest.mark.parametrize("sizes", [(0, 0), (36, 0), (None, 0)])
def test_a_wav_that_was_never_closed_is_heard(sizes: tuple[int | None, int]) -> None:
    whole = encoded("WAV")
    header = bytearray(whole)
    struct.pack_into("<I", header, header.index(b"data") + 4, sizes[1])
    if sizes[0] is not None:
        struct.pack_into("<I", header, 4, sizes[0])
    clip, [note] = heard(bytes(header))
    assert "never closed" in note
    assert clip.hash == load_audio(whole).hash


@pytest.mark.parametrize(
    ("format", "mark", "place", "field"), [("RF64", b"ds64", 8, "24x"), ("AU", b".snd", 8, "4x")]
)
def test_other_files_that_were_never_closed_are_heard(
    format: str, mark: bytes, place: int, field: str
) -> None:
    whole = encoded(format)
    header = bytearray(whole)
    struct.pack_into(field, header, header.index(mark) + place)
    clip, [note] = heard(bytes(header))
    assert "never closed" in note
    assert clip.hash == load_audio(whole).hash


@pytest.mark.filterwarnings("error")
def test_files_that_do_not_say_how_long_they_are_are_whole() -> None:
    flac, caf = bytearray(encoded("FLAC")), bytearray(encoded("CAF"))
    flac[21] &= 0xF0  # STREAMINFO's total of samples, 36 bits: 0 is unknown
    flac[22:26] = bytes(4)
    struct.pack_into(">q", caf, caf.index(b"data") + 4, -1)
    assert load_audio(bytes(flac)).hash == load_audio(encoded("FLAC")).hash
    assert load_audio(bytes(caf)).hash == load_audio(encoded("CAF")).hash


@pytest.mark.parametrize("size", [0xFFFF_FFFF, 0x7FFF_FFFF - 36])
def test_a_wav_from_a_pipe_is_whole(size: int) -> None:
    whole = encoded("WAV")
    header = bytearray(whole)
    struct.pack_into("<I", header, header.index(b"data") + 4, size)
    clip, notes = heard(bytes(header))
    assert clip.hash == load_audio(whole).hash
    assert not notes


def test_chained_ogg_is_heard_to_its_end() -> None:
    one, other = encoded("OGG"), encoded("OGG", rate=48_000)
    clip, notes = heard(one + one)
    assert not notes
    assert clip.seconds == pytest.approx(6.0, abs=0.01)
    np.testing.assert_allclose(clip.waveform[:40_000], load_audio(one).waveform[:40_000], atol=1e-5)
    _, [note] = heard(one + one[: len(one) // 2])
    assert "cut off" in note
    clip, [note] = heard(one + other)
    assert "changes its format" in note
    assert clip.seconds == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"<!DOCTYPE html>\n<html>404</html>", "is a web page, not audio"),
        (b"\xef\xbb\xbf  <HTML><body>", "is a web page, not audio"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "is a Git LFS pointer"),
        (b"<head><title>404</title>", "is a web page, not audio"),
        (b'{"error": "not found"}\n', r"is text, not audio \(it begins '\{\"error\": \"not found\"\}'\)"),
        (b"PK\x03\x04", "is a zip archive"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\x0d", "is a picture"),
        (b"MThd\0\0\0\6", "is a MIDI file"),
        (bytes(70_000), "not audio that can be read"),
        (b"\0\0\0\x20ftypM4A ", "is an MP4 or M4A file"),
        (b"\x1a\x45\xdf\xa3", "is a WebM or Matroska file"),
    ],
)
def test_files_that_are_no_readable_audio_are_named(tmp_path: Path, start: bytes, message: str) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(start + b"." * 2000)
    with pytest.raises(AudioError, match=message) as caught:
        load_audio(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("start", "container"),
    [
        (b"\0\0\0\x20ftypM4A ", "an MP4 or M4A file"),
        (b"\x1a\x45\xdf\xa3", "a WebM or Matroska file"),
        (b"#!AMR\n", "an AMR file"),
    ],
)
def test_other_containers_say_what_converts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: bytes, container: str
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)  # as if it were not installed
    path = tmp_path / "my song.m4a"
    path.write_bytes(start + b"." * 2000)
    with pytest.raises(AudioError, match=rf"is {container}; convert it: ffmpeg -i '.*my song.m4a' recording"):
        load_audio(path)


def with_ffmpeg(output: Path, *options: str) -> Path:
    if not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg is not installed")
    source = output.with_suffix(".source.wav")
    soundfile.write(source, stereo(3.0, 48_000), 48_000)
    subprocess.run(["ffmpeg", "-v", "error", "-i", source, *options, output], check=True, timeout=60)
    return output


def ffmpeg_samples(path: Path) -> np.ndarray:
    """What ffmpeg hears: float32[n, 2] at 48 kHz."""
    command = ["ffmpeg", "-v", "error", "-i", path, "-f", "f32le", "-ar", "48000", "-ac", "2", "-"]
    raw = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    return np.frombuffer(raw, "<f4").reshape(-1, 2)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.m4a", ()),
        ("alac.m4a", ("-c:a", "alac")),
        ("a.webm", ()),
        ("a.mka", ()),
        ("a.aac", ()),
        ("a.oga", ("-c:a", "flac")),
        ("a.mp3", ()),
        ("a.opus", ()),
        ("adpcm.wav", ("-c:a", "adpcm_ima_wav")),
        ("a.caf", ()),
        ("alac.caf", ("-c:a", "alac")),
        ("a.w64", ()),
    ],
)
def test_what_is_heard_is_what_ffmpeg_hears(tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    pytest.importorskip("av")
    path = with_ffmpeg(tmp_path / name, *options)
    clip, notes = heard(path)
    expected = load_audio(ffmpeg_samples(path), 48_000)
    assert not notes
    assert clip.seconds == pytest.approx(expected.seconds, abs=0.03)
    common = min(len(clip.waveform), len(expected.waveform)) - 500
    np.testing.assert_allclose(clip.waveform[500:common], expected.waveform[500:common], atol=5e-3)


@pytest.mark.parametrize("name", ["a.webm", "a.mka", "a.aac", "flac.oga", "a.tta"])
def test_half_of_what_only_ffmpeg_reads_is_heard_with_one_note(tmp_path: Path, name: str) -> None:
    pytest.importorskip("av")
    whole = with_ffmpeg(tmp_path / name, *(("-c:a", "flac") if name == "flac.oga" else ())).read_bytes()
    half, [note] = heard(whole[: len(whole) // 2])
    assert "is cut off or damaged; only" in note
    assert 0.8 < half.seconds < 1.8


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("content", [encoded("WAV"), encoded("OGG")], ids=["WAV", "Ogg"])
def test_a_pipe_is_heard(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(content,))
    writer.start()
    clip = load_audio(path)
    writer.join()
    assert clip.hash == load_audio(content).hash


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_file_names_of_other_encodings_are_read(tmp_path: Path) -> None:
    path = os.fsdecode(bytes(tmp_path) + b"/gr\xfcn.wav")
    Path(path).write_bytes(encoded("WAV"))
    assert load_audio(path).hash == load_audio(encoded("WAV")).hash


def test_a_vbr_mp3_that_does_not_count_its_frames_is_heard_to_its_end() -> None:
    """libmpg123 guesses its length by the first frame: one of noise is longer than those of silence."""
    noise = np.random.default_rng(0).normal(0, 0.1, 6 * SAMPLE_RATE)
    noise[SAMPLE_RATE:] *= 1e-3
    counted = wav(noise, SAMPLE_RATE, "MP3").getvalue()
    first = counted.index(b"\xff\xf3", 4)
    assert b"Xing" in counted[:first] or b"Info" in counted[:first]
    guess = soundfile.SoundFile(io.BytesIO(counted[first:])).frames
    assert guess < 5 * SAMPLE_RATE
    clip, notes = heard(counted[first:])
    assert 6 <= clip.seconds < 6.2
    assert notes == []
    assert np.sqrt((clip.waveform[:SAMPLE_RATE] ** 2).mean()) == pytest.approx(0.1, rel=0.1)


def damaged_mp3() -> bytes:
    file = bytearray(wav(np.random.default_rng(0).normal(0, 0.1, 3 * SAMPLE_RATE), SAMPLE_RATE, "MP3").read())
    random = np.random.default_rng(1)
    for place in random.integers(400, len(file), 300):
        file[place] = random.integers(256)
    return bytes(file)


def test_a_damaged_mp3_is_heard_and_libmpg123_says_nothing_of_its_own(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with soundfile.SoundFile(io.BytesIO(damaged_mp3())) as file:
        peak = np.abs(file.read()).max()
    assert peak > 100
    assert "Note: " in capfd.readouterr().err
    with without_notes():
        os.write(2, b"of somebody else\n")
        threads = [threading.Thread(target=heard, args=(damaged_mp3(),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    clip, notes = heard(damaged_mp3())
    assert capfd.readouterr().err == "of somebody else\n"
    assert np.abs(clip.waveform).max() <= 1
    assert any("is damaged: samples up to" in note for note in notes)


@pytest.mark.parametrize(
    "audio",
    [
        (tone(1.0), np.array(SAMPLE_RATE)),
        {"bytes": bytearray(wav(tone(1.0), SAMPLE_RATE).getvalue()), "path": None},
    ],
)
def test_rates_without_a_dimension_and_bytes_of_other_types_are_taken(audio: Any) -> None:
    assert load_audio(audio).seconds == 1


def at_its_end(path: Path) -> Any:
    file = path.open("rb")
    file.read()
    return file


def behind_the_header(path: Path) -> Any:
    file = path.open("rb")
    file.read(100)
    return file


def for_writing(path: Path) -> Any:
    return path.with_name("b.wav").open("wb")


def closed(path: Path) -> Any:
    with path.open("rb") as file:
        return file


def as_text(path: Path) -> Any:
    return path.open(errors="replace")


@pytest.mark.parametrize(
    ("opened", "message"),
    [
        (at_its_end, r"is at its end; go back with seek\(0\)"),
        (behind_the_header, r"holds no recording from byte 100 on; go back with seek\(0\)"),
        (closed, "closed file"),
        (as_text, 'mode "rb"'),
        (for_writing, 'is not open for reading; open it with mode "rb"'),
    ],
)
def test_open_files_that_give_nothing_are_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], opened: Callable[[Path], Any], message: str
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(encoded("WAV"))
    file = opened(path)
    with pytest.raises(AudioError, match=message):
        load_audio(file)
    file.close()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "path of the recording is empty"),
        ("x" * 300, "too long"),
        ("a\0b", "cannot be read"),
        ("https://example.org/a.wav", "is an address on the web, not a path; download"),
    ],
)
def test_paths_that_cannot_be_are_one_line(path: str, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        load_audio(path)


def test_a_buffer_without_a_name_shows_no_address() -> None:
    for content in (b"text" * 500, encoded("FLAC")[:200]):
        with pytest.raises(AudioError, match=r"^BytesIO: ") as caught:
            load_audio(io.BytesIO(content))
        assert "0x" not in str(caught.value)

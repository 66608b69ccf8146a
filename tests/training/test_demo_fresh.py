"""Sounds that are made in batches: what is made, what the engine makes of it, and what the teacher hears."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from demo_sounds import RATE, small_teacher, tone
from torch import Tensor

from ltu.audio import log_mel as engines_log_mel
from ltu.defaults import FEATURE_MEAN, FEATURE_STD
from ltu.training.demo import fresh, mels
from ltu.training.demo.endless import Teacher
from ltu.training.demo.fresh import KINDS, LEAST_FRAMES, Fresh, Maker

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
FRAMES = 110  # of a batch
SAMPLES = 400 + 160 * (FRAMES - 1)
TONES = (300, 1200, 4200)  # farther from each other than speeds change them
EDGES = (0, 600, 2250, 8001)
STILL = {"SPEED": 0.0, "REVERSED": 0.0, "LOOPED": 0.0, "EQUALISED": 0.0, "CUT_OFF": 0.0, "ECHOING": 0.0}
STILL |= {"SWELLING": 0.0, "NOISY": 0.0, "SHORTER": 0.0}


def still(patch: pytest.MonkeyPatch, **but: float) -> None:
    """No variation but the ones named."""
    for name, value in (STILL | but).items():
        patch.setattr(fresh, name, value)


def maker(seed: int = 0) -> Maker:
    """Three tones of different lengths, one of them in two recordings."""
    sounds = [tone(300, 2.5), tone(1200, 1.0), tone(4200, 3.0), tone(4200, 0.4, level=0.1)]
    return Maker(sounds, [0, 1, 2, 2], CPU, seed)


def powers(waveforms: Tensor) -> Tensor:
    """Shares of the power in the bands of TONES, [rows, 3]."""
    power = torch.fft.rfft(waveforms.double()).abs().square()
    hertz = torch.linspace(0, RATE / 2, power.shape[1])
    found = torch.stack(
        [power[:, (hertz >= low) & (hertz < high)].sum(1) for low, high in pairwise(EDGES)],
        1,
    )
    return (found / found.sum(1, keepdim=True)).float()


def rows(size: int) -> dict[str, slice]:
    """Which entries of a batch are of which kind."""
    ends = [round(end) for end in (np.cumsum(list(KINDS.values())) * size).tolist()]
    return {kind: slice(a, b) for kind, a, b in zip(KINDS, [0, *ends[:-1]], [*ends[:-1], size], strict=True)}


@pytest.mark.parametrize("samples", [400, 559, 560, 16_000, 82_160])
def test_a_batchs_log_mel_is_the_engines(samples: int) -> None:
    rng = np.random.default_rng(samples)
    noise = (0.1 * rng.normal(size=samples) + 0.05).astype(np.float32)  # with an offset
    sounds = [noise, tone(440, 6)[:samples], 1e-4 * tone(3000, 6)[:samples], np.zeros(samples, np.float32)]
    found = mels.log_mel(torch.from_numpy(np.stack(sounds)))
    for row, sound in zip(found, sounds, strict=True):
        expected = engines_log_mel(sound)
        assert row.shape == expected.shape
        loud = expected > expected.max() - 10  # float32 in both: what lies 43 dB below is rounding
        np.testing.assert_allclose(row.numpy()[loud], expected[loud], atol=2e-3)
        np.testing.assert_allclose(np.exp(row.numpy()), np.exp(expected), atol=1e-4 * np.exp(expected.max()))


def test_features_are_normalised_and_silent_behind_the_sound() -> None:
    log = torch.randn(2, 30, 128)
    found = mels.normalised(log, torch.tensor([30, 12]))
    assert found.shape == (2, 1024, 128)
    torch.testing.assert_close(found[0, :30], (log[0] - FEATURE_MEAN) / FEATURE_STD)
    torch.testing.assert_close(found[1, :12], (log[1, :12] - FEATURE_MEAN) / FEATURE_STD)
    for row, behind in ((0, 30), (1, 12)):
        assert torch.all(found[row, behind:] == -FEATURE_MEAN / FEATURE_STD)


def test_a_teacher_hears_in_batches_what_it_hears_alone() -> None:
    lengths = [98, 60, 96, 143, 144, 200]  # frames: of one view, less than one, up to three
    rng = np.random.default_rng(0)
    alone = [(0.1 * rng.normal(size=400 + 160 * (n - 1))).astype(np.float32) for n in lengths]
    waveforms = torch.zeros(len(alone), 400 + 160 * (200 - 1))
    for row, sound in zip(waveforms, alone, strict=True):
        row[: len(sound)] = torch.from_numpy(sound)
    network = small_teacher()
    heard = Teacher(network, CPU).hear(Fresh(waveforms, torch.tensor(lengths), torch.zeros(6, 0)))
    for row, sound in enumerate(alone):
        scores, moments = network.hear(sound)
        assert heard.count[row] == len(moments)
        np.testing.assert_allclose(heard.moments[row, : len(moments)].numpy(), moments, atol=1e-5)
        np.testing.assert_allclose(heard.embedding[row].numpy(), moments.mean(0), atol=1e-5)
        np.testing.assert_allclose(heard.scores[row].numpy(), scores, atol=1e-5)
    assert len({row.numpy().tobytes() for row in heard.scores}) == len(lengths)


def test_a_batch_is_finite_as_long_as_it_says_and_no_louder_than_full_scale() -> None:
    made = maker().batch(100, FRAMES)
    kinds, as_recorded = rows(100), {250 - 2, 100 - 2, 300 - 2, 40 - 2}
    assert made.waveforms.shape == (100, SAMPLES)
    assert made.waveforms.isfinite().all()
    for waveform, frames in zip(made.waveforms, made.frames.tolist(), strict=True):
        assert not waveform[400 + 160 * (frames - 1) :].any()
    assert set(made.frames[kinds["plain"]].tolist()) <= {min(FRAMES, frames) for frames in as_recorded}
    others = made.frames[kinds["single"].start :]
    assert LEAST_FRAMES <= int(others.min()) < int(others.max()) == FRAMES
    peaks = made.waveforms.abs().amax(1)
    assert peaks.max() <= 1 + 1e-5
    assert peaks[kinds["single"].start :].min() > 10**-1.5 / 4  # an end may lie before the peak
    torch.testing.assert_close(made.shares.sum(1), torch.ones(100))


def test_every_label_is_as_frequent_as_every_other() -> None:
    picked = maker()._pick(9000).bincount(minlength=4) / 9000
    torch.testing.assert_close(picked, torch.tensor([1 / 3, 1 / 3, 1 / 6, 1 / 6]), atol=0.02, rtol=0)


def test_what_is_plain_is_the_recording_itself() -> None:
    made = maker().batch(100, FRAMES)
    expected = [
        np.pad(sound, (0, SAMPLES))[:SAMPLES]
        for sound in (tone(300, 2.5), tone(1200, 1.0), tone(4200, 3.0), tone(4200, 0.4, level=0.1))
    ]
    labels = (0, 1, 2, 2)
    for row in range(rows(100)["plain"].stop):
        last = 400 + 160 * (int(made.frames[row]) - 1)  # whole frames
        same = [np.allclose(made.waveforms[row, :last], sound[:last], atol=1e-6) for sound in expected]
        assert sum(same) == 1
        assert made.shares[row, labels[same.index(True)]] == 1


def test_the_same_seed_makes_the_same_batches_and_another_makes_others() -> None:
    one, two, other = maker(), maker(), maker(1)
    first = one.batch(40, FRAMES)
    again = two.batch(40, FRAMES)
    for name in ("waveforms", "frames", "shares"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    next_one = one.batch(40, FRAMES)
    assert torch.equal(next_one.waveforms, two.batch(40, FRAMES).waveforms)
    assert not torch.equal(next_one.waveforms, first.waveforms)
    assert not torch.equal(other.batch(40, FRAMES).waveforms, first.waveforms)


def test_shares_are_those_of_the_power(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured in the spectrum: with varied speeds, rooms and levels, without noise and cut ends."""
    monkeypatch.setattr(fresh, "NOISY", 0.0)
    monkeypatch.setattr(fresh, "SHORTER", 0.0)
    made = maker().batch(200, FRAMES)
    found = powers(made.waveforms)
    kinds = rows(200)
    for kind in ("single", "two", "three", "four"):
        own = kinds[kind]
        error = (found[own] - made.shares[own]).abs().amax(1)
        # the same tone twice has no power of its own: their phases count
        assert error.median() < 0.03, kind
    single = kinds["single"]
    assert (found[single].argmax(1) == made.shares[single].argmax(1)).float().mean() > 0.9
    assert made.shares[kinds["four"]].min(1).values.gt(0).any()


def test_one_sound_follows_another_for_its_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch, LOOPED=1.0)
    made = maker().batch(100, FRAMES)
    for row in range(*rows(100)["follow"].indices(100)):
        if (share := made.shares[row].max()) < 0.9 and int(made.shares[row].count_nonzero()) == 2:
            second = made.waveforms[row].unfold(0, 400, 400)
            of_time = powers(second).argmax(1)
            heard = torch.bincount(of_time, minlength=3) / len(of_time)
            assert heard.max() == pytest.approx(float(share), abs=0.03)
            assert int((of_time.diff() != 0).sum()) == 1


def test_bands_are_of_two_sounds_and_an_envelope_is_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch)
    torch.manual_seed(0)
    low, high = torch.randn(4, SAMPLES), torch.randn(4, SAMPLES)
    mixed, share = maker()._crossed(low, high)
    assert torch.all(share == 0.5)
    spectra = [torch.fft.rfft(waveform) for waveform in (mixed, low, high)]

    def alike(other: Tensor, bins: slice) -> Tensor:
        a, b = spectra[0][:, bins], other[:, bins]
        return ((a * b.conj()).sum(1).abs() / (a.norm(dim=1) * b.norm(dim=1))).real

    top = slice(int(0.6 * spectra[0].shape[1]), None)  # a corner lies below
    assert alike(spectra[2], top).min() > 0.99
    assert alike(spectra[1], top).max() < 0.1
    assert alike(spectra[1], slice(0, 40)).min() > 0.9
    pulses = torch.zeros(1, SAMPLES)
    pulses[:, :4000] = 1.0
    level = fresh._envelope(pulses)[0]
    assert level[1000:3000].min() > 0.9
    assert level[6000:].max() < 0.05


def heard_frequency(waveform: Tensor) -> float:
    power = torch.fft.rfft(waveform * torch.hann_window(len(waveform))).abs()
    return float(power.argmax()) * RATE / len(waveform)


def other_speed(found: Tensor, sound: Tensor) -> bool:
    """Of a tone, whose wave it stays."""
    hertz = heard_frequency(found)
    times = torch.arange(len(found)) / RATE
    best = max(
        float(
            (found @ torch.sin(2 * torch.pi * f * times)) ** 2
            + (found @ torch.cos(2 * torch.pi * f * times)) ** 2
        )
        for f in np.linspace(hertz - 1, hertz + 1, 21)
    )
    return abs(hertz - 1000) > 5 and best / float(found @ found) / len(found) > 0.49


def backwards(found: Tensor, sound: Tensor) -> bool:
    return bool(torch.allclose(found, sound.flip(0), atol=1e-4))


def from_another_moment(found: Tensor, sound: Tensor) -> bool:
    """Up to a part of a sample."""
    spectra = [torch.fft.rfft(x).abs() for x in (found, sound)]
    alike = float((spectra[0] * spectra[1]).sum() / (spectra[0].norm() * spectra[1].norm()))
    return alike > 0.99 and float((found - sound).abs().max()) > 0.2


def bent(found: Tensor, sound: Tensor) -> bool:
    """By decibels that change slowly over frequencies."""
    ratio = 20 * (torch.fft.rfft(found).abs() / torch.fft.rfft(sound).abs()).log10()
    smooth = ratio[100:-100].unfold(0, 200, 200).median(1).values
    return float(smooth.max() - smooth.min()) > 0.5


def cut_off(found: Tensor, sound: Tensor) -> bool:
    """Above 90 % of the frequencies there is less."""
    power = [torch.fft.rfft(x).abs().square() for x in (found, sound)]
    top = int(0.9 * len(power[0]))
    return bool(
        power[0][top:].sum() / power[0][:1000].sum() < 0.9 * power[1][top:].sum() / power[1][:1000].sum()
    )


def echoing(found: Tensor, sound: Tensor) -> bool:
    """There is sound where there was none."""
    return bool(found[14_000:].square().mean() > 1e-6) and not bool(sound[14_000:].any())


def swelling(found: Tensor, sound: Tensor) -> bool:
    """The same sign everywhere, other levels."""
    loud = sound.abs() > 0.1
    ratio = (found / sound)[loud]
    return bool((ratio > 0).all()) and float(ratio.max() / ratio.min()) > 1.05


@pytest.mark.parametrize(
    ("but", "is_so"),
    [
        ({"SPEED": 0.2}, other_speed),
        ({"REVERSED": 1.0}, backwards),
        ({"LOOPED": 1.0}, from_another_moment),
        ({"EQUALISED": 4.0}, bent),
        ({"CUT_OFF": 1.0}, cut_off),
        ({"ECHOING": 1.0}, echoing),
        ({"SWELLING": 1.0}, swelling),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_each_variation_changes_a_sound_in_its_way(
    but: dict[str, float], is_so: Callable[[Tensor, Tensor], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    still(monkeypatch)
    samples = RATE
    sound = np.random.default_rng(0).uniform(-1, 1, samples).astype(np.float32)
    if "SPEED" in but:
        sound = tone(1000, 2.0)
    elif "LOOPED" in but:  # between two samples it is what a line through more of them says
        sound = np.fft.irfft(np.fft.rfft(sound)[:2000], samples).astype(np.float32)
    elif "ECHOING" in but:
        sound[12_000:] = 0
    chosen, varied = torch.zeros(8, dtype=torch.long), torch.zeros(8, dtype=torch.bool)
    expected = torch.from_numpy(sound / np.abs(sound).max())[:samples]
    unchanged = Maker([sound], [0], CPU, 0)._varied(chosen, samples, varied)
    torch.testing.assert_close(unchanged, expected.expand(8, -1), atol=1e-4, rtol=0)
    assert not any(is_so(row, expected) for row in unchanged)
    still(monkeypatch, **but)
    changed = Maker([sound], [0], CPU, 0)._varied(chosen, samples, varied)
    assert sum(is_so(row, expected) for row in changed) >= 6  # of 8: chance makes some small
    torch.testing.assert_close(changed.abs().amax(1), torch.ones(8))


def test_noise_lies_behind_some_sounds(monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch, NOISY=0.5)
    sounds = torch.from_numpy(tone(1000)).expand(40, -1)
    behind = maker()._noisy(sounds) - sounds
    decibels = 10 * (behind.square().mean(1) / sounds.square().mean(1))[behind.any(1)].log10()
    assert len(decibels) == 20
    assert -40.1 < decibels.min() < -20 < decibels.max() < -2.9


def test_a_recording_never_runs_into_its_neighbours() -> None:
    """All lie behind one another in memory, and may be played from any moment on."""
    silent, loud = np.zeros(6_000, np.float32), np.ones(6_000, np.float32)
    made = Maker([loud, silent, loud, silent, loud], [0, 1, 0, 1, 0], CPU, 0)
    chosen = torch.tensor([1, 3]).repeat(40)
    assert not made._varied(chosen, SAMPLES, torch.zeros(80, dtype=torch.bool)).any()
    loud_ones = made._played(torch.tensor([2]).repeat(40), SAMPLES, torch.zeros(40, dtype=torch.bool))
    assert set(loud_ones.mul(10).round().div(10).unique().tolist()) <= {0.0, 1.0}  # nothing is half there
    picked = made._pick(500)
    assert set(picked.tolist()) == {0, 1, 2, 3, 4}


def test_views_are_a_clip_alone() -> None:
    """As it is, or varied and from a quarter as loud to two and a half times."""
    made = maker()
    chosen = torch.tensor([2, 0, 1, 3])
    as_it_is = made.views(chosen, FRAMES, plain=True)
    for row, sound in zip(as_it_is.waveforms, (tone(4200, 3.0), tone(300, 2.5)), strict=False):
        np.testing.assert_allclose(row.numpy(), sound[:SAMPLES], atol=1e-6)
    varied = made.views(chosen.repeat(10), FRAMES, plain=False)
    assert (powers(varied.waveforms).argmax(1) == torch.tensor([2, 0, 1, 2]).repeat(10)).float().mean() > 0.9
    quiet = varied.waveforms[3::4].abs().amax(1)  # of a clip whose peak is 0.1
    assert 0.1 * 10**-0.6 / 4 < quiet.min() < quiet.max() <= 0.1 * 10**0.4 + 1e-5


@pytest.mark.parametrize("direction", [0.0, 1.0])
def test_what_does_not_go_on_from_its_beginning_ends(
    direction: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    still(monkeypatch, REVERSED=direction)
    made = Maker([np.ones(3_000, np.float32)], [0], CPU, 0)
    played = made._played(torch.zeros(3, dtype=torch.long), 8_000, torch.zeros(3, dtype=torch.bool))
    torch.testing.assert_close(played[:, :3_000], torch.ones(3, 3_000))
    assert not played[:, 3_000:].any()

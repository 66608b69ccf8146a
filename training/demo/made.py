"""Unknown sounds that need no recording: silence, noise of several colours, and espeak's speech."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from ltu.audio import load_audio
from ltu.defaults import SAMPLE_RATE
from ltu.errors import Error
from ltu.files import replacing
from ltu.training.demo.sounds import Recording

ESPEAK = "espeak-ng"
SECONDS = 5.0
TEXTS = (
    "The weather will be fine tomorrow, with a little cloud in the afternoon.",
    "Please leave a message after the tone.",
    "I have never been to that part of the city before.",
    "One, two, three, four, five, six, seven.",
    "She sells her old books every Sunday morning.",
    "This station is closed. Take the bus on the other side of the road.",
)
VOICES = ("en-gb", "en-us", "en-gb-scotland", "de", "fr", "es")
Rng = np.random.Generator


def make_unknown(folder: Path, each: int, seed: int) -> list[Recording]:
    """`each` files of Silence, Noise and Speech in the folder; speech that is there stays. Raises Error."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    found = []
    for label, samples in (("Silence", silence), ("Noise", noise)):
        for number in range(each):
            path = folder / f"{label.lower()}-{number:02}.flac"
            soundfile.write(path, samples(rng), SAMPLE_RATE)
            found.append(path)
    for number in range(each):
        path = folder / f"speech-{number:02}.wav"
        if not path.is_file():  # where it was prepared, espeak-ng need not be
            speak(path, number)
        found.append(path)
    return [Recording(str(p.resolve()), p.name.partition("-")[0].capitalize(), load_audio(p)) for p in found]


def silence(rng: Rng) -> npt.NDArray[np.float32]:
    """Quieter than any recording, but not zero throughout: a microphone's own noise."""
    samples = noise(rng) * 10 ** rng.uniform(-3.5, -2.5)
    return np.asarray(samples, np.float32)


def noise(rng: Rng) -> npt.NDArray[np.float32]:
    """Steady noise whose power falls or rises with frequency, from brown to blue."""
    samples = coloured(int(SECONDS * SAMPLE_RATE), (-1.0, 0.5), rng)
    return np.asarray(samples / np.abs(samples).max() * 10 ** rng.uniform(-1.5, 0), np.float32)


def coloured(count: int, slopes: tuple[float, float], rng: Rng) -> npt.NDArray[np.float64]:
    """Noise whose amplitude goes with the frequency to a power between two."""
    spectrum = np.fft.rfft(rng.normal(size=count))
    spectrum[1:] *= np.arange(1, len(spectrum)) ** rng.uniform(*slopes)
    return np.asarray(np.fft.irfft(spectrum, count))


def speak(path: Path, number: int) -> None:
    """A text in a voice, a pitch and a speed that follow from its number. Raises Error without espeak-ng."""
    if not shutil.which(ESPEAK):
        raise Error(
            f"{ESPEAK}: not found; install it (apt install {ESPEAK}), its speech is trained as unknown"
        )
    voice, text = VOICES[number % len(VOICES)], TEXTS[(number // 2) % len(TEXTS)]
    pitch, speed = 20 + 9 * (number % 8), 120 + 15 * (number % 6)
    with replacing(path) as draft:
        command = [ESPEAK, "-v", voice, "-p", str(pitch), "-s", str(speed), "-w", str(draft), text]
        subprocess.run(command, check=True, capture_output=True)

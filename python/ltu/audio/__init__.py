"""Anything that holds sound → `Clip` → the features that the encoder reads."""

from ltu.audio.clip import Clip, load_audio, load_clips, load_windows
from ltu.audio.features import CLIP_SAMPLES, FLOOR, FRONT_END, SHIFT, WINDOW, features, log_mel
from ltu.audio.inputs import AudioInput
from ltu.defaults import SAMPLE_RATE

__all__ = [
    "CLIP_SAMPLES",
    "FLOOR",
    "FRONT_END",
    "SAMPLE_RATE",
    "SHIFT",
    "WINDOW",
    "AudioInput",
    "Clip",
    "features",
    "load_audio",
    "load_clips",
    "load_windows",
    "log_mel",
]

"""Recordings as clients send them."""

import base64
import io
from typing import Any

import numpy as np
import soundfile

import ltu


def wav(seed: int, seconds: float = 1.0) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(seed).normal(0, 0.1, int(16_000 * seconds)).astype(np.float32)
    soundfile.write(file, noise, 16_000, format="WAV", subtype="FLOAT")
    return file.getvalue()


def data(seed: int, seconds: float = 1.0) -> str:
    return base64.b64encode(wav(seed, seconds)).decode()


def clip(seed: int) -> ltu.Clip:
    return ltu.load_audio(wav(seed))


def heard(seed: int) -> Any:
    """An input_audio part."""
    return {"type": "input_audio", "input_audio": {"data": data(seed), "format": "wav"}}


def said(text: str) -> Any:
    return {"type": "text", "text": text}


def user(*parts: Any) -> Any:
    return [{"role": "user", "content": list(parts)}]

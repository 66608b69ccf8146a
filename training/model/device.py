"""What training computes on, and in which numbers that is quick."""

import platform

import torch

from ltu import _engine


def training_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bfloat16(device: torch.device) -> bool:
    """Whether it multiplies bfloat16 in hardware; a processor that does not takes ten times as long."""
    return device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()


def quick_products(device: torch.device) -> torch.autocast:
    """Products in bfloat16 where that is quicker, in float32 elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device))


def device_name() -> str:
    """As logs and cards give it: a card's name, or the kind of processor."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()} ({_engine.processor()})"

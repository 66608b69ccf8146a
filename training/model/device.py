"""What training computes on, and in which numbers that is quick."""

import torch


def training_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bfloat16(device: torch.device) -> bool:
    """Whether it multiplies bfloat16 in hardware: a processor that doesn't takes ten times as long as for float32."""
    return device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()

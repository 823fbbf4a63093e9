"""Where a run trains."""

from __future__ import annotations

import platform

import torch


def resolve(device: str) -> str:
    """Return the device meant: "auto" is a GPU where there is one.

    Raises:
        ValueError: a CUDA device where there is none, or an unknown name.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.split(":")[0] not in ("cpu", "cuda"):
        raise ValueError(f"device must be 'auto', 'cpu' or 'cuda', got {device!r}")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError("device 'cuda' was asked for, but torch sees no GPU; use 'auto' or 'cpu'")
    return device


def name(device: str) -> str:
    """Return what the device is called, "CPU" with its kind or the GPU's name."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}), one thread a run"

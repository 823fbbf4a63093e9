"""The device that a run trains on."""

from __future__ import annotations

import contextlib
import platform
from pathlib import Path

import torch


def resolve(device: str) -> str:
    """Return the device of a name; "auto" is a GPU if there is one, else the CPU.

    Raises:
        ValueError: the name is unknown, or it is a CUDA device and there is none.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.split(":")[0] not in ("cpu", "cuda"):
        raise ValueError(f"device must be 'auto', 'cpu' or 'cuda', got {device!r}")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError("device 'cuda' was asked for, but torch sees no GPU; use 'auto' or 'cpu'")
    return device


def name(device: str) -> str:
    """Return the name to display: the GPU's name, or "CPU" with its architecture."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}), one thread a run"


def processor(device: str) -> str:
    """Return the model of the processor that a timing is of, as far as the system tells it."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

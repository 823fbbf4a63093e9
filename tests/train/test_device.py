"""Devices by name."""

import pytest
import torch

from reviewlib.train import device


@pytest.mark.parametrize("gpu", [True, False])
def test_auto_is_a_gpu_if_there_is_one(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert device.resolve("auto") == ("cuda" if gpu else "cpu")
    assert device.resolve("cpu") == "cpu"


def test_a_missing_gpu_and_an_unknown_device_are_rejected(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="'cuda' was asked for, but torch sees no GPU"):
        device.resolve("cuda:1")
    with pytest.raises(ValueError, match="must be 'auto', 'cpu' or 'cuda', got 'tpu'"):
        device.resolve("tpu")


def test_a_cpu_is_named_by_its_architecture():
    assert device.name("cpu").startswith("CPU (") and "one thread a run" in device.name("cpu")

"""The README's Python runs as it stands, given a model and a batch."""

import re
from pathlib import Path

import torch
import vision
from torch import nn

README = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf8")


def test_every_snippet_runs():
    vision.module("torchvision.transforms.v2")
    torch.manual_seed(0)
    given = {
        "model": nn.Sequential(nn.Flatten(), nn.Linear(784, 10)),
        "x": torch.rand(8, 1, 28, 28),
        "y": torch.randint(10, (8,)),
    }
    before = given["model"][1].weight.clone()
    snippets = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(snippets) == 3
    for snippet in snippets:
        exec(snippet, given)
    assert not given["net"].training and given["optimizer"].state, "SliceOut has taken a step"
    assert not torch.equal(given["model"][1].weight, before), "SAM has taken a step"
    assert given["loss"].isfinite() and given["loss"].requires_grad
    images = torch.randint(256, (4, 1, 28, 28), dtype=torch.uint8)
    assert given["transform"](images).dtype == torch.float32

"""torchvision is imported whether or not its C++ extension loads."""

import importlib
import importlib.util
import subprocess
import sys

import pytest

from reviewlib import vision

USE = """
import sys
from reviewlib import vision
assert "torchvision" not in sys.modules
torchvision = vision.torchvision()
assert vision.torchvision() is torchvision
from torchvision.transforms import v2
import torch, torchvision.datasets
assert v2.functional.horizontal_flip(torch.arange(3).view(1, 1, 3)).tolist() == [[[2, 1, 0]]]
assert torchvision.datasets.FashionMNIST.classes[9] == "Ankle boot"
# Nothing is left over of an import that failed: a left-over is no attribute of the new package.
names = [name.split(".")[1] for name in sys.modules if name.startswith("torchvision.")]
assert all(hasattr(torchvision, name) for name in names), names
print("loaded" if torchvision.extension._has_ops() else "missing")
print("declared" if vision._declared else "untouched")
"""

# What a healthy extension leaves behind, as far as `import torchvision` looks.
HEALTHY = """
import torch
extension = torch.library.Library("torchvision", "DEF")
extension.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
extension.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


def run(code):
    """Lines that the code prints in a fresh process where every warning is an error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture(scope="module")
def real():
    """What happens with the torchvision of this machine."""
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    return run(USE)


def test_import_works_and_mends_only_what_is_broken(real):
    assert real in (["missing", "declared"], ["loaded", "untouched"])


def test_operators_that_exist_are_left_alone(real):
    if real[0] == "loaded":
        pytest.skip("the real extension declares them: the test above is this one")
    assert run(HEALTHY + USE) == ["missing", "untouched"]


def failing(error):
    def import_module(name):
        raise error

    return import_module


def test_missing_torchvision_says_what_to_install(monkeypatch):
    error = ModuleNotFoundError("No module named 'torchvision'", name="torchvision")
    monkeypatch.setattr(importlib, "import_module", failing(error))
    with pytest.raises(ImportError, match="pip install torchvision"):
        vision.torchvision()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("compiled with different CUDA major versions"),
        ModuleNotFoundError("No module named 'PIL'", name="PIL"),
    ],
)
def test_other_failures_are_not_hidden(monkeypatch, error):
    monkeypatch.setattr(importlib, "import_module", failing(error))
    monkeypatch.setattr(vision, "_declare_operators", lambda: pytest.fail("nothing to declare"))
    with pytest.raises(type(error)) as raised:
        vision.torchvision()
    assert raised.value is error

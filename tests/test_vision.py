"""torchvision is imported whether or not its C++ extension loads."""

import importlib
import importlib.util
import os
import subprocess
import sys

import pytest

from reviewlib import vision

# Three imports in three processes. They are forked from one that has imported torch and the large
# part of torch that `import torchvision` asks for: that is what an import costs.
IMPORTS = """
import os, sys
import torch, torch._dynamo
from reviewlib import vision


def use():
    assert "torchvision" not in sys.modules
    torchvision = vision.torchvision()
    assert vision.torchvision() is torchvision
    from torchvision.transforms import v2
    import torchvision.datasets
    assert v2.functional.horizontal_flip(torch.arange(3).view(1, 1, 3)).tolist() == [[[2, 1, 0]]]
    assert torchvision.datasets.FashionMNIST.classes[9] == "Ankle boot"
    # Nothing is left over of an import that failed: a left-over is no attribute of the new package.
    names = [name.split(".")[1] for name in sys.modules if name.startswith("torchvision.")]
    assert all(hasattr(torchvision, name) for name in names), names
    extension = "loaded" if torchvision.extension._has_ops() else "missing"
    declared = "declared" if vision._declared else "untouched"
    print(state, extension, declared, flush=True)


def refuse(path):
    raise OSError(f"{path} does not match this torch")


for state in ("real", "broken", "operators"):
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0, state
        continue
    if state != "real":
        torch.ops.load_library = refuse
    if state == "operators":  # what a healthy extension leaves behind, as far as the import looks
        extension = torch.library.Library("torchvision", "DEF")
        extension.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        extension.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    use()
    os._exit(0)  # an orderly exit takes torch a second
"""


@pytest.fixture(scope="module")
def imported():
    """What came of each import, where every warning is an error."""
    if importlib.util.find_spec("torchvision") is None or not hasattr(os, "fork"):
        pytest.skip("torchvision is not installed, or this system cannot fork")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORTS],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # forking needs a single thread
    )
    assert done.returncode == 0, done.stderr
    return {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}


def test_import_works_with_the_torchvision_of_this_machine(imported):
    assert imported["real"] in (["missing", "declared"], ["loaded", "untouched"])


def test_import_is_mended_without_the_extension(imported):
    assert imported["broken"] == ["missing", "declared"]


def test_operators_that_exist_are_left_alone(imported):
    assert imported["operators"] == ["missing", "untouched"]


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

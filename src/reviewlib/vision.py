"""The one place that imports torchvision, and that mends the import where it is known to fail."""

import importlib
import sys
from types import ModuleType

import torch

# What torchvision's C++ extension declares, for the operators that `import torchvision` takes for
# granted even where the extension did not load.
SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

# Kept alive: the schemas disappear with their Library.
_declared: torch.library.Library | None = None


def torchvision() -> ModuleType:
    """Return torchvision, also where its C++ extension does not match the installed torch.

    A torchvision wheel built for CUDA cannot load its extension beside a CPU-only torch. It
    tolerates that, except that it describes two operators of the extension without asking whether
    they exist, and so the whole import fails. Declaring the two schemas is enough for transforms
    and data sets; calling the operators themselves still raises torchvision's own error.

    Raises:
        ImportError: torchvision is not installed.
    """
    try:
        return importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        raise ImportError(
            "torchvision must be installed for this; install the release that matches your torch, "
            "for example with `pip install torchvision`"
        ) from error
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
    _declare_operators()
    # The failed import leaves some of its submodules behind, bound to a package that is gone.
    # Nothing was registered with torch yet: nms comes first, and the rest needs the extension.
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    return importlib.import_module("torchvision")


def _declare_operators() -> None:
    global _declared
    _declared = torch.library.Library("torchvision", "FRAGMENT")
    for schema in SCHEMAS:
        _declared.define(schema)

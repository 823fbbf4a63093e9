"""torchvision for the tests, also next to a torch that its compiled operators do not fit."""

import importlib

import torch

SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
declared = []


def module(name: str):
    """Import torchvision or a module that imports it; no test uses its compiled operators."""
    try:
        return importlib.import_module(name)
    except RuntimeError as error:  # built for another torch: it names operators that do not exist
        if "does not exist" not in str(error) or declared:
            raise
        declared.append(torch.library.Library("torchvision", "DEF"))
        for operator in ("nms", "qnms"):
            declared[0].define(operator + SIGNATURE)
        return importlib.import_module(name)

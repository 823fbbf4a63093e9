"""SGD and Adam, for one model or for a stack with hyperparameters per replica."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from reviewlib.train import ragged
from reviewlib.train.recipe import Config


def sgd_class(config: Config) -> Callable[..., torch.optim.Optimizer]:
    """Return torch's fused SGD, or our `SGD` if the replicas of a stack differ in a number."""
    if isinstance(config.lr, Tensor) or isinstance(config.weight_decay, Tensor):
        return SGD
    return partial(torch.optim.SGD, fused=True)


def sgd(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Return SGD with momentum; weight decay acts on all parameters."""
    return sgd_class(config)(
        ragged.groups(model, lr=config.lr, weight_decay=config.weight_decay),
        momentum=config.momentum,
    )


def adam(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Return Adam with PyTorch's betas; weight decay is L2, added to the gradient."""
    differ = isinstance(config.lr, Tensor) or isinstance(config.weight_decay, Tensor)
    make = Adam if differ else partial(torch.optim.Adam, fused=True)
    return make(ragged.groups(model, lr=config.lr, weight_decay=config.weight_decay))


# They update each entry by itself, so one tensor may hold the units of several nets.
ELEMENTWISE = (sgd, adam)


class SGD(torch.optim.Optimizer):
    """SGD with momentum for a stack: lr and weight_decay are numbers, or tensors (R,)."""

    def __init__(self, params, lr=1e-3, momentum=0.0, weight_decay=0.0):
        """Take the arguments that torch.optim.SGD has under these names."""
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Take one step and return the closure's losses."""
        loss = _evaluated(closure)
        for group, w, g in _with_gradient(self.param_groups):
            state = self.state[w]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(w)
            v = state["momentum_buffer"]
            torch.add(g, v, alpha=group["momentum"], out=v)
            v.addcmul_(w, along(group["weight_decay"], w))
            w.addcmul_(v, along(group["lr"], w), value=-1)
        return loss


class Adam(torch.optim.Optimizer):
    """Adam for a stack: lr and weight_decay (L2) are numbers, or tensors (R,)."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        """Take the arguments that torch.optim.Adam has under these names."""
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Take one step and return the closure's losses."""
        loss = _evaluated(closure)
        for group, w, g in _with_gradient(self.param_groups):
            state, (b1, b2) = self.state[w], group["betas"]
            if not state:
                state |= {"step": 0, "mean": torch.zeros_like(w), "square": torch.zeros_like(w)}
            state["step"] += 1
            g.addcmul_(w, along(group["weight_decay"], w))
            state["mean"].lerp_(g, 1 - b1)
            state["square"].mul_(b2).addcmul_(g, g, value=1 - b2)
            size = state["square"].sqrt().div_((1 - b2 ** state["step"]) ** 0.5).add_(group["eps"])
            lr = along(group["lr"], w) / (1 - b1 ** state["step"])
            w.addcmul_(state["mean"] / size, lr, value=-1)
        return loss


def along(value: float | Tensor, like: Tensor) -> Tensor:
    """Return one number, or one per replica (R,), shaped to multiply the stacked `like` (R, ...).

    A tensor of more axes is returned as it is.
    """
    value = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    return value.view(-1, *[1] * (like.ndim - 1)) if value.ndim == 1 else value


def _evaluated(closure: Callable[[], Tensor] | None) -> Tensor | None:
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def _with_gradient(groups: Sequence[dict]):
    """Yield (group, parameter, gradient) of all parameters that have one."""
    for group in groups:
        for w in group["params"]:
            if w.grad is not None:
                yield group, w, w.grad

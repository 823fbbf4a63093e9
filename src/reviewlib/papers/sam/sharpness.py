"""How sharp a minimum is: the top eigenvalue of the Hessian, and the loss's rise in a ball.

The SAM paper (Foret et al., arXiv 2010.01412) minimizes the rise and reports that the Hessian's top
eigenvalue falls by more than a factor of ten; power iteration finds it here.

Neither measure explains by itself why a net generalizes: both change when a ReLU net is rescaled
without changing its function, and over many nets they rank test error badly (Andriushchenko et
al., "A Modern Look at the Relationship between Sharpness and Generalization", arXiv 2302.07011).

Both measure the model in evaluation mode, so that dropout is off and BatchNorm records nothing,
over all its trainable parameters; they leave it, its `.grad` and its mode as they were.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Loss = Callable[[nn.Module], Tensor]


@torch.enable_grad()
def top_eigenvalue(
    model: nn.Module, loss: Loss, generator: torch.Generator, steps: int = 20
) -> float:
    """Return the algebraically largest eigenvalue of the Hessian of `loss(model)`.

    It approaches the eigenvalue from below. Power iteration finds the one of largest modulus; if
    that is negative, a second iteration with the spectrum shifted above 0 finds the largest.

    Args:
        model: with twice differentiable layers; ReLUs are linear almost everywhere.
        loss: maps the model to a scalar, the same at each call.
        generator: on the CPU; draws the start vector.
        steps: Hessian-vector products per iteration; each costs about two gradients.

    Raises:
        ValueError: steps below 1.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    with measured(model) as w:
        gradient = flat(
            torch.autograd.grad(loss(model), w, create_graph=True, materialize_grads=True)
        )
    start = torch.randn(len(gradient), generator=generator).to(gradient)

    def largest(shift: float) -> float:
        """Return the eigenvalue of H that lies farthest from `shift`."""
        v = start
        for _ in range(steps):
            v = F.normalize(v, dim=0)
            hv = flat(
                torch.autograd.grad(gradient, w, v, retain_graph=True, materialize_grads=True)
            )
            value, v = v @ hv, hv - shift * v
        return value.item()

    value = largest(shift=0.0)
    return largest(shift=value) if value < 0 else value


@torch.enable_grad()
def worst_in_ball(model: nn.Module, loss: Loss, rho: float, steps: int = 10) -> float:
    """Return how far `loss(model)` rises within an L2 ball of radius rho around the weights.

    It is the largest rise among the visited points, the center included: a lower bound of the
    maximum, at least 0. Each step goes to e = rho g / ||g||, with g the gradient at the previous
    point: there the loss would be highest if it were linear. The first e is SAM's e(w). This is
    gradient ascent projected onto the ball, with unbounded step size; on a convex loss, no step
    lowers the loss. If the gradient at the center is exactly 0, the search stays there.

    Args:
        model: differentiable.
        loss: maps the model to a scalar, the same at each call.
        rho: at least 0, in the units of the weights.
        steps: gradients taken; 1 gives the loss that SAM sees.

    Raises:
        ValueError: rho negative or not finite, or steps below 1.
    """
    if not 0 <= rho < math.inf:
        raise ValueError(f"rho must be non-negative and finite, got {rho}")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    values = []
    with measured(model) as w:
        center = [p.detach().clone() for p in w]
        try:
            for _ in range(steps):
                value = loss(model)
                values.append(value.detach())
                g = torch.autograd.grad(value, w, materialize_grads=True)
                with torch.no_grad():
                    scale = rho / flat(g).norm().clamp_min(1e-12)  # g may be 0
                    for p, c, direction in zip(w, center, g, strict=True):
                        torch.add(c, scale * direction, out=p)
            with torch.no_grad():
                values.append(loss(model))
        finally:
            with torch.no_grad():
                torch._foreach_copy_(w, center)
    return (torch.stack(values).max() - values[0]).item()


@contextmanager
def measured(model: nn.Module) -> Iterator[list[nn.Parameter]]:
    """Keep the model in evaluation mode; yield its trainable parameters w."""
    training = [m for m in model.modules() if m.training]
    model.eval()
    try:
        yield [p for p in model.parameters() if p.requires_grad]
    finally:
        for m in training:
            m.training = True


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """Return one vector of all entries."""
    return torch.cat([t.flatten() for t in tensors])

"""The optimizer of SliceOut's leaves: no gradient and no update is larger than a slice."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from reviewlib.papers.sliceout.method import SliceOut

# They update each entry by itself, from a state that starts at zeros.
ELEMENTWISE = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop)


class Sliced(torch.optim.Optimizer):
    """An optimizer of slices: it reads and writes only what a step has used.

    Momentum and weight decay act on the slice alone, and step counters count all steps. Parameters
    that are not sliced are trained as usual. What looks for gradients in the parameters, to clip or
    to scale them, does not see those of slices: use `leaves=False` there.

    Args:
        model: contains `SliceOut`s with `leaves`.
        optimizer: one of ELEMENTWISE.
        options: its options, without fused: torch's fused kernels take a view for a whole tensor.

    Raises:
        ValueError: another optimizer, or options that do not go with slices.
    """

    def __init__(
        self, model: nn.Module, optimizer: Callable[..., torch.optim.Optimizer], **options: object
    ) -> None:
        """Make the optimizer."""
        super().__init__(model.parameters(), options)
        self.chains = [module for module in model.modules() if isinstance(module, SliceOut)]
        self.base = optimizer(model.parameters(), **options)
        self.param_groups, self.state = self.base.param_groups, self.base.state
        if type(self.base) not in ELEMENTWISE:
            raise ValueError(
                f"slices need one of {[each.__name__ for each in ELEMENTWISE]}, got {optimizer}"
            )
        self._require_whole_kernels()

    def add_param_group(self, param_group: dict) -> None:
        """Refuse a second group; torch's own constructor adds the first."""
        if self.param_groups:
            raise ValueError("Sliced has one group of parameters, those of its model")
        super().add_param_group(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, and the slices of earlier passes."""
        self.base.zero_grad(set_to_none)
        for chain in self.chains:
            chain.parts.clear()

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Take one step and return the closure's loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        parts = [part for chain in self.chains for part in chain.parts if part[2].grad is not None]
        if len({id(parameter) for parameter, _, _ in parts}) < len(parts):
            raise ValueError("two layers share a parameter, so it has two slices: use leaves=False")
        (group,), state = self.param_groups, self.state
        whole = group["params"]
        group["params"] = [p for p in whole if p.grad is not None] + [leaf for *_, leaf in parts]
        for parameter, place, leaf in parts:
            state[leaf] = {k: v[place] if v.ndim else v for k, v in state[parameter].items()}
        self.base.step()
        group["params"] = whole
        for parameter, place, leaf in parts:
            copied = any(isinstance(units, Tensor) for units in place)  # a range is a view
            if copied:
                parameter[place] = leaf
            kept = state[parameter]
            for name, value in state.pop(leaf).items():
                if not value.ndim:
                    kept[name] = value  # the number of steps
                elif copied or name not in kept:
                    kept.setdefault(name, torch.zeros_like(parameter))[place] = value
        for chain in self.chains:
            chain.parts.clear()
        return loss

    def load_state_dict(self, state_dict: dict) -> None:
        """Load what `state_dict` returned."""
        self.base.load_state_dict(state_dict)
        self.param_groups, self.state = self.base.param_groups, self.base.state
        self._require_whole_kernels()

    def _require_whole_kernels(self) -> None:
        """Raise ValueError for fused kernels, which would write into other units."""
        if any(group.get("fused") for group in self.param_groups):
            raise ValueError("slices need an optimizer without fused=True")

    __getstate__ = object.__getstate__  # so that copies and pickles keep the base optimizer too

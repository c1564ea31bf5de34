"""The operator library `cornernet` and the one function that registers an op in it.

An op is a schema with implementations for dispatch keys; which one runs is the dispatcher's choice:

- `CompositeExplicitAutograd`: the reference, plain torch ops, good on every device;
- `CPU`, `CUDA`, `PrivateUse1`: a compiled kernel, if `_C` has one; it shadows the reference there;
- `Meta`: the fake kernel: the same checks and an empty result, for torch.compile and torch.export;
- `Autograd`: the gradient formula, or "not differentiable";
- `Autocast*`: what mixed precision does with the arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

NAMESPACE = "cornernet"
LIBRARY = torch.library.Library(NAMESPACE, "DEF")

# Names of all registered ops, in the order of registration.
OPS: list[str] = []

# Other devices' autocast has a fall-through of its own; the one of PrivateUse1 has none in any
# version of torch, so an op without a rule there could not be called under autocast.
_AUTOCAST_KEYS = ("AutocastCPU", "AutocastCUDA", "AutocastPrivateUse1")


def register(
    schema: str,
    *,
    reference: Callable[..., Any],
    fake: Callable[..., Any],
    setup_context: Callable[..., None] | None = None,
    backward: Callable[..., Any] | None = None,
    autocast_to_float32: bool = False,
) -> None:
    """Registers one op: its schema, its reference, and what it does under each torch feature.

    Args:
        schema: the op's signature in torch's schema language, with its name and no namespace.
        reference: the implementation in plain torch ops, used wherever no kernel is compiled.
        fake: the same checks as the reference, and empty results of the right shape and strides.
        setup_context, backward: the gradient, as torch.library.register_autograd takes them.
            Without `backward` the op is not differentiable and its results need no gradient.
        autocast_to_float32: under autocast, floating arguments below float32 are cast to it;
            otherwise the op takes the dtypes it is given.
    """
    name = schema.partition("(")[0]
    # Inductor may lay out the arguments of custom ops as it likes, while the strides of our results
    # follow those of the arguments: ask for the strides that the fake kernel was shown.
    tags = (torch.Tag.pt2_compliant_tag, torch.Tag.needs_fixed_stride_order)
    LIBRARY.define(schema, tags=tags)
    LIBRARY.impl(name, reference, "CompositeExplicitAutograd")
    torch.library.register_fake(f"{NAMESPACE}::{name}", fake, lib=LIBRARY)

    if backward is None:
        # Said for all devices: torch before 2.10 has no default for AutogradPrivateUse1, and
        # elsewhere the default would warn in backward instead of detaching.
        LIBRARY.impl(name, torch.library.fallthrough_kernel, "Autograd")
    else:
        torch.library.register_autograd(
            f"{NAMESPACE}::{name}", backward, setup_context=setup_context, lib=LIBRARY
        )

    for key in _AUTOCAST_KEYS:
        if autocast_to_float32:
            # torch.library.register_autocast came with torch 2.7 and refuses vendors' devices.
            LIBRARY.impl(name, _float32_rule(name, key), key)
        else:
            LIBRARY.impl(name, torch.library.fallthrough_kernel, key)
    OPS.append(name)


def _float32_rule(name: str, key: str) -> Callable[..., Any]:
    """The autocast kernel that widens low-precision arguments and goes on below autocast."""
    excluded = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, key))

    def widen(value: Any) -> Any:
        if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16):
            return value.float()
        return value

    def rule(*args: Any, **kwargs: Any) -> Any:
        op = getattr(getattr(torch.ops, NAMESPACE), name)
        with torch._C._ExcludeDispatchKeyGuard(excluded):
            return op(*map(widen, args), **{k: widen(v) for k, v in kwargs.items()})

    return rule

"""The operator library `cornernet` and the one function that registers an op in it.

An op is a schema with implementations for dispatch keys; which one runs is the dispatcher's choice:

- `CompositeExplicitAutograd`: the reference, plain torch ops, good on every device;
- `CPU`, `CUDA`, `PrivateUse1`: a compiled kernel, if `_C` has one; it shadows the reference there;
- `Meta`: the fake kernel: the same checks and an empty result, for torch.compile and torch.export;
- `Autograd`: the gradient formula, or "not differentiable"; for torch.func see `_transformable`;
- `Autocast*`: what mixed precision does with the arguments.
"""

from __future__ import annotations

import inspect
from collections import namedtuple
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import torch
from torch import Tensor, library

NAMESPACE = "cornernet"
LIBRARY = library.Library(NAMESPACE, "DEF")

P = ParamSpec("P")  # the parameters of an op
R = TypeVar("R")  # its results

# Names of all registered ops, in the order of registration.
OPS: list[str] = []

# Other devices' autocast has a fall-through of its own; the one of PrivateUse1 has none in any
# version of torch, so an op without a rule there could not be called under autocast.
_AUTOCAST_KEYS = ("AutocastCPU", "AutocastCUDA", "AutocastPrivateUse1")


def register(
    op: Callable[P, R],
    schema: str,
    *,
    check: Callable[[Any], None],
    reference: Callable[[Any], R],
    fake: Callable[[Any], R],
    setup_context: Callable[..., None] | None = None,
    backward: Callable[..., Any] | None = None,
    vmap: Callable[..., Any] | None = None,
    autocast_to_float32: bool = False,
) -> tuple[Callable[..., R], Callable[P, R]]:
    """Register one op: its schema, its reference, and what it does under each torch feature.

    Args:
        op: the public function. Its signature names the arguments that `check`, `reference` and
            `fake` get as one named tuple, so that no list of them is written again.
        schema: the same signature in torch's schema language, without a namespace.
        check: raises ValueError or TypeError for wrong arguments. It runs before the reference and
            before the fake kernel.
        reference: the implementation in plain torch ops, used wherever no kernel is compiled.
        fake: empty results of the right shape, dtype and strides.
        setup_context, backward: the gradient, as torch's register_autograd takes them.
            Without `backward` the op is not differentiable and its results need no gradient.
        vmap: with them: the op of a batch, as torch.autograd.Function.vmap takes it.
        autocast_to_float32: under autocast, floating arguments below float32 are cast to it;
            otherwise the op takes the dtypes it is given.

    Returns:
        What `op` has to call: the op by its schema. And the checked reference, which takes what
        `op` takes and can be called directly.
    """
    name = schema.partition("(")[0]
    # Inductor may lay out the arguments of custom ops as it likes, while the strides of our results
    # follow those of the arguments: ask for the strides that the fake kernel was shown.
    tags = (torch.Tag.pt2_compliant_tag, torch.Tag.needs_fixed_stride_order)
    LIBRARY.define(schema, tags=tags)
    checked_reference = _checked(op, check, reference if backward else torch.no_grad()(reference))
    checked_fake = _checked(op, check, fake)
    LIBRARY.impl(name, checked_reference, "CompositeExplicitAutograd")
    library.register_fake(f"{NAMESPACE}::{name}", checked_fake, lib=LIBRARY)

    if backward is None:
        # Said for all devices: torch before 2.10 has no default for AutogradPrivateUse1, and
        # elsewhere the default would warn in backward instead of detaching.
        LIBRARY.impl(name, library.fallthrough_kernel, "Autograd")
    else:
        library.register_autograd(
            f"{NAMESPACE}::{name}", backward, setup_context=setup_context, lib=LIBRARY
        )

    for key in _AUTOCAST_KEYS:
        if autocast_to_float32:
            # register_autocast came with torch 2.7 and refuses vendors' devices.
            LIBRARY.impl(name, _float32_rule(name, key), key)
        else:
            LIBRARY.impl(name, library.fallthrough_kernel, key)
    OPS.append(name)

    overload = getattr(getattr(torch.ops, NAMESPACE), name).default
    if setup_context is None or backward is None or vmap is None:
        return overload, checked_reference
    return _transformable(overload, setup_context, backward, vmap), checked_reference


def _checked(
    op: Callable[P, R], check: Callable[[Any], None], function: Callable[[Any], R]
) -> Callable[P, R]:
    """Bind a call to the arguments of `op`, check them, and call the function with them."""
    signature = inspect.signature(op)
    defaults = [p.default for p in signature.parameters.values() if p.default is not p.empty]
    names = [*signature.parameters]
    # Checkers of types know namedtuple with literal names only.
    arguments = cast(Any, namedtuple)("arguments", names, defaults=defaults)

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = arguments(*args, **kwargs)
        check(bound)
        return function(bound)

    call.__name__ = call.__qualname__ = function.__name__
    call.__doc__ = f"`{op.__name__}` in plain torch."
    # What inspect.signature and help() show.
    vars(call)["__signature__"] = signature
    return call


def _transformable(
    op: Callable[..., Any],
    setup_context: Callable[..., None],
    backward: Callable[..., Any],
    vmap: Callable[..., Any],
) -> Callable[..., Any]:
    """The op, and where torch.func is at work an autograd function around it.

    No version of torch lets torch.func.grad into what register_autograd makes. The compiler, on the
    other hand, is to see the op itself.
    """
    members = {
        "forward": staticmethod(lambda *args: op(*args)),
        "setup_context": staticmethod(setup_context),
        "backward": staticmethod(backward),
        "vmap": staticmethod(vmap),
    }
    function: Any = type(str(op), (torch.autograd.Function,), members)

    def call(*args: Any) -> Any:
        if torch.compiler.is_compiling() or torch._C._functorch.peek_interpreter_stack() is None:
            return op(*args)
        return function.apply(*args)

    return call


def batch_first(size: int, dims: tuple[int | None, ...], *tensors: Tensor) -> list[Tensor]:
    """For rules of vmap: each tensor with the dimension of the batch in front.

    Args:
        size: of the batch.
        dims: where each tensor has that dimension; None where all of the batch share one tensor.
        tensors: one for each of `dims`.
    """
    return [
        tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
        for tensor, dim in zip(tensors, dims, strict=True)
    ]


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

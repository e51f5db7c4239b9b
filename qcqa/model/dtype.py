"""In which type models run: their checkpoint's, unless this machine is slow in it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter

#: Asks for the fastest type of this machine; in a row of figures it is the checkpoint's own.
AUTO_DTYPE = "auto"

#: What people choose from.
DTYPES = (AUTO_DTYPE, "float32", "bfloat16", "float16")

_HALVES = ("bfloat16", "float16")

#: Half types save memory: only what takes clearly longer is run in another.
_SLOW = 1.5
#: Tokens, inputs and outputs of the product that is timed: a small layer reading a short text.
_TOKENS, _WIDTH, _REPEATS = 256, 1024, 3

#: Returns how many times as long as in float32 a product takes in a type.
Slowdown = Callable[[str], float]


@dataclass(frozen=True, slots=True)
class ChosenDtype:
    """A type in which models run.

    Parameters
    ----------
    name : str
        Torch's name of it.
    why : str
        Why it is this one, in a few words.
    """

    name: str
    why: str


@lru_cache
def measured_slowdown(dtype: str) -> float:
    """Time a product of matrices on this processor in a type and in float32, and compare them."""
    # Here, because most that asks for a type has no need to load torch.
    import torch

    def seconds(kind: torch.dtype) -> float:
        inputs, weights = (torch.ones(rows, _WIDTH, dtype=kind) for rows in (_TOKENS, _WIDTH))
        times = []
        # The first one sets up what the others use.
        for _ in range(1 + _REPEATS):
            started = perf_counter()
            torch.nn.functional.linear(inputs, weights)
            times.append(perf_counter() - started)
        return min(times[1:])

    return seconds(getattr(torch, dtype)) / seconds(torch.float32)


def dtype_to_run(
    asked: str, checkpoint_dtype: str, *, device: str, slowdown: Slowdown | None = None
) -> ChosenDtype:
    """Return the type in which models are to run.

    Parameters
    ----------
    asked : str
        ``auto``, or torch's name of a type.
    checkpoint_dtype : str
        The checkpoint's.
    device : str
        Torch's name of it.
    slowdown : callable, optional
        Where it is known already how fast this processor is; it is measured by default.
    """
    if asked != AUTO_DTYPE:
        return ChosenDtype(asked, "as asked")
    if checkpoint_dtype not in _HALVES or device.partition(":")[0] != "cpu":
        return ChosenDtype(checkpoint_dtype, "the checkpoint's own")
    factor = (slowdown or measured_slowdown)(checkpoint_dtype)
    if factor < _SLOW:
        return ChosenDtype(
            checkpoint_dtype, "the checkpoint's own, and this processor is fast in it"
        )
    return ChosenDtype(
        "float32", f"this processor takes {factor:.1f} times as long in {checkpoint_dtype}"
    )


def kept_dtype(dtype: str, checkpoint_dtype: str) -> str:
    """Return what rows of figures call a type: ``auto`` if it is the checkpoint's own."""
    return AUTO_DTYPE if dtype == checkpoint_dtype else dtype

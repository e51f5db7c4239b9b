"""Where, and in which type, models can run here."""

import torch

from qcqa.errors import EvaluationError

#: Types in which a model can run; ``auto`` is that of its checkpoint.
_DTYPES = ("auto", "float32", "bfloat16", "float16", "float64")


def require_usable(device: str, dtype: str) -> None:
    """Refuse a device or a type that torch does not have, before a model is read.

    Raises
    ------
    EvaluationError
        If it is one.
    """
    try:
        # What torch raises depends on the kind of device that it lacks.
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise EvaluationError(
            f"device {device!r} ({reason})", expected="cpu, or an accelerator that torch sees"
        ) from error
    if dtype not in _DTYPES:
        raise EvaluationError(f"dtype {dtype!r}", expected=f"one of {', '.join(_DTYPES)}")

"""Where, and in which type, models can run here."""

import torch

from qcqa.errors import EvaluationError
from qcqa.model.dtype import DTYPES

#: Types in which a model can run; see :mod:`qcqa.model.dtype` for ``auto``.
_DTYPES = (*DTYPES, "float64")


#: Asks for :func:`default_device`.
AUTO_DEVICE = "auto"


def default_device() -> str:
    """Return where models run unless they are asked to run elsewhere: a GPU that torch can use."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def usable_device(device: str, dtype: str) -> str:
    """Refuse a device or a type that torch does not have, before a model is read.

    Parameters
    ----------
    device : str
        ``auto``, or torch's name of it.
    dtype : str
        ``auto``, or torch's name of it.

    Returns
    -------
    str
        Torch's name of the device.

    Raises
    ------
    EvaluationError
        If it is one.
    """
    if device == AUTO_DEVICE:
        device = default_device()
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
    return device

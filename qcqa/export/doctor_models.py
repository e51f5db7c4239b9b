"""The part of ``qcqa doctor`` that runs torch and transformers, in a process of its own.

Nothing of either is imported before its turn comes, so that what fails there is one line.
"""

import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

from qcqa.errors import QCQAError
from qcqa.export.doctor import Check
from qcqa.sizes import bytes_text

if TYPE_CHECKING:
    from qcqa.export.tiny_proof import TinyProof

#: Width of the square matrices that are multiplied, and how often: the quickest counts.
_WIDTH, _TIMES = 512, 5


def main() -> None:
    """Print each check on a line of its own, in JSON."""
    to_reader, sys.stdout = sys.stdout, sys.stderr  # what libraries print is not for the reader
    with TemporaryDirectory(prefix="qcqa-doctor-") as temporary:
        for check in examine_models(Path(temporary)):
            print(json.dumps(asdict(check)), file=to_reader, flush=True)


def examine_models(folder: Path) -> Iterator[Check]:
    """Look at torch, its devices and transformers, and carry a tiny model through all.

    Parameters
    ----------
    folder : Path
        Empty; the tiny models are written into it.
    """
    failed = ""
    for name, step in _steps(folder):
        if failed:
            yield Check(name, "fail", f"not tried, since '{failed}' failed")
            continue
        # Whatever goes wrong, the reason and the other lines are what is asked for.
        try:
            yield Check(name, "pass", step())
        except Exception as error:
            failed = name
            yield Check(name, "fail", _reason(error))
        else:
            if step is _torch_runs:
                yield from _machine()


def _steps(folder: Path) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "torch runs", _torch_runs
    yield "transformers runs", _transformers_runs
    made: list[TinyProof] = []

    def convert() -> str:
        from qcqa.export.tiny_proof import TinyProof

        made.append(TinyProof(folder))
        return made[0].convert()

    yield "a tiny model is converted", convert
    yield "it opens", lambda: made[0].open()
    yield "its live KV cache", lambda: made[0].count()
    yield "it writes", lambda: made[0].write()


def _torch_runs() -> str:
    import torch

    product = torch.ones(8, 8) @ torch.ones(8, 8)
    if not bool((product == 8).all()):
        raise ValueError(f"a product of ones is {product[0, 0]}, not 8")
    return str(torch.__version__)


def _transformers_runs() -> str:
    # The first is what most of it hangs on.
    from transformers import AutoModelForCausalLM, __version__

    return f"{__version__}, with {AutoModelForCausalLM.__name__}"


def _machine() -> Iterator[Check]:
    """Yield notes on where models can run here, and how fast."""
    for name, look in (
        ("devices", _devices),
        ("threads", _threads),
        ("bfloat16", _bfloat16),
    ):
        try:
            yield Check(name, "note", look())
        except Exception as error:
            yield Check(name, "note", f"not known ({_reason(error)})")


def _devices() -> str:
    import torch

    from qcqa.model.device import default_device

    found = []
    for index in range(torch.cuda.device_count()):
        free, whole = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        found.append(f"cuda:{index} {name}, {bytes_text(free)} of {bytes_text(whole)} free")
    if torch.backends.mps.is_available():
        found.append("mps")
    found.append(f"cpu {_processor()}, {os.cpu_count()} cores")
    if not torch.cuda.is_available() and shutil.which("nvidia-smi"):
        found.append("there is a GPU that this torch does not see: install its build for CUDA")
    return f"{'; '.join(found)}; models run on {default_device()} by default"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _threads() -> str:
    import torch

    return f"{torch.get_num_threads()} of torch"


def _bfloat16() -> str:
    import torch

    from qcqa.model.device import default_device

    def seconds(dtype: torch.dtype) -> float:
        matrix = torch.randn(_WIDTH, _WIDTH, device=device).to(dtype)
        times = []
        for _ in range(1 + _TIMES):  # the first one prepares
            started = perf_counter()
            # Bringing a number over waits for the device.
            (matrix @ matrix)[0, 0].item()
            times.append(perf_counter() - started)
        return min(times[1:])

    device = default_device()
    ratio = seconds(torch.bfloat16) / seconds(torch.float32)
    return f"a product of matrices takes {ratio:.2g} times as long as in float32, on {device}"


def _reason(error: Exception) -> str:
    """Return an error on one line."""
    if isinstance(error, QCQAError):
        return error.one_line()
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


if __name__ == "__main__":
    main()

"""Check and measure converted models on a GPU, in one command of a few minutes.

Needs torch, transformers, numpy, scipy and safetensors; what else this project imports for it comes
from the wheels that ``prepare.py`` has fetched, and nothing is downloaded::

    python tests/gpu/run.py --json figures.json

Prints a row for everything that was measured. A part that fails says so in one row and the others
go on; a part that would not fit into the time is skipped, and said to be. Exit code 1 if anything
failed, 2 if a package or a part is missing. Without CUDA all sizes are tiny: it is tried out.
"""

import argparse
import gc
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from gpu_checks import wheels
from gpu_checks.parts import Outcome, Row, run_parts

_PROJECT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run all parts, print their rows, and return the exit code."""
    started = perf_counter()
    options = _options()
    with TemporaryDirectory() as folder:
        lacking = wheels.missing()
        if lacking:
            try:
                wheels.install(
                    wheels.requirements(lacking), options.wheels, Path(folder, "packages")
                )
            except subprocess.CalledProcessError:
                print(
                    f"{', '.join(lacking)} is missing here, and {options.wheels} has no wheel that "
                    "does; run prepare.py where there is a package registry",
                    file=sys.stderr,
                )
                return 2
        # What transformers keeps of a model's own code goes away with the rest.
        os.environ |= {"HF_HOME": str(Path(folder, "hf")), "HF_HUB_OFFLINE": "1"}
        sys.path.insert(0, str(_PROJECT))
        return _measure(options, started)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="tiny models: try out the script")
    parser.add_argument("--minutes", type=float, default=8, help="time for all, default: 8")
    parser.add_argument("--only", default="", help="only parts with this in their name")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument(
        "--wheels",
        type=Path,
        default=wheels.FOLDER,
        help="folder that prepare.py has filled, default: %(default)s",
    )
    return parser.parse_args()


def _measure(options: argparse.Namespace, started: float) -> int:
    import torch
    import transformers
    from gpu_checks.every_part import every_part

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tiny = options.tiny or device.type == "cpu"
    if device.type == "cpu":
        # A machine on which the script is tried out need not have a compiler.
        torch.compiler.set_stance("force_eager")
    parts = [part for part in every_part(device, tiny=tiny) if options.only in part.name]
    if not parts:
        print(f"no part has {options.only!r} in its name", file=sys.stderr)
        return 2
    report: dict[str, Any] = {
        "format": "qcqa-gpu-1",
        "tiny": tiny,
        "minutes": options.minutes,
        "environment": _environment(device),
    }
    print(", ".join(f"{name} {value}" for name, value in report["environment"].items()), flush=True)
    outcomes: list[Outcome] = []
    seconds = 60 * options.minutes - (perf_counter() - started)
    for outcome in run_parts(parts, seconds=seconds, on_row=_print):
        outcomes.append(outcome)
        # What failed may hold models in its frames.
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
        if options.json:
            # After every part: whoever ends this early has the figures so far.
            report |= {
                "seconds": perf_counter() - started,
                "parts": [asdict(one) for one in outcomes],
            }
            options.json.write_text(json.dumps(report, indent=2) + "\n")
    counts = dict.fromkeys(("passed", "failed", "skipped", "not applicable"), 0)
    for outcome in outcomes:
        counts[outcome.state] += 1
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    print(f"{len(outcomes)} parts in {perf_counter() - started:.0f} s: {told}")
    return 1 if counts["failed"] else 0


def _print(part: str, row: Row) -> None:
    print(f"{row.state:<15}{part:<34}{row.what:<30}{row.figure}", flush=True)


def _environment(device: Any) -> dict[str, str]:
    """Return what figures depend on."""
    import torch
    import transformers

    found = {
        "device": "CPU",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "cores": str(len(os.sched_getaffinity(0))),
    }
    if device.type == "cuda":
        gpu = torch.cuda.get_device_properties(device)
        memory = f"{gpu.total_memory / 2**30:.0f} GiB"
        found |= {"device": gpu.name, "memory": memory, "CUDA": str(torch.version.cuda)}
    return found


if __name__ == "__main__":
    sys.exit(main())

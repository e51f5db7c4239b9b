"""Try mutated files of every format: ``python -m tests.fuzz --minutes 30``.

Prints what was tried, accepted and refused, and every fault with the file that made it; a fault is
whatever is neither read nor refused in one line within ten seconds of the processor and two GiB.
Exits with 1 if there is any.
"""

import argparse
import logging
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path


def main() -> int:
    """Try examples, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0, help="of all formats together")
    parser.add_argument("--seed", type=int, default=None, help="the same seed, the same examples")
    parser.add_argument("--only", action="append", help="a format; may be repeated")
    parser.add_argument(
        "--keep", type=Path, help="folder for the files that made a fault or took longest"
    )
    asked = parser.parse_args()
    number = secrets.randbelow(2**32) if asked.seed is None else asked.seed
    with tempfile.TemporaryDirectory() as scratch:
        os.environ |= {"QCQA_HOME": f"{scratch}/home", "HF_HUB_OFFLINE": "1"}
        return _try_all(asked, number, Path(scratch))


def _try_all(asked: argparse.Namespace, number: int, scratch: Path) -> int:
    # Here, because where runs are kept is read from the environment.
    from tests.fuzz.formats import all_formats
    from tests.fuzz.runner import limit_memory, try_examples

    # Pages without a browser, and damaged models, are warned of over and over.
    logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context").disabled = True
    logging.getLogger("transformers").setLevel(logging.CRITICAL)
    formats = [one for one in all_formats(scratch) if not asked.only or one.name in asked.only]
    for one in formats:
        one.prepare()
    limit_memory()
    print(f"seed {number}\n{'format':16}   tried  accepted  refused  faults  slowest", flush=True)
    num_faults = 0
    for one in formats:
        until = time.monotonic() + 60 * asked.minutes / len(formats)
        tally = try_examples(one, scratch, until=until, number=number)
        found = [tally.counts[name] for name in ("accepted", "refused", "faults")]
        print(
            f"{one.name:16} {sum(found):7} {found[0]:9} {found[1]:8} {found[2]:7} "
            f"{tally.slowest:6.2f} s",
            flush=True,
        )
        num_faults += len(tally.faults)
        for what, (name, content) in tally.faults.items():
            print(f"    {what}\n        by {name}: {(content or b'gone')[:200]!r}", flush=True)
        if asked.keep:
            _keep(asked.keep, one.name, [*tally.faults.values(), tally.slowest_by])
    return 1 if num_faults else 0


def _keep(folder: Path, name: str, files: list[tuple[str, bytes | None]]) -> None:
    """Write the files that made faults, and then the one that took longest."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, (path, content) in enumerate(files):
        if content is not None:
            (folder / f"{name} {place} {Path(path).name}").write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())

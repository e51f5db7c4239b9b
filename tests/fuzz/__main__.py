"""Try mutated files of every format: ``python -m tests.fuzz --minutes 30``.

Prints what was tried, accepted and refused, and every fault with the file that made it; a fault is
whatever is neither read nor refused in one line within ten seconds and two GiB. Exits with 1 if
there is any.
"""

import argparse
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
    parser.add_argument("--keep", type=Path, help="folder for the files that made a fault")
    asked = parser.parse_args()
    number = secrets.randbelow(2**32) if asked.seed is None else asked.seed
    with tempfile.TemporaryDirectory() as scratch:
        os.environ |= {"QCQA_HOME": f"{scratch}/home", "HF_HUB_OFFLINE": "1"}
        return _try_all(asked, number, Path(scratch))


def _try_all(asked: argparse.Namespace, number: int, scratch: Path) -> int:
    # Here, because where runs are kept is read from the environment.
    from tests.fuzz.formats import all_formats
    from tests.fuzz.runner import limit_memory, try_examples

    formats = [one for one in all_formats(scratch) if not asked.only or one.name in asked.only]
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
        for place, (what, (name, content)) in enumerate(tally.faults.items()):
            print(f"    {what}\n        by {name}: {(content or b'gone')[:200]!r}", flush=True)
            if asked.keep and content is not None:
                asked.keep.mkdir(parents=True, exist_ok=True)
                (asked.keep / f"{one.name} {place} {Path(name).name}").write_bytes(content)
    return 1 if num_faults else 0


if __name__ == "__main__":
    sys.exit(main())

"""A minute of mutated files; ``python -m tests.fuzz --minutes 30`` tries more, of other seeds."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_mutated_file_is_a_fault() -> None:
    # In a process of its own, whose memory is bounded.
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--minutes", "1", "--seed", "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    table = re.findall(r"^(\S.{15}) +\d+ +(\d+) +(\d+) +(\d+) ", done.stdout, re.MULTILINE)
    assert len(table) == 14
    for name, accepted, refused, faults in table:
        assert int(accepted) > 0, name
        # A page makes the best of nearly every address, and few are drawn in a minute.
        assert int(refused) > 0 or name.strip() == "page", name
        assert int(faults) == 0, name

"""A handful of the kills of the campaign; ``python -m tests.fuzz.kills`` does as many as wanted."""

import json
import subprocess
import sys
from pathlib import Path


def test_killed_commands_go_on_to_the_same_bytes() -> None:
    # In a process of its own, as it forks: here threads may be at work.
    command = [sys.executable, "-m", "tests.fuzz.kills"]
    called = subprocess.run(
        [*command, "--kills", "6", "--only", "paper,convert,generate", "--json"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert called.returncode == 0, called.stdout + called.stderr
    told = json.loads(called.stdout)
    assert sum(one["killed"] for one in told) >= 6
    assert all(one["killed"] == one["equal"] for one in told)

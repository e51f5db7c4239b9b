"""Kill commands at random moments, go on, and compare every file with what undisturbed ones make.

    python -m tests.fuzz.kills --kills 100 --seed 0

Each command runs in a fork of this process, which has imported all: what is killed is the work, not
the import of torch. A table of where they were killed and what came of it is printed; the exit code
is the number of faults.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qcqa.cli.main import main as qcqa
from qcqa.jobs.jobs import jobs_of
from qcqa.jobs.run import Run, open_run
from tests.fuzz.kill_tasks import TASKS, Task, make_model

#: Chance that what goes on after a kill is killed again.
_AGAIN = 0.3
_SECONDS_AT_MOST = 300.0


@dataclass
class Tally:
    """What came of the kills of one task at one stage."""

    killed: int = 0
    resumed: int = 0
    equal: int = 0
    faults: list[str] = field(default_factory=list)


def run(arguments: Sequence[str], log: Path, *, kill_after: float | None = None) -> int | None:
    """Run a command in a fork of this process; return its exit code, or None if it was killed."""
    child = os.fork()
    if not child:
        _be(arguments, log)
    deadline = time.monotonic() + (_SECONDS_AT_MOST if kill_after is None else kill_after)
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if kill_after is None:
        raise TimeoutError(f"{arguments} takes more than {_SECONDS_AT_MOST:.0f} s")
    return None if code == -signal.SIGKILL else code


def _be(arguments: Sequence[str], log: Path) -> None:
    """Be the command: never returns."""
    code = 70
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.argv = ["qcqa", *arguments]
        qcqa()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Campaign:
    """Kills over all tasks, each beside an undisturbed run of the same command."""

    def __init__(self, place: Path, seed: int, tasks: Sequence[Task], *, megabytes: int = 0):
        self._place = place
        self._megabytes = megabytes
        self._draw = random.Random(seed)
        self._tasks = tasks
        self.tallies: dict[tuple[str, str], Tally] = {}
        self._expected: dict[str, dict[str, bytes]] = {}
        self._seconds: dict[str, float] = {}
        self._trials = 0

    def prepare(self) -> None:
        """Make the model, and run every task once without disturbing it."""
        child = os.fork()
        if not child:
            make_model(self._place / "model", megabytes=self._megabytes)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        for task in TASKS:
            if task in self._tasks or any(one.after == task.name for one in self._tasks):
                folder = self._place / task.name
                task.prepare(folder, self._place)
                begun = time.monotonic()
                code = run(task.command(folder), self._place / "log.txt")
                if code:
                    raise RuntimeError(f"{task.name} ends with {code}: see {self._place}/log.txt")
                self._seconds[task.name] = time.monotonic() - begun
                self._expected[task.name] = task.result(folder)

    def kill(self, kills: int) -> None:
        """Kill so many times in all, in turns of tasks."""
        while sum(one.killed for one in self.tallies.values()) < kills:
            task = self._tasks[self._trials % len(self._tasks)]
            self._trials += 1
            self._try(task, self._place / "trials" / str(self._trials))

    def _try(self, task: Task, folder: Path) -> None:
        task.prepare(folder, self._place)
        log, command, hit, code = folder.with_suffix(".log"), task.command(folder), [], 0
        while command and not (hit and self._draw.random() > _AGAIN):
            seconds = self._draw.uniform(0, self._seconds[task.name])
            ended = run(command, log, kill_after=seconds)
            if ended is not None:
                command, code = [], ended
                break
            tally = self.tallies.setdefault((task.name, task.stage(folder)), Tally())
            tally.killed += 1
            hit.append(tally)
            if problem := _half_valid(task, folder):
                tally.faults.append(f"{folder}: {problem}")
            command = task.go_on(folder)
        if command:
            code = run(command, log) or 0
        for tally in hit:
            if code:
                said = log.read_text(errors="replace").splitlines()[-1:]
                tally.faults.append(f"{folder}: going on ends with {code}: {said}")
                continue
            tally.resumed += 1
            if problem := _difference(task.result(folder), self._expected[task.name]):
                tally.faults.append(f"{folder}: {problem}")
            elif left := [path.name for path in folder.parent.rglob("*.tmp")]:
                tally.faults.append(f"{folder}: left {left}")
            else:
                tally.equal += 1


def _half_valid(task: Task, folder: Path) -> str | None:
    """Return what is wrong with what a kill has left, if anything is."""
    for one in _runs(folder):
        if one.status().state == "running":
            return f"{one.id} shows as running"
    if task.is_whole_or_not_there and folder.exists() and not (folder / "plan.json").is_file():
        return "half a folder"
    return None


def _runs(folder: Path) -> list[Run]:
    if not (folder / "config.json").exists() or (folder / "plan.json").exists():
        return []
    return [open_run(folder), *jobs_of(open_run(folder))]


def _difference(found: dict[str, bytes], expected: dict[str, bytes]) -> str | None:
    if found.keys() != expected.keys():
        return f"other files: {sorted(found.keys() ^ expected.keys())}"
    other = [name for name, content in expected.items() if found[name] != content]
    return f"other bytes in {other}" if other else None


def _print(campaign: Campaign) -> None:
    print(f"{'command':<10} {'killed at':<44} {'killed':>6} {'resumed':>7} {'equal':>5} faults")
    for (task, stage), one in sorted(campaign.tallies.items()):
        print(
            f"{task:<10} {stage[:44]:<44} {one.killed:>6} {one.resumed:>7} {one.equal:>5} "
            f"{len(one.faults)}"
        )
    total = Counter[str]()
    for one in campaign.tallies.values():
        total.update(killed=one.killed, resumed=one.resumed, equal=one.equal)
    print(f"{'all':<55} {total['killed']:>6} {total['resumed']:>7} {total['equal']:>5}")
    for one in campaign.tallies.values():
        print("".join(f"FAULT {fault}\n" for fault in one.faults), end="")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a campaign; return the number of faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="tasks, separated by commas")
    parser.add_argument("--megabytes", type=int, default=0, help="of further weights of the model")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    names = asked.only.split(",") if asked.only else [task.name for task in TASKS]
    with tempfile.TemporaryDirectory(prefix="qcqa-kills-") as place:
        os.environ |= {"QCQA_HOME": f"{place}/home", "HF_HUB_OFFLINE": "1"}
        tasks = [one for one in TASKS if one.name in names]
        campaign = Campaign(Path(place), asked.seed, tasks, megabytes=asked.megabytes)
        campaign.prepare()
        campaign.kill(asked.kills)
        if asked.json:
            print(json.dumps([vars(one) for one in campaign.tallies.values()]))
        else:
            _print(campaign)
    return sum(len(one.faults) for one in campaign.tallies.values())


if __name__ == "__main__":
    sys.exit(min(main(), 100))

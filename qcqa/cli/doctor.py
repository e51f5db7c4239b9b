"""``qcqa doctor``: whether all that is needed is here and works."""

from dataclasses import asdict

import typer
from rich.table import Table
from rich.text import Text

from qcqa.charts.common.figure_file import BROWSER_REMEDY, find_browser
from qcqa.cli.output import JsonOption, console, fraction_bar, print_json
from qcqa.export.doctor import Check, examine
from qcqa.jobs.home import runs_folder

_STYLES = {"pass": "green", "fail": "bold red", "note": "dim"}


def doctor(as_json: JsonOption = False) -> None:
    """Check versions, devices and disk, and carry a tiny model through conversion to a text.

    The first thing that a bug report should hold. Nothing is downloaded and nothing is kept. The
    exit code is 1 if a line fails.

    Examples
    --------
        qcqa doctor

        qcqa doctor --json > doctor.json
    """
    checks = []
    with fraction_bar() as show:
        for check in examine(
            home=runs_folder(), browser=find_browser(), browser_remedy=BROWSER_REMEDY
        ):
            checks.append(check)
            show("running a tiny model", 0.5)
    failed = [check for check in checks if check.state == "fail"]
    if as_json:
        print_json({"passed": not failed, "checks": [asdict(check) for check in checks]})
    else:
        _print(checks)
        console.print(f"{len(failed)} failed" if failed else "All passed")
    if failed:
        raise typer.Exit(1)


def _print(checks: list[Check]) -> None:
    table = Table.grid(padding=(0, 2))
    for check in checks:
        table.add_row(Text(check.state, _STYLES[check.state]), check.name, Text(check.found))
    console.print(table)

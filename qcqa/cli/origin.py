"""What is said on standard error of a plan that is taken: why this one, and what is missing.

It is said once nothing can be refused any more: a mistake is one line.
"""

import typer

from qcqa.cli.jobs import name_of
from qcqa.jobs.run import Run
from qcqa.jobs.unfinished import unfinished
from qcqa.plan.plan import Plan


def tell_origin(run: Run, plan: Plan) -> None:
    """Say what the search lacks, and why the plan is this method's unless it was asked for."""
    tell_unfinished(run)
    if "chosen" in plan.provenance:
        typer.echo(plan.provenance["chosen"]["why"], err=True)


def tell_unfinished(run: Run) -> None:
    """Say in one line what a search lacks that did not finish; nothing of one that did."""
    lacks = unfinished(run)
    if lacks is not None:
        remedy = f" `qcqa runs resume {name_of(run)}` goes on." if lacks.can_resume else ""
        typer.echo(f"{lacks.sentence}{remedy}", err=True)

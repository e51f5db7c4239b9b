"""The plan of a run for a budget, with all that is known of it."""

from collections.abc import Iterable
from dataclasses import replace
from math import isfinite
from typing import Any

from qcqa.errors import BudgetError
from qcqa.jobs.run import Run
from qcqa.jobs.unfinished import unfinished
from qcqa.measure.evaluation import Evaluation, figures_of_plan
from qcqa.pick.plan import plan_of_result
from qcqa.plan.budget import bits_of_point
from qcqa.plan.plan import Plan
from qcqa.search.result import SearchResult


def plan_of_run(
    run: Run,
    max_kv_bits: int,
    *,
    method: str | None = None,
    result: SearchResult | None = None,
    rows: Iterable[Evaluation] | None = None,
) -> Plan:
    """Return the best plan of a run for a budget, with what was measured of it.

    Where the search did not finish, its provenance says so under ``search``.

    Parameters
    ----------
    run : Run
        The search.
    max_kv_bits : int
        Bits of the KV cache per token; see :mod:`qcqa.plan.budget`.
    method : str, optional
        Whose plan; by default that of :func:`~qcqa.pick.best.best_method`.
    result, rows : optional
        The run's result and figures, where they are read already.

    Raises
    ------
    QCQAError
        If the run is no search, has no result yet, or no plan fits.
    """
    result = run.result() if result is None else result
    rows = run.measured() if rows is None else tuple(rows)
    lacks = unfinished(run)
    if lacks is not None and method in lacks.missing:
        raise BudgetError(
            f"no plan of {method!r} yet",
            expected=f"one of {', '.join(result.fronts)}",
            remedy=f"qcqa runs resume {run.id}" if lacks.can_resume else "wait for the search",
        )
    plan = plan_of_result(
        result,
        max_kv_bits,
        method=method,
        rows=rows,
        settings=run.search.settings,
        run=run.id,
    )
    origin = {"search": lacks.to_json()} if lacks else {}
    # A plan's file holds numbers alone.
    figures = figures_of_plan(plan, rows)
    return replace(
        plan,
        measured=tuple(figure for figure in figures if isfinite(figure.value)),
        provenance={**plan.provenance, **origin},
    )


def plan_at(run: Run, point: tuple[str, int]) -> Plan:
    """Return the best plan of a method within so many bits per token; see :func:`plan_of_run`."""
    (method, budget), result = point, run.result()
    return plan_of_run(run, bits_of_point(result.spec, budget), method=method, result=result)


def origin_of(plan: Plan) -> dict[str, Any]:
    """Return why a plan of a run was taken and what its search lacked, as JSON values.

    They are named as in the plan's provenance, and left out where there is nothing to say:
    ``chosen`` and ``search``.
    """
    return {key: plan.provenance[key] for key in ("chosen", "search") if key in plan.provenance}

"""``qcqa groups``: which heads share in a plan, what that costs, and where another plan differs."""

from collections.abc import Iterable
from dataclasses import asdict
from math import isnan
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from qcqa.charts.common.palette import method_style
from qcqa.charts.common.wording import wse_note
from qcqa.charts.layers.differences import PlanDifference, difference_table, plan_difference
from qcqa.charts.layers.group_costs import group_cost_table, layer_cost_table
from qcqa.charts.layers.layer_bars import LayerErrors, layer_errors
from qcqa.cli.budget_options import (
    BatchOption,
    BudgetGibOption,
    BudgetOption,
    ContextOption,
    DtypeOption,
    at_budget,
)
from qcqa.cli.jobs import RunArgument
from qcqa.cli.origin import tell_origin
from qcqa.cli.output import JsonOption, console, print_json, print_table
from qcqa.cli.summary import print_groupings
from qcqa.errors import SettingsError
from qcqa.jobs.plans import origin_of, plan_of_run
from qcqa.jobs.store import find_run
from qcqa.pick.plan import plan_of_result
from qcqa.plan.plan import Plan
from qcqa.reduce.groups.costs import LayerCost, layer_costs
from qcqa.reduce.linear_map import MapShape


def groups(
    run: RunArgument,
    budget: BudgetOption = None,
    budget_gib: BudgetGibOption = None,
    context: ContextOption = None,
    batch: BatchOption = 1,
    dtype: DtypeOption = None,
    method: Annotated[
        str | None,
        typer.Option("--method", "-m", help="Whose plan; the one that `qcqa plan` takes if unset."),
    ] = None,
    layer: Annotated[
        int | None, typer.Option("--layer", help="Only this layer, and what each group costs.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", help="Method: say which heads its plan lets share differently."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show which heads share in the plan for a budget and in how many bits, and what that costs.

    Examples
    --------
        qcqa groups demo --budget 50%

        qcqa groups demo --budget 50% --method optimal --layer 3

        qcqa groups demo --budget 50% --method optimal --against gqa --json
    """
    found = find_run(run)
    result, kv_bits = at_budget(
        found.result(),
        budget=budget,
        budget_gib=budget_gib,
        context=context,
        batch=batch,
        dtype=dtype,
    )
    if layer is not None and not 0 <= layer < result.spec.num_layers:
        raise SettingsError(f"layer {layer}", expected=f"0 to {result.spec.num_layers - 1}")
    layers = range(result.spec.num_layers) if layer is None else [layer]
    plan = plan_of_run(found, kv_bits, method=method, result=result)
    errors = layer_errors(result.front(plan.method), plan)
    costs = [] if layer is None else layer_costs(result.grams.layers[layer], plan.layers[layer])
    difference = None
    if against is not None:
        difference = plan_difference(plan, plan_of_result(result, kv_bits, method=against))
    tell_origin(found, plan)
    if as_json:
        answer = _plan_json(plan, errors, layers) | origin_of(plan)
        if costs:
            answer["costs"] = [_cost_json(cost) for cost in costs]
        if difference is not None:
            answer["differences"] = {"against": against, **_difference_json(difference, layers)}
        print_json(answer)
        return
    print_groupings(plan, layers)
    if layer is None:
        console.print(f"\n{errors.sentence}", highlight=False)
        _print(_layer_table(plan, errors))
    else:
        _print(layer_cost_table(costs))
        _print(group_cost_table(costs))
        console.print(wse_note(plan), style="dim")
    if difference is not None:
        console.print(f"Beside {method_style(str(against)).label}: {difference.sentence}")
        _print(difference_table(difference).iloc[list(layers)])


def _layer_table(plan: Plan, errors: LayerErrors) -> pd.DataFrame:
    keys, values = zip(*(layer.sites for layer in plan.pictures), strict=True)
    sites = {"K": keys, "V": values}
    heads = {f"{name} heads": [site.num_stored for site in sites[name]] for name in sites}
    how = {f"{name} in": [site.words or "full" for site in sites[name]] for name in sites}
    return pd.DataFrame(
        {
            "layer": range(plan.model.num_layers),
            **heads,
            **(how if plan.has_words else {}),
            errors.label: errors.per_layer,
        }
    )


def _print(table: pd.DataFrame) -> None:
    """Print a table of few digits, without what is not known."""
    if len(table):
        rows = table.to_dict("records")
        print_table([{str(name): _text(value) for name, value in row.items()} for row in rows])


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "" if isnan(value) else f"{value:.4g}"
    return str(value)


def _plan_json(plan: Plan, errors: LayerErrors, layers: Iterable[int]) -> dict[str, Any]:
    pictures, heads = plan.pictures, plan.model.num_kv_heads
    return {
        "method": plan.method,
        "merge": plan.merge,
        "kv_ratio": plan.kv_ratio,
        "relative_wse": plan.predicted.relative_wse,
        "fitness": errors.fitness,
        "layers": [
            {
                "layer": number,
                "key": pictures[number].key.readers,
                "value": pictures[number].value.readers,
                "key_map": _map_json(plan.layers[number].map_shapes(heads)[0]),
                "value_map": _map_json(plan.layers[number].map_shapes(heads)[1]),
                "key_codec": plan.layers[number].codecs()[0],
                "value_codec": plan.layers[number].codecs()[1],
                "error": float(errors.per_layer[number]),
            }
            for number in layers
        ],
    }


def _map_json(shape: MapShape | None) -> dict[str, Any] | None:
    return None if shape is None else asdict(shape)


def _cost_json(cost: LayerCost) -> dict[str, Any]:
    values = asdict(cost)
    for group in values["groups"]:
        if isnan(group["similarity"]):
            group["similarity"] = None
    return values


def _difference_json(difference: PlanDifference, layers: Iterable[int]) -> dict[str, Any]:
    return {
        "layers": [
            {
                "layer": number,
                "key": np.flatnonzero(difference.key[number]).tolist(),
                "value": np.flatnonzero(difference.value[number]).tolist(),
            }
            for number in layers
        ]
    }

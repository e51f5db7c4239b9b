"""``qcqa compare``: all methods side by side at several budgets."""

from typing import Annotated

import typer

from qcqa.cli.budget_options import BatchOption, DtypeOption, parse_ratio
from qcqa.cli.field_options import field_option
from qcqa.cli.model_options import RevisionOption
from qcqa.cli.origin import tell_unfinished
from qcqa.cli.output import JsonOption, print_json, progress_bar
from qcqa.cli.summary import comparison_json, print_comparison
from qcqa.errors import SettingsError
from qcqa.files.user_path import as_meant
from qcqa.jobs.store import find_run
from qcqa.plan.budget import CacheLoad, bits_within_ratio
from qcqa.search.search import search_model
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.options import TwoStageOptions


def compare(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            parser=as_meant,
            help="Local folder, Hub id, or 'demo'.",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", help="A finished run, instead of searching a model now."),
    ] = None,
    budgets: Annotated[
        str, typer.Option("--budgets", help="Shares of the source's KV cache.")
    ] = "75%,50%,25%,12.5%",
    context: Annotated[int, typer.Option("--context", help="Tokens of a sequence.")] = 4096,
    batch: BatchOption = 1,
    dtype: DtypeOption = None,
    generations: Annotated[
        int, field_option(TwoStageOptions, "generations")
    ] = TwoStageOptions().generations,
    seed: Annotated[int, field_option(SearchSettings, "seed")] = 0,
    revision: RevisionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare all methods and the source at several budgets, by estimates and measured figures.

    Methods are compared with GQA only where its plan caches the same bytes. What was measured of a
    run's plans comes with paired differences from GQA's plan and from the source.

    Examples
    --------
        qcqa compare demo

        qcqa compare ./opt-1.3b --budgets 50%,25% --context 2048 --json

        qcqa compare --run runs/llama
    """
    ratios = [parse_ratio(part.strip()) for part in budgets.split(",")]
    if run is not None and model is None:
        found_run = find_run(run)
        result, rows = found_run.result(), found_run.measured()
    elif model is not None and run is None:
        rows = ()
        settings = SearchSettings(seed=seed, two_stage=TwoStageOptions(generations=generations))
        with progress_bar() as show:
            result = search_model(model, revision=revision, settings=settings, on_progress=show)
    else:
        found = "neither" if model is None else "both"
        raise SettingsError(f"{found} a model and a run", expected="one of them")
    load = CacheLoad(context_tokens=context, batch_size=batch, dtype=dtype or result.spec.dtype)
    result = result.at(load)
    kv_bits = {ratio: bits_within_ratio(result.spec, ratio) for ratio in ratios}
    if run is not None:
        tell_unfinished(find_run(run))
    if as_json:
        print_json(comparison_json(result, kv_bits, load, rows))
        return
    print_comparison(result, kv_bits, load, rows)

"""``qcqa search``: search a model, in this process or in the background."""

from pathlib import Path
from typing import Annotated

import typer

from qcqa.cli.inspect import ModelArgument, RevisionOption
from qcqa.cli.jobs import start_or_carry_out
from qcqa.cli.output import JsonOption
from qcqa.runs.store import create_run
from qcqa.search.config import SearchSettings
from qcqa.use_cases.inspect import inspect_model
from qcqa.use_cases.search import SEARCHED_METHODS, with_baselines

_DEFAULTS = SearchSettings()


def search(
    model: ModelArgument,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            "-m",
            help=f"{', '.join(SEARCHED_METHODS)}; may be repeated. All of them by default.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Run directory; a new one among your runs by default."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Title of the run.")] = None,
    population: Annotated[
        int, typer.Option("--population", help="Candidates per generation of NSGA-II.")
    ] = _DEFAULTS.population_size,
    generations: Annotated[
        int, typer.Option("--generations", help="Generations of stage 1, per layer.")
    ] = _DEFAULTS.generations,
    stage2_population: Annotated[
        int, typer.Option("--stage2-population", help="Candidates per generation of stage 2.")
    ] = _DEFAULTS.stage2_population_size,
    stage2_generations: Annotated[
        int, typer.Option("--stage2-generations", help="Generations of stage 2, over layers.")
    ] = _DEFAULTS.stage2_generations,
    crossover: Annotated[
        float,
        typer.Option("--crossover", help="Probability that two parents are crossed."),
    ] = _DEFAULTS.crossover_probability,
    mutation: Annotated[
        float | None,
        typer.Option("--mutation", help="Probability that a head changes its group; 1/H if unset."),
    ] = _DEFAULTS.mutation_probability,
    restarts: Annotated[
        int, typer.Option("--restarts", help="Restarts of the local search behind 'optimal'.")
    ] = _DEFAULTS.restarts,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same result.")] = _DEFAULTS.seed,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Processes; one per core by default.")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Search in the background and return at once.")
    ] = False,
    revision: RevisionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search which heads of a model should share, and keep the fronts in a run directory.

    MHA, GQA, MQA and the lower bound always come along. Ctrl-C cancels; `qcqa runs resume`
    goes on where it stopped.

    Examples
    --------
        qcqa search demo

        qcqa search ./Llama-2-7b-hf --method optimal --out runs/llama

        qcqa search ./opt-1.3b -m qcqa-ac --population 200 --generations 300 --detach
    """
    settings = SearchSettings(
        population_size=population,
        generations=generations,
        stage2_population_size=stage2_population,
        stage2_generations=stage2_generations,
        crossover_probability=crossover,
        mutation_probability=mutation,
        restarts=restarts,
        seed=seed,
        workers=workers,
    )
    methods = tuple(method or SEARCHED_METHODS)
    # Refuse what cannot be searched before a run directory for it lies around.
    with_baselines(methods)
    inspect_model(model, revision=revision)
    run = create_run(
        model=model,
        revision=revision,
        methods=methods,
        settings=settings,
        name=name,
        folder=out,
    )
    start_or_carry_out(run, detach=detach, as_json=as_json)

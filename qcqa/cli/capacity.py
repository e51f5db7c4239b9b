"""``qcqa capacity``: how long contexts may get on a GPU, before and after."""

from dataclasses import asdict
from typing import Annotated

import typer

from qcqa.charts.quality.capacity import capacity_sentence, capacity_table
from qcqa.cli.budget_options import DtypeOption, parse_ratio
from qcqa.cli.model_options import RevisionOption
from qcqa.cli.origin import tell_origin
from qcqa.cli.output import JsonOption, console, print_json, print_table
from qcqa.errors import RunError, SettingsError
from qcqa.files.user_path import as_meant, is_plain_file, user_path
from qcqa.jobs.plans import origin_of, plan_of_run
from qcqa.jobs.run import Run
from qcqa.jobs.store import find_run
from qcqa.model.inspect import inspect_model
from qcqa.model.size import ModelSize, model_size, size_on_this_machine
from qcqa.model.spec import ModelSpec
from qcqa.plan.budget import CacheLoad, bits_within_ratio
from qcqa.plan.capacity import UTILIZATION, WEIGHT_BYTES, Server, capacity_of
from qcqa.plan.gpus import GPUS, gpu_named
from qcqa.search.result import SearchResult


def capacity(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="RUN|MODEL",
            parser=as_meant,
            help="Run directory or its id; or a local folder or Hub id of a model.",
            show_default=False,
        ),
    ],
    gpu: Annotated[
        str | None,
        typer.Option("--gpu", help=f"One of {', '.join(GPUS)}."),
    ] = None,
    memory: Annotated[
        float | None, typer.Option("--memory", help="Memory of another GPU, in GiB.")
    ] = None,
    batch: Annotated[int, typer.Option("--batch", help="Sequences for the longest context.")] = 1,
    context: Annotated[
        int, typer.Option("--context", help="Tokens of a sequence for the largest batch.")
    ] = 4096,
    budget: Annotated[
        str, typer.Option("--budget", help="Share of the source's KV cache: 50% or 0.5.")
    ] = "50%",
    method: Annotated[
        str | None,
        typer.Option("--method", "-m", help="Whose plan of the run; the best if unset."),
    ] = None,
    dtype: DtypeOption = None,
    weights_dtype: Annotated[
        str | None,
        typer.Option(
            "--weights-dtype",
            help=f"Type of the served weights: {', '.join(WEIGHT_BYTES)}; as stored by default.",
        ),
    ] = None,
    parameters: Annotated[
        float | None,
        typer.Option(
            "--parameters",
            help="Parameters of the model in billions; read from its files by default.",
        ),
    ] = None,
    utilization: Annotated[
        float,
        typer.Option("--utilization", help="Share of the memory for weights and KV cache."),
    ] = UTILIZATION,
    revision: RevisionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how long contexts and how large batches fit on a GPU, source and plan.

    Memory = weights + KV cache + a reserve of a tenth, which serving engines leave free. What an
    engine needs for activations comes out of the same memory: the numbers are upper limits.

    Examples
    --------
        qcqa capacity demo --gpu h200 --batch 8 --budget 50%

        qcqa capacity ./Llama-2-7b-hf --memory 24 --weights-dtype int8 --dtype float8_e4m3fn
    """
    if (gpu is None) == (memory is None):
        found = "no GPU" if gpu is None else "both --gpu and --memory"
        raise SettingsError(found, expected="either --gpu H100 or --memory 80")
    # Before anything is read: a wrong name is found at once.
    chosen = gpu_named(gpu) if gpu else None
    ratio = parse_ratio(budget)
    spec, size, searched = _subject(subject, method, revision)
    if parameters is None and size is None:
        raise SettingsError(
            f"the files of {spec.source} are not on this machine",
            expected="--parameters with the billions of its parameters",
        )
    count = size.num_parameters if size and parameters is None else round(1e9 * (parameters or 0))
    server = Server(
        memory_gib=chosen.memory_gib if chosen else memory or 0.0,
        num_parameters=count,
        weight_dtype=weights_dtype or spec.dtype,
        utilization=utilization,
    )
    load = CacheLoad(context_tokens=context, batch_size=batch, dtype=dtype or spec.dtype)
    source = capacity_of(spec, server, load)
    kv_bits, origin = bits_within_ratio(spec, ratio), {}
    if searched is None:
        heads = kv_bits // spec.head_bits
        plan = capacity_of(spec, server, load, kv_bits=kv_bits, num_stored_heads=heads)
    else:
        run, result = searched
        taken = plan_of_run(run, kv_bits, method=method, result=result.at(load))
        plan = capacity_of(spec, server, load, layers=taken.layers)
        ratio = taken.cache_bytes(context, dtype=load.dtype) / (
            context * spec.kv_bytes_per_token(load.dtype)
        )
        origin = origin_of(taken)
        tell_origin(run, taken)
    most = size.most_tokens if size else None
    if as_json:
        print_json(
            {
                "model": spec.source,
                "gpu": chosen.name if chosen else None,
                "most_tokens": most,
                **asdict(server),
                **asdict(load),
                "source": asdict(source),
                "plan": {"kv_ratio": ratio, **asdict(plan)},
                **origin,
            }
        )
        return
    name = chosen.name if chosen else f"{memory:g} GiB"
    console.print(capacity_sentence(name, load, source, plan, most_tokens=most))
    table = capacity_table(source, plan, load)
    print_table(
        [
            {"": str(row), **{str(column): _text(value) for column, value in cells.items()}}
            for row, cells in table.to_dict("index").items()
        ]
    )


def _subject(
    name: str, method: str | None, revision: str | None
) -> tuple[ModelSpec, ModelSize | None, tuple[Run, SearchResult] | None]:
    """Return geometry, size where the model's files are here, and run and result, if it is one."""
    run = _run_named(name)
    if run is None:
        if method is not None:
            raise SettingsError("--method of a model", expected="a run, which has plans")
        spec = inspect_model(name, revision=revision).spec
        return spec, model_size(name, revision=revision), None
    result = run.result()
    return result.spec, size_on_this_machine(result.spec), (run, result)


def _run_named(name: str) -> Run | None:
    try:
        return find_run(name)
    except RunError:
        # A run that is damaged is told as such; what is no run may be a model.
        if is_plain_file(user_path(name) / "status.json"):
            raise
        return None


def _text(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"

"""``qcqa generate``: one prompt, the source and up to three plans, side by side."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from qcqa.cli.budget_options import parse_ratio
from qcqa.cli.field_options import help_of
from qcqa.cli.generated import TextPrinter, texts_json
from qcqa.cli.jobs import carry_out
from qcqa.cli.model_options import (
    DeviceOption,
    ModelDtypeOption,
    ModelInsteadArgument,
    RevisionOption,
)
from qcqa.cli.origin import tell_unfinished
from qcqa.cli.output import JsonOption, print_json
from qcqa.errors import EvaluationError
from qcqa.files.user_path import user_path
from qcqa.jobs.generations import create_generation
from qcqa.jobs.store import find_run
from qcqa.measure.generated import GenerationSettings
from qcqa.pick.best import best_method
from qcqa.pick.points import points_to_compare
from qcqa.plan.budget import bits_within_ratio
from qcqa.plan.file import load_plan


def generate(
    model: ModelInsteadArgument = None,
    plan: Annotated[
        list[Path] | None,
        typer.Option(
            "--plan",
            "-p",
            parser=user_path,
            metavar="PATH",
            help="A plan.json, with MODEL; may be repeated.",
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="A search, whose plans at --budget are compared.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget", help="Share of the source's KV cache; 50% if unset.", show_default=False
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            "-m",
            help="Method of the run, up to three times; the recommended one and GQA if unset.",
        ),
    ] = None,
    prompt: Annotated[
        str,
        typer.Option("--prompt", help=help_of(GenerationSettings, "prompt"), show_default=False),
    ] = "",
    max_new_tokens: Annotated[
        int,
        typer.Option("--max-new-tokens", min=1, help=help_of(GenerationSettings, "max_new_tokens")),
    ] = 64,
    temperature: Annotated[
        float, typer.Option("--temperature", min=0, help=help_of(GenerationSettings, "temperature"))
    ] = 0.0,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help=help_of(GenerationSettings, "seed"))
    ] = 0,
    device: DeviceOption = "auto",
    dtype: ModelDtypeOption = "auto",
    revision: RevisionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a model and what plans make of it go on from one prompt, one after another.

    Texts are printed as they come, with the tokens per second and the bytes of the KV cache. Those
    of a run are kept in it, the last twenty. Ctrl-C cancels.

    Examples
    --------
        qcqa generate --run demo --budget 50% -m qcqa-ac -m gqa --prompt "Marco likes eggs."

        qcqa generate ./Llama-2-7b-hf --plan plan.json --prompt "Once upon a time" --json
    """
    settings = GenerationSettings(prompt, max_new_tokens, temperature, seed)
    if run is None:
        if budget or method:
            raise EvaluationError("--budget or --method without a run", expected="--run RUN")
        _generate_here(model, plan or [], settings, revision, device, dtype, as_json=as_json)
        return
    if model or plan or revision:
        raise EvaluationError(
            "--run with a model, a revision or a plan's file",
            expected="either a run, which names its model, or a model with plans",
        )
    search = find_run(run)
    result = search.result()
    kv_bits = bits_within_ratio(result.spec, parse_ratio(budget or "50%"))
    best = None if method else best_method(result, kv_bits, search.measured())
    if best is None:
        points = tuple((name, kv_bits) for name in method or ())
    else:
        points = points_to_compare(result, kv_bits, best.method)
    generation = create_generation(
        search, points=points, settings=settings, device=device, dtype=dtype
    )
    tell_unfinished(search)
    if best is not None:
        typer.echo(best.sentence, err=True)
    carry_out(generation, as_json=as_json)


def _generate_here(
    model: str | None,
    files: Sequence[Path],
    settings: GenerationSettings,
    revision: str | None,
    device: str,
    dtype: str,
    *,
    as_json: bool,
) -> None:
    """Generate with a model and plans from files; nothing is kept."""
    if model is None:
        raise EvaluationError("neither a model nor a run", expected="one of them")
    os.environ.setdefault("TQDM_DISABLE", "1")
    # Here, because it loads torch: no other command should wait for that.
    from qcqa.measure.generate_by_plans import generate_side_by_side

    texts = generate_side_by_side(
        model,
        [load_plan(path) for path in files],
        settings,
        revision=revision,
        device=device,
        dtype=dtype,
        on_progress=None if as_json else TextPrinter(),
    )
    if as_json:
        print_json(texts_json(texts))

"""``qcqa convert``: from a plan to a checkpoint whose KV cache really is smaller."""

from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from qcqa.cli.budget_options import parse_ratio
from qcqa.cli.jobs import start_or_carry_out
from qcqa.cli.model_options import RevisionOption
from qcqa.cli.origin import tell_origin
from qcqa.cli.output import JsonOption, console, print_json, progress_bar
from qcqa.errors import ConversionError
from qcqa.files.user_path import user_path
from qcqa.jobs.conversions import create_conversion
from qcqa.jobs.plans import origin_of, plan_of_run
from qcqa.jobs.run import Run
from qcqa.jobs.store import find_run
from qcqa.plan.budget import bits_within_ratio
from qcqa.plan.file import load_plan
from qcqa.plan.plan import Plan
from qcqa.progress import Progress


def convert(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="Local folder, Hub id, or 'demo'; that of the run if unset.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", parser=user_path, metavar="PATH", help="Folder to write; new or empty."
        ),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            "--plan", "-p", parser=user_path, metavar="PATH", help="The plan: a plan.json."
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="A run, whose best plan for --budget is taken.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option("--budget", "-b", help="Share of the source's cache: 50% or 0.5."),
    ] = None,
    method: Annotated[
        str | None, typer.Option("--method", "-m", help="Method of the run; its best if unset.")
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            "--calibration", help="Where the plan's calibration text is now, if it has moved."
        ),
    ] = None,
    detach: Annotated[
        bool,
        typer.Option("--detach", help="With --run: convert in the background, and measure."),
    ] = False,
    with_source_code: Annotated[
        bool,
        typer.Option(
            "--with-source-code",
            help="Take along the code that the source's tokenizer or processor names.",
        ),
    ] = False,
    refresh: Annotated[
        Path | None,
        typer.Option(
            "--refresh",
            parser=user_path,
            metavar="DIR",
            help="Instead: give a converted folder of an earlier release the code of this one.",
        ),
    ] = None,
    revision: RevisionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a checkpoint that stores and caches only the plan's shared heads.

    The folder is complete: weights, config, tokenizer, plan, model card, and the code with which
    transformers opens it (`trust_remote_code=True`) where this library is not installed. What a
    plan rests on, such as a refit on its calibration text, is folded into the weights.

    With --detach the conversion is a job inside the run: it is looked at before it starts, and in
    the end the checkpoint is opened and its live KV cache is compared with the promised one.
    `qcqa runs show` tells what came of it, and cancel and resume work as with any job.

    With --refresh nothing is converted: in a folder that an earlier release converted, the code
    and the form of its config become those of this release; weights and plan stay.

    Examples
    --------
        qcqa convert ./Llama-2-7b-hf --plan plan.json -o ./Llama-2-7b-qcqa

        qcqa convert --run runs/llama --budget 50% -o ./Llama-2-7b-half

        qcqa convert --run runs/llama --budget 50% -m best -o ./Llama-2-7b-half --detach

        qcqa convert --refresh ./Llama-2-7b-half
    """
    if refresh is not None:
        others = (out, model, plan, run, budget, method, calibration, revision)
        if any(others) or detach or with_source_code:
            raise ConversionError("--refresh with more than a folder", expected="--refresh DIR")
        _refresh(refresh, as_json=as_json)
        return
    if out is None:
        raise ConversionError("no folder to write", expected="--out FOLDER")
    if (plan is None) == (run is None) or (run is None and model is None):
        raise ConversionError(
            "what to convert is not clear",
            expected="MODEL with --plan, or --run with --budget",
        )
    found = find_run(run) if run else None
    if detach:
        if found is None or model or calibration or revision or with_source_code:
            raise ConversionError(
                "--detach without a run, or with a model, a calibration, a revision or code",
                expected="--run and --budget: the run names its model",
            )
        chosen, kv_bits = _plan_of(found, budget, method)
        conversion = create_conversion(
            found, point=(chosen.method, kv_bits), folder=out, origin=origin_of(chosen)
        )
        tell_origin(found, chosen)
        start_or_carry_out(conversion, detach=True, as_json=as_json)
        return
    if found:
        chosen, _ = _plan_of(found, budget, method)
    else:
        if budget or method:
            raise ConversionError("--budget or --method without --run", expected="a run")
        chosen = load_plan(Path(str(plan)))
    # Here, because it loads torch: no other command should wait for that.
    from qcqa.export.convert import convert_by_plan

    with progress_bar() as show:
        # The first progress comes when all was looked at, and may be long before the end.
        tell = cache(lambda: tell_origin(found, chosen) if found else None)

        def on_progress(progress: Progress) -> None:
            tell()
            show(progress)

        companions = convert_by_plan(
            model or (found.search.model if found else ""),
            chosen,
            out,
            calibration=calibration,
            calibrations=found.calibration_folder if found else None,
            fitted=found.fitted_folder if found else None,
            revision=revision or (found.search.revision if found else None),
            on_progress=on_progress,
            with_source_code=with_source_code,
        )
    if as_json:
        print_json(
            {
                "folder": str(out),
                "method": chosen.method,
                "kv_ratio": chosen.kv_ratio,
                "kv_bytes_per_token": chosen.kv_bytes_per_token,
                "source_code": companions.code,
                "left_out": companions.left_out,
                **origin_of(chosen),
            }
        )
        return
    console.print(
        f"{out}: KV cache {chosen.kv_bytes_per_token / 1024:g} KiB per token, "
        f"{chosen.kv_ratio:.4g} of the source's"
    )
    if companions.code:
        _print_line(f"With code of the source's own: {', '.join(companions.code)}")
    for line in companions.left_out:
        _print_line(f"Left out: {line}")
    console.print(
        "Open it with qcqa.load, or with transformers' AutoModelForCausalLM.from_pretrained"
        "(folder, trust_remote_code=True)."
    )


def _refresh(folder: Path, *, as_json: bool) -> None:
    # Here, for the same reason.
    from qcqa.conversion.refresh import refresh_converted

    changed = refresh_converted(folder)
    if as_json:
        print_json({"folder": str(folder), "changed": changed})
    elif changed:
        _print_line(f"{folder}: {', '.join(changed)} written anew; all else is as it was")
    else:
        _print_line(f"{folder}: up to date, nothing changed")


def _print_line(text: str) -> None:
    """Print a line that holds names of files: as they are, and not broken."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _plan_of(run: Run, budget: str | None, method: str | None) -> tuple[Plan, int]:
    """Return the plan that is asked of a run, and its budget in bits per token."""
    if budget is None:
        raise ConversionError("a run without --budget", expected="a share such as 50% or 0.5")
    ratio, result = parse_ratio(budget), run.result()
    kv_bits = bits_within_ratio(result.spec, ratio)
    return plan_of_run(run, kv_bits, method=method, result=result), kv_bits

"""``qcqa convert``: from a plan to a checkpoint whose KV cache really is smaller."""

from pathlib import Path
from typing import Annotated

import typer

from qcqa.cli.inspect import ModelArgument, RevisionOption
from qcqa.cli.output import JsonOption, bytes_bar, console, print_json
from qcqa.plan_file import load_plan


def convert(
    model: ModelArgument,
    plan: Annotated[Path, typer.Option("--plan", "-p", help="The plan: a plan.json.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write; new or empty.")],
    revision: RevisionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a checkpoint that stores and caches only the plan's shared heads.

    The folder is complete: weights, config, tokenizer, plan, model card, and the code with which
    transformers opens it (`trust_remote_code=True`) where this library is not installed.

    Example:

        qcqa convert ./Llama-2-7b-hf --plan plan.json -o ./Llama-2-7b-qcqa
    """
    # Here, because it loads torch: no other command should wait for that.
    from qcqa.attention.folder import convert_checkpoint

    chosen = load_plan(plan)
    with bytes_bar() as show:
        convert_checkpoint(model, chosen, out, revision=revision, on_bytes=show)
    if as_json:
        print_json(
            {
                "folder": str(out),
                "kv_ratio": chosen.kv_ratio,
                "kv_bytes_per_token": chosen.kv_bytes_per_token,
            }
        )
        return
    console.print(
        f"{out}: KV cache {chosen.kv_bytes_per_token / 1024:g} KiB per token, "
        f"{chosen.kv_ratio:.4g} of the source's"
    )
    console.print(
        "Open it with qcqa.load, or with transformers' AutoModelForCausalLM.from_pretrained"
        "(folder, trust_remote_code=True)."
    )

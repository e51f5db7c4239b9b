"""``qcqa inspect``: what a model is, and whether it can be searched."""

from dataclasses import asdict

from qcqa.cli.model_options import ModelArgument, RevisionOption
from qcqa.cli.output import JsonOption, print_json, print_pairs
from qcqa.model.inspect import inspect_model
from qcqa.sizes import bytes_text


def inspect(
    model: ModelArgument, revision: RevisionOption = None, as_json: JsonOption = False
) -> None:
    """Show a model's family, geometry and KV-cache size; reads its config and headers only.

    Examples
    --------
        qcqa inspect demo

        qcqa inspect ./Llama-2-7b-hf --json
    """
    report = inspect_model(model, revision=revision)
    spec, missing = report.spec, report.missing_head
    if as_json:
        print_json(
            {
                **asdict(spec),
                "family": report.family,
                "bytes_to_read": report.bytes_to_read,
                "kv_bytes_per_token": spec.kv_bytes_per_token(),
                "svd_limits": report.svd_limits,
                "missing_head": missing,
            }
        )
        return
    print_pairs(
        {
            "model": spec.source + (f" @ {spec.revision}" if spec.revision else ""),
            "family": f"{report.family} ({spec.model_type}), {spec.attention}",
            "layers": str(spec.num_layers),
            "query heads": str(spec.num_query_heads),
            "KV heads": str(spec.num_kv_heads),
            "head dim": str(spec.head_dim),
            "hidden size": str(spec.hidden_size),
            "K/V bias": "yes" if spec.has_kv_bias else "no",
            "dtype": spec.dtype,
            "KV cache": f"{spec.kv_bytes_per_token() / 1024:g} KiB per token",
            "a search reads": f"{bytes_text(report.bytes_to_read)} of K/V projections",
            **({"merge svd": report.svd_limits} if report.svd_limits else {}),
            **({"language-model head": f"none: {missing}"} if missing else {}),
        }
    )

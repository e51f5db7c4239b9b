"""Speed and memory of generation before and after conversion, side by side.

Run it by hand, with a model's shape that the device can hold twice::

    python tests/benchmarks/decode_speed.py --device cuda --dtype bfloat16 \\
        --layers 32 --hidden 4096 --heads 32 --context 8192 --batch 8

The model is random: times and bytes do not depend on what its weights say. Groups are random too,
with keys and values apart, so that no layer is grouped-query attention by chance.
"""

import argparse
import json
import tempfile
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from qcqa.conversion.live import convert
from qcqa.measure.benchmark import DecodeLoad
from qcqa.measure.speed import measure_decode_speed
from qcqa.measure.speed_scores import DecodeSpeed
from qcqa.model.opening import open_checkpoint
from qcqa.plan.plan import Plan, Prediction
from qcqa.progress import Progress
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping


def build(options: argparse.Namespace) -> PreTrainedModel:
    """Return a random Llama with multi-head attention on the device."""
    config = LlamaConfig(
        vocab_size=32000,
        hidden_size=options.hidden,
        intermediate_size=options.hidden * 11 // 4,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        num_key_value_heads=options.heads,
        max_position_embeddings=options.context + options.new_tokens,
    )
    torch.manual_seed(0)
    with torch.device(options.device):
        return LlamaForCausalLM._from_config(config, dtype=getattr(torch, options.dtype)).eval()


def random_plan(model: PreTrainedModel, kv_ratio: float) -> Plan:
    """Return a plan that keeps this share of the heads of every layer."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        checkpoint = open_checkpoint(folder)
        spec, fingerprint = checkpoint.spec, checkpoint.fingerprint()
    rng = np.random.default_rng(0)
    groups = max(1, round(kv_ratio * spec.num_kv_heads))

    def grouping() -> Grouping:
        return Grouping.from_labels(rng.permutation(spec.num_kv_heads) % groups)

    return Plan(
        model=spec,
        fingerprint=fingerprint,
        method="random",
        merge="mean",
        layers=tuple(LayerGrouping(grouping(), grouping()).choice for _ in range(spec.num_layers)),
        predicted=Prediction(wse=0.0, relative_wse=0.0),
    )


def line(name: str, speed: DecodeSpeed) -> str:
    """Return one model's figures for people."""
    prefill, token, rate = speed.prefill_seconds, speed.seconds_per_token, speed.tokens_per_second
    peak = "" if speed.peak_bytes is None else f", peak {speed.peak_bytes / 2**30:.2f} GiB"
    return (
        f"{name:<10} prompt {prefill.median:.3f} s (IQR {prefill.interquartile_range:.3f}), "
        f"token {1e3 * token.median:.2f} ms (IQR {1e3 * token.interquartile_range:.2f}), "
        f"{rate.median:.0f} tokens/s, cache {speed.cache_bytes / 2**20:.1f} MiB{peak}"
    )


def show(progress: Progress) -> None:
    """Print how far the measurement is."""
    print(f"\r{progress.stage}: {progress.step}/{progress.total}", end="", flush=True)


def main() -> None:
    """Run the benchmark and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    for name, value in (
        ("layers", 4),
        ("hidden", 512),
        ("heads", 16),
        ("context", 2048),
        ("batch", 4),
        ("new-tokens", 32),
        ("rounds", 7),
    ):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--kv-ratio", type=float, default=0.25)
    parser.add_argument("--json", type=Path, help="write the measurements to this file")
    options = parser.parse_args()
    source = build(options)
    plan = random_plan(source, options.kv_ratio)
    converted = convert(deepcopy(source), plan)
    load = DecodeLoad(options.context, options.batch, options.new_tokens)
    models = {"source": source, "converted": converted}
    found = measure_decode_speed(models, load, rounds=options.rounds, on_progress=show)
    print()
    for name, speed in found.items():
        print(line(name, speed))
    compared = found["converted"].compared_with(found["source"])
    for one in compared:
        print(f"{one.metric}: {one.value:.3f}")
    if options.json:
        rows = {name: speed.measurements() for name, speed in found.items()}
        rows["compared"] = compared
        content = {name: [asdict(one) for one in figures] for name, figures in rows.items()}
        options.json.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()

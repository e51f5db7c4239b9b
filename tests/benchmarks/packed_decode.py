"""A decode step, and the memory of it, with keys and values in full and in fewer bits.

Run it by hand; all figures are from one run, in turns, and the ratios are what counts::

    python tests/benchmarks/packed_decode.py --batch 8 --context 4096

The model has the shape of SmolLM2-135M's layers, 9 query and 3 KV heads of 64 channels, and a small
vocabulary, so that a few layers stand for many. Its weights and its cache's tokens are random.
"""

import argparse
import ctypes
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import torch
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM, PreTrainedModel
from transformers.cache_utils import Cache

from qcqa.conversion.travelling.modeling_qcqa import shared_heads_class
from qcqa.conversion.travelling.packed_qcqa import packed_layer
from qcqa.conversion.travelling.section_qcqa import Section
from qcqa.measure.cache_bytes import cache_bytes
from qcqa.text.running import cache_argument

CODECS: dict[str, dict[str, Any] | None] = {
    "plain": None,
    **{f"{bits} bits": {"kind": "bits", "rungs": [[bits, None]]} for bits in (8, 4, 3, 2)},
    "4 bits, rotated": {"kind": "bits", "rungs": [[4, None]], "rotated": True},
    "staircase": {"kind": "bits", "rungs": [[8, 4], [4, 16], [2, None]]},
}


def build(options: argparse.Namespace, codec: dict[str, Any] | None) -> PreTrainedModel:
    """Return a model whose keys and values have a codec, or none."""
    alone = tuple(range(3))
    section = Section(
        layout="separate",
        transposed=False,
        prefixes=("model.",),
        modules={role: f"layers.{{layer}}.self_attn.{role[0]}_proj" for role in ("key", "value")},
        num_query_heads=9,
        num_kv_heads=3,
        head_dim=64,
        takes_fewer_heads=True,
        heads_per_cached_head=1,
        key_norm=None,
        layers=((alone, alone),) * options.layers,
    )
    if codec is not None:
        section = replace(section, codecs=((codec, codec),) * options.layers)
    config = LlamaConfig(
        vocab_size=512,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=options.layers,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=options.context + 1024,
        qcqa=section.to_config(),
    )
    torch.manual_seed(0)
    stock = LlamaForCausalLM if codec is None else shared_heads_class(LlamaForCausalLM)
    dtype = getattr(torch, options.dtype)
    return stock._from_config(config, dtype=dtype).to(options.device).eval()


def filled(model: PreTrainedModel, options: argparse.Namespace) -> Cache:
    """Return a cache that holds the context, drawn at random."""
    cache = DynamicCache(config=model.config)
    section = Section.from_config(model.config)
    drawn = torch.Generator(options.device).manual_seed(0)
    shape = (options.batch, 3, options.context, 64)
    for layer in range(options.layers):
        if any(section.ladders(layer)):
            packed_layer(cache, layer, *section.ladders(layer))
        keys, values = (
            torch.randn(shape, generator=drawn, device=options.device).to(model.dtype)
            for _ in range(2)
        )
        cache.update(keys, values, layer)
    return cache


def step(model: PreTrainedModel, cache: Cache, options: argparse.Namespace) -> float:
    """Return the seconds of one token more; of one thread alone, those that it ran."""
    ids = torch.full((options.batch, 1), 3, device=options.device)
    # So that what else a machine does counts less.
    alone = options.device == "cpu" and torch.get_num_threads() == 1
    clock = process_time if alone else perf_counter
    started = clock()
    model(input_ids=ids, use_cache=True, **{cache_argument(): cache})
    if options.device != "cpu":
        torch.accelerator.synchronize()
    return clock() - started


@torch.no_grad()
def memory(name: str, options: argparse.Namespace) -> tuple[int, int]:
    """Return the bytes of a cache, and the peak of what steps have beside the weights."""
    model = build(options, CODECS[name])
    if options.device != "cpu":
        before = torch.cuda.memory_allocated()
        cache = filled(model, options)
        torch.cuda.reset_peak_memory_stats()
        step(model, cache, options)
        return cache_bytes(cache), torch.cuda.max_memory_allocated() - before
    step(model, DynamicCache(config=model.config), options)  # what is loaded with the first run
    before = _resident("VmRSS")
    cache = filled(model, options)
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    for _ in range(3):
        step(model, cache, options)
    return cache_bytes(cache), _resident("VmHWM") - before


def memory_apart(name: str, options: argparse.Namespace) -> tuple[int, int]:
    """Return the memory of one model in a process that has seen no other."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(memory, name, options).result()


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))


@torch.no_grad()
def main() -> None:
    """Run the benchmark and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    for name, value in (
        ("layers", 4),
        ("batch", 8),
        ("context", 4096),
        ("steps", 8),
        ("rounds", 5),
    ):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    models = {name: build(options, codec) for name, codec in CODECS.items()}
    kept = {name: memory_apart(name, options) for name in models}
    caches = {name: filled(model, options) for name, model in models.items()}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(options.rounds):
        for name, model in models.items():
            # Several in a row, as in generation, where memory of the last step serves the next.
            took = [step(model, caches[name], options) for _ in range(options.steps)]
            seconds[name] += took[1:]
    print(f"{options.batch} x {options.context} tokens, {options.dtype}, {options.device}")
    for name in models:
        took, (num_bytes, peak) = seconds[name], kept[name]
        ratio = median(took) / median(seconds["plain"])
        mean = sum(took) / sum(seconds["plain"])
        print(
            f"{name:<16} step {1e3 * median(took):6.1f} ms = {ratio:.2f} (mean {mean:.2f}), cache "
            f"{num_bytes / 2**20:6.1f} MiB = {num_bytes / kept['plain'][0]:.3f}, peak "
            f"{peak / 2**20:6.1f} MiB = {peak / kept['plain'][1]:.2f}"
        )


if __name__ == "__main__":
    main()

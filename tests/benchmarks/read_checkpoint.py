"""How long reading a Llama-2-7B-shaped checkpoint takes, and how much memory.

Writes a bf16 checkpoint laid out as on the Hub: two shards with every tensor of the model in
their headers. Only keys and values hold data (2 GiB, random); the rest are holes in the files.
Then measures, each time in a fresh process and in turns:

    bare    read the bytes of the K and V tensors, and one product X X' per tensor, shape
            (32, 128 * 4096), of an array that is float32 already: the least that can be
    widened the same, with the bytes widened to float32 in the plainest way
    grams   open_checkpoint and read_grams

once with the files in the page cache (warm) and once with them dropped from it (cold; a disk
that has a cache of its own may still hold them). The requirement: grams takes no more than
1.5 times as long as bare and peaks under 1.5 GB. Exits with 1 where it does not.

    python tests/benchmarks/read_checkpoint.py [--folder DIR] [--repeats N] [--json FILE]
        [--blas-threads N]
"""

import argparse
import json
import os
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from qcqa.model.opening import open_checkpoint
from qcqa.model.safetensors_file import SafetensorsFile
from qcqa.reduce.groups.read_grams import read_grams

LAYERS, HEADS, HEAD_DIM, HIDDEN, INTERMEDIATE, VOCAB = 32, 32, 128, 4096, 11008, 32000
LAYERS_IN_FIRST_SHARD = 24
MODES = ("bare", "widened", "grams")
MAX_RATIO = 1.5
MAX_PEAK_BYTES = 1.5e9

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "intermediate_size": INTERMEDIATE,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS,
    "vocab_size": VOCAB,
    "torch_dtype": "bfloat16",
}


def tensor_shapes(layer: int) -> dict[str, tuple[int, ...]]:
    """Return the tensors of one layer in the order in which the Hub's file has them."""
    prefix = f"model.layers.{layer}."
    square, up, down = (HIDDEN, HIDDEN), (INTERMEDIATE, HIDDEN), (HIDDEN, INTERMEDIATE)
    return {
        prefix + "input_layernorm.weight": (HIDDEN,),
        prefix + "mlp.down_proj.weight": down,
        prefix + "mlp.gate_proj.weight": up,
        prefix + "mlp.up_proj.weight": up,
        prefix + "post_attention_layernorm.weight": (HIDDEN,),
        prefix + "self_attn.k_proj.weight": square,
        prefix + "self_attn.o_proj.weight": square,
        prefix + "self_attn.q_proj.weight": square,
        prefix + "self_attn.v_proj.weight": square,
    }


def is_key_or_value(name: str) -> bool:
    return name.endswith(("k_proj.weight", "v_proj.weight"))


def write_checkpoint(folder: Path) -> None:
    """Write the checkpoint; 2 GiB of it take space on the disk."""
    shards: list[dict[str, tuple[int, ...]]] = [{"model.embed_tokens.weight": (VOCAB, HIDDEN)}, {}]
    for layer in range(LAYERS):
        shards[layer >= LAYERS_IN_FIRST_SHARD].update(tensor_shapes(layer))
    shards[1].update({"model.norm.weight": (HIDDEN,), "lm_head.weight": (VOCAB, HIDDEN)})
    weight_map: dict[str, str] = {}
    rng = np.random.default_rng(0)
    for number, tensors in enumerate(shards, start=1):
        shard = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        end = 0
        for name, shape in tensors.items():
            start, end = end, end + 2 * int(np.prod(shape))
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
            weight_map[name] = shard
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with (folder / shard).open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for name, shape in tensors.items():
                if is_key_or_value(name):
                    weights = rng.standard_normal(shape, dtype=np.float32)
                    weights *= 0.02
                    file.seek(8 + len(text) + header[name]["data_offsets"][0])
                    (weights.view(np.uint32) >> 16).astype("<u2").tofile(file)
            file.truncate(8 + len(text) + end)
            os.fsync(file.fileno())
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(CONFIG))


def set_cache(folder: Path, *, warm: bool) -> None:
    """Bring the K and V tensors into the page cache, or drop the files from it."""
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb", buffering=0) as file:
            if warm:
                stored = SafetensorsFile(path)
                for name, tensor in stored.tensors.items():
                    if is_key_or_value(name):
                        file.seek(stored.data_start + tensor.start)
                        file.read(tensor.stop - tensor.start)
            else:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_and_multiply(folder: Path, *, widen: bool) -> None:
    """Read the bytes of every K and V tensor, with one matrix product for each."""
    elements = HEADS * HEAD_DIM * HIDDEN
    raw = np.empty(elements, dtype="<u2")
    weights = np.full((HEADS, HEAD_DIM * HIDDEN), 0.02, dtype=np.float32)
    for path in sorted(folder.glob("*.safetensors")):
        stored = SafetensorsFile(path)
        with path.open("rb", buffering=0) as file:
            for name, tensor in stored.tensors.items():
                if not is_key_or_value(name):
                    continue
                file.seek(stored.data_start + tensor.start)
                buffer = raw.view(np.uint8).data
                while buffer:
                    buffer = buffer[file.readinto(buffer) :]
                if widen:
                    weights = (raw.astype(np.uint32) << 16).view(np.float32).reshape(HEADS, -1)
                weights @ weights.T


def measure_here(mode: str, folder: Path) -> dict[str, float]:
    """Run one mode in this process."""
    start, cpu_start = perf_counter(), process_time()
    if mode == "grams":
        read_grams(open_checkpoint(str(folder)))
    else:
        read_and_multiply(folder, widen=mode == "widened")
    wall_seconds, cpu_seconds = perf_counter() - start, process_time() - cpu_start
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "wall_seconds": wall_seconds,
        "cpu_seconds": cpu_seconds,
        "peak_bytes": peak_kib * 1024,
    }


def measure_apart(mode: str, folder: Path) -> dict[str, float]:
    """Run one mode in a fresh process."""
    command = [sys.executable, __file__, "--folder", str(folder), "--measure", mode]
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def run(folder: Path, repeats: int) -> dict[str, Any]:
    """Measure all modes in turns and return medians."""
    results: dict[str, Any] = {}
    for cache in ("warm", "cold"):
        samples: dict[str, list[dict[str, float]]] = {mode: [] for mode in MODES}
        for _ in range(repeats):
            for mode in MODES:
                set_cache(folder, warm=cache == "warm")
                samples[mode].append(measure_apart(mode, folder))
        results[cache] = {
            mode: {
                "median_seconds": statistics.median(one["wall_seconds"] for one in runs),
                "all_seconds": [round(one["wall_seconds"], 4) for one in runs],
                "cpu_seconds": statistics.median(one["cpu_seconds"] for one in runs),
                "peak_bytes": max(one["peak_bytes"] for one in runs),
            }
            for mode, runs in samples.items()
        }
        for mode in ("bare", "widened"):
            # Run by run, because the machine's speed drifts more than the two differ.
            results[cache][f"grams_over_{mode}"] = statistics.median(
                ours["wall_seconds"] / theirs["wall_seconds"]
                for ours, theirs in zip(samples["grams"], samples[mode], strict=True)
            )
    return results


def print_table(results: dict[str, Any]) -> None:
    print(
        f"{'cache':6}{'what':10}{'median s':>10}{'min s':>10}{'CPU s':>10}"
        f"{'peak MB':>10}{'grams / it':>12}"
    )
    for cache, modes in results.items():
        for mode in MODES:
            one = modes[mode]
            ratio = modes.get(f"grams_over_{mode}", 1.0)
            print(
                f"{cache:6}{mode:10}{one['median_seconds']:10.3f}{min(one['all_seconds']):10.3f}"
                f"{one['cpu_seconds']:10.3f}{one['peak_bytes'] / 1e6:10.0f}{ratio:12.2f}"
            )


def main() -> int:
    """Run the benchmark, or one measurement of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where to write; default: temporary")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument(
        "--blas-threads",
        help="threads of OpenBLAS; its own choice by default, which bare and "
        "widened suffer from where other work has the cores",
    )
    parser.add_argument("--measure", choices=MODES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure_here(options.measure, options.folder)))
        return 0
    if options.blas_threads:
        os.environ["OPENBLAS_NUM_THREADS"] = options.blas_threads
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="llama-7b-") as name:
        folder = Path(name)
        write_checkpoint(folder)
        results = run(folder, options.repeats)
    print_table(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))
    too_slow = [one for one in results.values() if one["grams_over_bare"] > MAX_RATIO]
    too_large = [one for one in results.values() if one["grams"]["peak_bytes"] > MAX_PEAK_BYTES]
    return 1 if too_slow or too_large else 0


if __name__ == "__main__":
    sys.exit(main())

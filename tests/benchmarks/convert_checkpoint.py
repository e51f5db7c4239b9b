"""Memory and time of the conversion of a checkpoint with the shape of Llama-2-7B.

Run it by hand; it needs 25 GB of disk for a minute::

    python tests/benchmarks/convert_checkpoint.py FOLDER

It writes a checkpoint of 13.5 GB in FOLDER, converts it to half of its KV cache in a process of
its own, prints the peak memory of that process, and removes both.
"""

import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "max_position_embeddings": 4096,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 32,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "vocab_size": 32000,
}
SHARD_BYTES = 10 * 10**9
LIMIT_BYTES = 3 * 10**9

CONVERT = """
import sys
from pathlib import Path

import numpy as np

from qcqa.conversion.folder import convert_checkpoint
from qcqa.model.opening import open_checkpoint
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping
from qcqa.plan.plan import Plan, Prediction

source, out = sys.argv[1:]
checkpoint = open_checkpoint(source)
spec = checkpoint.spec
rng = np.random.default_rng(0)
layers = tuple(
    LayerGrouping(*(Grouping.from_labels(rng.permutation(32) % 16) for _ in ("key", "value")))
    for _ in range(spec.num_layers)
)
plan = Plan(
    model=spec,
    fingerprint=checkpoint.fingerprint(),
    method="random",
    merge="mean",
    layers=tuple(layer.choice for layer in layers),
    predicted=Prediction(wse=1.0, relative_wse=0.5),
)
convert_checkpoint(source, plan, Path(out))
"""


def tensor_shapes() -> dict[str, tuple[int, ...]]:
    """Return the tensors of the checkpoint, in their order."""
    hidden, inner, vocab = (
        CONFIG[key] for key in ("hidden_size", "intermediate_size", "vocab_size")
    )
    shapes = {"model.embed_tokens.weight": (vocab, hidden)}
    for layer in range(CONFIG["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        shapes |= {f"{prefix}self_attn.{name}_proj.weight": (hidden, hidden) for name in "qkvo"}
        shapes |= {f"{prefix}mlp.{name}_proj.weight": (inner, hidden) for name in ("gate", "up")}
        shapes[f"{prefix}mlp.down_proj.weight"] = (hidden, inner)
        names = ("input_layernorm", "post_attention_layernorm")
        shapes |= {f"{prefix}{name}.weight": (hidden,) for name in names}
    return shapes | {"model.norm.weight": (hidden,), "lm_head.weight": (vocab, hidden)}


def write_source(folder: Path) -> None:
    """Write random float16 weights in shards, a block of noise over and over."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    shards: list[dict[str, tuple[int, ...]]] = [{}]
    in_shard = 0
    for name, shape in tensor_shapes().items():
        size = 2 * int(np.prod(shape))
        if in_shard + size > SHARD_BYTES:
            shards.append({})
            in_shard = 0
        shards[-1][name] = shape
        in_shard += size
    noise = np.random.default_rng(0).normal(scale=0.02, size=2**24 + 1).astype(np.float16).tobytes()
    weight_map = {}
    for number, shapes in enumerate(shards, start=1):
        shard = f"model-{number:05}-of-{len(shards):05}.safetensors"
        entries, start = {}, 0
        for name, shape in shapes.items():
            stop = start + 2 * int(np.prod(shape))
            entries[name] = {"dtype": "F16", "shape": shape, "data_offsets": [start, stop]}
            weight_map[name], start = shard, stop
        header = json.dumps(entries).encode()
        with (folder / shard).open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            for written in range(0, start, len(noise)):
                file.write(noise[: start - written])
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def main(folder: Path) -> int:
    """Run the benchmark; return 1 if it takes more memory than promised."""
    source, out = folder / "source", folder / "converted"
    try:
        write_source(source)
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", CONVERT, str(source), str(out)], check=True)
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        sizes = [
            sum(path.stat().st_size for path in one.glob("*.safetensors")) for one in (source, out)
        ]
    finally:
        for one in (source, out):
            shutil.rmtree(one, ignore_errors=True)
    print(f"weights {sizes[0] / 1e9:.2f} GB -> {sizes[1] / 1e9:.2f} GB in {seconds:.0f} s")
    print(f"peak memory {peak / 1e9:.2f} GB, allowed {LIMIT_BYTES / 1e9:.2f} GB")
    return int(peak > LIMIT_BYTES)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

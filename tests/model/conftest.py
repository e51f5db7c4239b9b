"""Checkpoints to read, and to damage, in these tests."""

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

Tensors = Mapping[str, tuple[str, NDArray[Any]]]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Run tiny models on one thread: several cost more in waiting than they save."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write_safetensors(path: Path, tensors: Tensors) -> None:
    """Write tensors given as safetensors code and array: also types that numpy lacks."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, (code, array) in tensors.items():
        stored = array.tobytes()
        offsets = [len(data), len(data) + len(stored)]
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": offsets}
        data += stored
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


CONFIG = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_size": 8,
    "head_dim": 3,
}


class HandMade:
    """A small Llama-style checkpoint of two shards, one per layer, that a test can damage.

    Parameters
    ----------
    folder : Path
        Empty folder.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.config: dict[str, Any] = dict(CONFIG)
        rng = np.random.default_rng(0)
        self.shards: dict[str, dict[str, tuple[str, NDArray[Any]]]] = {}
        for layer in range(2):
            attention = f"model.layers.{layer}.self_attn"
            self.shards[f"model-0000{layer + 1}-of-00002.safetensors"] = {
                f"{attention}.{name}_proj.weight": (
                    "F32",
                    rng.normal(size=(rows, 8)).astype("<f4"),
                )
                for name, rows in (("k", 6), ("v", 6), ("q", 12))
            }

    def write(self) -> str:
        """Write the files and return the folder's name."""
        (self.folder / "config.json").write_text(json.dumps(self.config))
        weight_map = {name: shard for shard, tensors in self.shards.items() for name in tensors}
        (self.folder / "model.safetensors.index.json").write_text(
            json.dumps({"metadata": {}, "weight_map": weight_map})
        )
        for shard, tensors in self.shards.items():
            write_safetensors(self.folder / shard, tensors)
        return str(self.folder)

    def change(
        self, layer: int, projection: str, change: Callable[[str, NDArray[Any]], Any]
    ) -> str:
        """Replace the code and array of one weight and return its name."""
        name = f"model.layers.{layer}.self_attn.{projection}_proj.weight"
        shard = self.shards[f"model-0000{layer + 1}-of-00002.safetensors"]
        shard[name] = change(*shard[name])
        return name


@pytest.fixture
def hand_made(tmp_path: Path) -> HandMade:
    """Return a checkpoint that is not yet written."""
    folder = tmp_path / "model"
    folder.mkdir()
    return HandMade(folder)

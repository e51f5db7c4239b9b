"""Inner products between the heads of a layer: all that the search needs of a checkpoint."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from json import dumps
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from qcqa.errors import RunError
from qcqa.model.spec import ModelSpec
from qcqa.model.tensor_file import write_tensors
from qcqa.reading.file import FileKind
from qcqa.reading.json_file import as_record
from qcqa.reading.safetensors_file import ArraysFile
from qcqa.reduce.terms import Kind

FloatArray = NDArray[np.float64]

_FILE = FileKind("a file of Grams", RunError, "start the search anew", most_bytes=None)
_SPEC = TypeAdapter(ModelSpec)

#: Multiplications up to which OpenBLAS keeps a product on one thread.
_MAX_PRODUCT = 2**18
_PIECES_AT_ONCE = 32


@dataclass(frozen=True, slots=True, eq=False)
class HeadGram:
    """Gram matrices of one layer's K and V heads.

    Parameters
    ----------
    key, value : array, shape (H, H)
        ``key[i, j]`` is the Frobenius inner product of the K weights of heads i and j, bias
        included. arXiv 2406.10247, section 3, needs no more of the weights.
    """

    key: FloatArray
    value: FloatArray

    @property
    def total(self) -> FloatArray:
        """Gram of keys and values stacked, shape (H, H): for groupings shared by both."""
        return self.key + self.value

    def of(self, kind: Kind) -> FloatArray:
        """Return the Gram of the keys, of the values, or of both stacked, shape (H, H)."""
        return {"shared": self.total, "key": self.key, "value": self.value}[kind]

    @property
    def num_heads(self) -> int:
        """Heads of the layer, ``H``."""
        return int(self.key.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class ModelGrams:
    """Gram matrices of every layer of a model, and which model it was.

    Parameters
    ----------
    spec : ModelSpec
        Geometry of the model.
    fingerprint : str
        Hash of a sample of its K and V weights; a plan holds it to know its model again.
    layers : tuple of HeadGram
        One per layer, ``L`` of them.
    """

    spec: ModelSpec
    fingerprint: str
    layers: tuple[HeadGram, ...]
    #: Squared norm of all K and V weights: the WSE that a relative WSE of 1 stands for.
    trace: float = field(init=False)

    def __post_init__(self) -> None:
        # Once: a page asks for it dozens of times.
        trace = float(sum(np.trace(layer.total) for layer in self.layers))
        object.__setattr__(self, "trace", trace)

    def __iter__(self) -> Iterator[HeadGram]:
        return iter(self.layers)


def gram_of_heads(heads: NDArray[np.float32]) -> FloatArray:
    """Return the inner products between heads.

    Parameters
    ----------
    heads : array, shape (H, dh, d) or (H, n)
        Weights of each head.

    Returns
    -------
    array, shape (H, H), float64
    """
    num_heads = heads.shape[0]
    flat = heads.reshape(num_heads, -1)  # (H, n)
    # Many short products rather than one: sums in float32 stay short and so exact, and each is
    # too small for BLAS to start threads, which wait for each other where other work has the cores.
    length = max(64, min(4096, _MAX_PRODUCT // num_heads**2))
    num_pieces = flat.shape[1] // length
    pieces = flat[:, : num_pieces * length].reshape(num_heads, num_pieces, length)
    pieces = pieces.transpose(1, 0, 2)  # (n / length, H, length)
    gram = np.zeros((num_heads, num_heads))
    for first in range(0, num_pieces, _PIECES_AT_ONCE):
        some = pieces[first : first + _PIECES_AT_ONCE]
        gram += (some @ some.transpose(0, 2, 1)).sum(axis=0)
    rest = flat[:, num_pieces * length :]
    gram += rest @ rest.T
    return gram


def head_similarity(gram: FloatArray) -> FloatArray:
    """Return the cosine similarity of the weights of each pair of heads.

    Parameters
    ----------
    gram : array, shape (H, H)
        Inner products between the heads.

    Returns
    -------
    array, shape (H, H)
        From -1 to 1, with 1 on the diagonal; 0 between a head of zeros and any other.
    """
    norm = np.sqrt(np.diag(gram))  # (H,)
    lengths = np.outer(norm, norm)  # (H, H)
    similarity = np.divide(gram, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    np.fill_diagonal(similarity, 1.0)
    clipped: FloatArray = np.clip(similarity, -1.0, 1.0)
    return clipped


def save_grams(grams: ModelGrams, path: Path) -> None:
    """Write Grams to a safetensors file, atomically."""
    tensors = {
        "key": np.stack([layer.key for layer in grams.layers]),  # (L, H, H)
        "value": np.stack([layer.value for layer in grams.layers]),  # (L, H, H)
    }
    metadata = {"spec": dumps(asdict(grams.spec)), "fingerprint": grams.fingerprint}
    write_tensors(path, tensors, metadata)


def load_grams(path: Path) -> ModelGrams:
    """Read Grams that :func:`save_grams` wrote.

    Raises
    ------
    RunError
        If the file is missing or is not such a file.
    """
    file = ArraysFile(path, _FILE)
    spec = as_record(file.about("spec"), _SPEC, path, _FILE)
    heads = spec.num_kv_heads
    keys, values = (
        file.array(name, np.floating, (spec.num_layers, heads, heads)) for name in ("key", "value")
    )
    if not (np.isfinite(keys).all() and np.isfinite(values).all()):
        raise _FILE.damaged(path, "not all of its numbers are finite")
    layers = tuple(HeadGram(key=k, value=v) for k, v in zip(keys, values, strict=True))
    return ModelGrams(
        spec=spec, fingerprint=file.header.metadata.get("fingerprint", ""), layers=layers
    )

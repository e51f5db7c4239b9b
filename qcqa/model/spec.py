"""Geometry of a source model, and the bytes of its KV cache."""

from dataclasses import dataclass

from qcqa.errors import CheckpointError, SettingsError

#: KV heads of all layers together: sixty times those of any model there is. A plan comes without
#: weights to count, and every head takes memory.
MOST_HEADS = 2**20
#: Bytes of all K and V weights: no file, and no index of many, can hold more.
_MOST_BYTES = 2**63

#: Bytes per element of the types in which a KV cache is kept.
DTYPE_BYTES = {
    "float64": 8,
    "float32": 4,
    "bfloat16": 2,
    "float16": 2,
    "float8_e4m3fn": 1,
    "int8": 1,
}


def dtype_bytes(dtype: str) -> int:
    """Return the bytes per element of ``dtype``.

    Raises
    ------
    SettingsError
        If the type is not one in which caches are kept.
    """
    if dtype not in DTYPE_BYTES:
        raise SettingsError(f"dtype {dtype!r}", expected=f"one of {', '.join(DTYPE_BYTES)}")
    return DTYPE_BYTES[dtype]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a search must know of a model: where it is and how its attention is shaped.

    Parameters
    ----------
    source : str
        Local folder or Hub id from which the model was read.
    revision : str or None
        Commit on the Hub, where there is one.
    model_type : str
        As in the model's ``config.json``.
    num_layers, num_query_heads, num_kv_heads, head_dim, hidden_size : int
        Geometry; a grouped-query source has fewer KV heads than query heads.
    has_kv_bias : bool
        Whether the K and V projections have a bias: one more input column in the search.
    dtype : str
        Type of the stored weights, by default also that of the cache.
    """

    source: str
    revision: str | None
    model_type: str
    num_layers: int
    num_query_heads: int
    num_kv_heads: int
    head_dim: int
    hidden_size: int
    has_kv_bias: bool
    dtype: str

    def __post_init__(self) -> None:
        for name in ("num_layers", "num_query_heads", "num_kv_heads", "head_dim", "hidden_size"):
            if getattr(self, name) < 1:
                raise CheckpointError(
                    f"{name} = {getattr(self, name)} in the config of {self.source}",
                    expected="a positive whole number",
                )
        if self.num_query_heads % self.num_kv_heads:
            raise CheckpointError(
                f"{self.num_query_heads} query heads and {self.num_kv_heads} key/value heads "
                f"in the config of {self.source}",
                expected="a number of query heads that the key/value heads divide",
            )
        num_heads = self.num_layers * self.num_kv_heads
        weight_bytes = 2 * num_heads * self.weights_per_head * dtype_bytes(self.dtype)
        if num_heads > MOST_HEADS or weight_bytes >= _MOST_BYTES:
            raise CheckpointError(
                f"{self.num_layers} layers of {self.num_kv_heads} key/value heads of "
                f"{self.head_dim} x {self.hidden_size} weights in the config of {self.source}",
                expected=f"at most {MOST_HEADS} heads, and weights of fewer than 2^63 bytes",
            )

    @property
    def num_stored_heads(self) -> int:
        """K heads plus V heads of all layers."""
        return 2 * self.num_layers * self.num_kv_heads

    @property
    def element_bits(self) -> int:
        """Bits of a cached element in the type of the weights."""
        return 8 * dtype_bytes(self.dtype)

    @property
    def head_bits(self) -> int:
        """Bits per token of one K or V head in the type of the weights."""
        return self.head_dim * self.element_bits

    @property
    def kv_bits(self) -> int:
        """Bits per token of the source's KV cache, one sequence, in the type of the weights."""
        return self.num_stored_heads * self.head_bits

    @property
    def weights_per_head(self) -> int:
        """Weights of one K or V head, its bias included."""
        return self.head_dim * (self.hidden_size + self.has_kv_bias)

    @property
    def attention(self) -> str:
        """What kind of attention it is: MHA, GQA or MQA."""
        if self.num_kv_heads == self.num_query_heads:
            return "MHA"
        return "GQA" if self.num_kv_heads > 1 else "MQA"

    def kv_bytes_per_token(self, dtype: str | None = None) -> int:
        """Return the bytes that the source's KV cache grows by per token of one sequence.

        Parameters
        ----------
        dtype : str, optional
            Type of the cache; that of the weights by default.
        """
        return self.num_stored_heads * self.head_dim * dtype_bytes(dtype or self.dtype)

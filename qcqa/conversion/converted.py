"""What came of a conversion: where the checkpoint is, how large, and the cache that it holds."""

from dataclasses import dataclass

#: Room for what is beside the weights: config, plan, card and code.
SMALL_FILES_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Converted:
    """A checkpoint that was converted and opened once.

    Parameters
    ----------
    folder : str
        Absolute path of the checkpoint.
    source_bytes, weight_bytes : int
        Of all weights, before and after.
    promised_bytes_per_token : float
        Of the KV cache, by the plan.
    measured_bytes_per_token : float or None
        Of the live KV cache of the opened checkpoint; None where there was not enough memory to
        open it.
    """

    folder: str
    source_bytes: int
    weight_bytes: int
    promised_bytes_per_token: float
    measured_bytes_per_token: float | None

"""How large models and loads are: on a GPU, and where only the script itself is tried out."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """Of a Llama with multi-head attention and random weights."""

    layers: int
    hidden: int
    heads: int
    vocabulary: int

    @property
    def head_dim(self) -> int:
        """Size of a head."""
        return self.hidden // self.heads


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    Parameters
    ----------
    compared : Shape
        Beside a dense model, in logits and in texts.
    prompt_tokens, written_tokens : int
        Of that comparison.
    calibrated : Shape
        Whose second moments are timed.
    calibration_tokens, window_tokens : int
        Of the calibrations.
    fitted : Shape
        Whose rises and refits are timed.
    fit_tokens, fit_window_tokens, fit_batch_tokens, refit_steps : int
        Of rises and refits.
    decoding : Shape
        Whose speed and cache are measured.
    loads : tuple of (int, int or None)
        Batch and context of the decode speed; the longest context that fits, where it is None.
    longest_context : int
        Of a load whose context is what fits.
    new_tokens, rounds : int
        Of the decode speed.
    cache_load : (int, int)
        Batch and context at which the bytes of the cache are counted.
    """

    compared: Shape
    prompt_tokens: int
    written_tokens: int
    calibrated: Shape
    calibration_tokens: int
    window_tokens: int
    fitted: Shape
    fit_tokens: int
    fit_window_tokens: int
    fit_batch_tokens: int
    refit_steps: int
    decoding: Shape
    loads: tuple[tuple[int, int | None], ...]
    longest_context: int
    new_tokens: int
    rounds: int
    cache_load: tuple[int, int]


FULL = Sizes(
    compared=Shape(layers=4, hidden=1024, heads=8, vocabulary=4096),
    prompt_tokens=200,
    written_tokens=48,
    calibrated=Shape(layers=16, hidden=2048, heads=16, vocabulary=32000),
    calibration_tokens=16384,
    window_tokens=512,
    fitted=Shape(layers=4, hidden=2048, heads=16, vocabulary=8192),
    fit_tokens=32768,
    fit_window_tokens=512,
    fit_batch_tokens=1024,
    refit_steps=100,
    decoding=Shape(layers=16, hidden=4096, heads=32, vocabulary=32000),
    loads=((1, 2048), (16, 2048), (512, None)),
    longest_context=2048,
    new_tokens=32,
    rounds=5,
    cache_load=(8, 2048),
)

_TINY = Shape(layers=3, hidden=64, heads=4, vocabulary=128)
TINY = Sizes(
    compared=_TINY,
    prompt_tokens=20,
    written_tokens=8,
    calibrated=_TINY,
    calibration_tokens=1024,
    window_tokens=32,
    fitted=_TINY,
    fit_tokens=2048,
    fit_window_tokens=64,
    fit_batch_tokens=256,
    refit_steps=10,
    decoding=_TINY,
    loads=((1, 32), (4, 32), (8, None)),
    longest_context=16,
    new_tokens=4,
    rounds=2,
    cache_load=(2, 32),
)

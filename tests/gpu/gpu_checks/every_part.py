"""All parts, in the order of their worth, with the seconds that each may take on a GPU."""

from functools import partial

import torch

from gpu_checks.calibration import moments_are_right, moments_take_seconds
from gpu_checks.decoding import Decoding
from gpu_checks.fits import KINDS, fits_of_a_large_model, fits_of_the_demo
from gpu_checks.parity import logits_agree, texts_agree
from gpu_checks.parts import Part
from gpu_checks.sizes import FULL, TINY

#: Which implementations of attention are compared in which type. Flash attention has no float32.
_ATTENTIONS = {
    torch.bfloat16: ("eager", "sdpa", "flash_attention_2"),
    torch.float32: ("eager", "sdpa"),
}
_MERGES = ("mean", "svd")
#: What a tiny part may take.
_TINY_SECONDS = 1.0


def every_part(device: torch.device, *, tiny: bool) -> list[Part]:
    """Return the parts for a device.

    Parameters
    ----------
    device : device
        Where the models run.
    tiny : bool
        Whether to try out the script rather than the device.
    """
    sizes = TINY if tiny else FULL
    parts = []
    for dtype, attentions in _ATTENTIONS.items():
        for attention in attentions:
            run = partial(logits_agree, sizes, device, dtype, attention)
            parts.append(Part(f"logits, {_name(dtype)}, {attention}", 15, run))
    for dtype in _ATTENTIONS:
        parts.append(Part(f"texts, {_name(dtype)}", 15, partial(texts_agree, sizes, device, dtype)))
    decoding = Decoding(sizes, device)
    parts.append(Part("cache bytes", 20, decoding.bytes_are_promised))
    for batch, context in sizes.loads:
        run = partial(decoding.speed, batch, context)
        parts.append(Part(f"decoding, batch {batch}", 60 if context is None else 30, run))
    parts.append(Part("calibration, figures", 20, partial(moments_are_right, sizes, device)))
    parts.append(Part("calibration, seconds", 45, partial(moments_take_seconds, sizes, device)))
    for merge in _MERGES:
        for kind in KINDS:
            run = partial(fits_of_the_demo, sizes, device, merge, kind)
            parts.append(Part(f"fits, demo, {merge}, {kind}", 20, run))
    for merge in _MERGES:
        run = partial(fits_of_a_large_model, sizes, device, merge)
        parts.append(Part(f"fits, large, {merge}", 40, run))
    # Last, as it compiles.
    run = partial(logits_agree, sizes, device, torch.bfloat16, "flex_attention")
    parts.append(Part("logits, bfloat16, flex_attention", 60, run))
    if tiny:
        parts = [Part(part.name, _TINY_SECONDS, part.run) for part in parts]
    return parts


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")

"""Recognising quantized weights by their config and by the names of their tensors."""

import re
from collections.abc import Collection, Mapping

from qcqa.errors import UnsupportedModelError
from qcqa.model.config_keys import Config

_CONFIG_KEYS = ("quantization_config", "compression_config", "quantization")
#: Layouts by how they call tensors, the more telling ones first.
_LAYOUTS = tuple(
    (name, re.compile(rf"(?:^|\.)(?:{ending})$"))
    for name, ending in (
        ("GPTQ", r"g_idx"),
        ("GPTQ or AWQ", r"qweight|qzeros"),
        ("compressed-tensors", r"weight_packed"),
        ("bitsandbytes, 4 bits", r"weight\.(?:nested_)?(?:absmax|quant_map|quant_state\..+)"),
        ("bitsandbytes, 8 bits", r"SCB|weight_format"),
        ("FP8, a scale for each block", r"weight_scale_inv"),
        ("FP8 or integers with scales", r"weight_scales?(?:_2)?|input_scale|weight_zero_point"),
        ("HQQ", r"W_q"),
        ("AQLM", r"codes"),
        ("QuIP", r"Qidxs"),
        ("EXL2 or EXL3", r"q_weight|q_invperm|q_scale|trellis|suh|svh"),
        ("Quanto", r"weight\._(?:data|scale|shift)"),
        ("torchao", r"_?weight_qdata|weight:_\w+"),
        ("MXFP4", r"\w+_blocks"),
        ("MLX", r"biases"),
    )
)
#: Files that some quantizers leave beside the weights.
_MARKS = ("quantize_config.json", "quant_config.json")


def refuse_quantized_config(config: Config, decoder_config: Config, source: str) -> None:
    """Refuse a model whose config says that it is quantized.

    Raises
    ------
    UnsupportedModelError
        If it does, by any of the keys that quantizers use.
    """
    for key in _CONFIG_KEYS:
        found = config.get(key) or decoder_config.get(key)
        if found:
            method = found.get("quant_method") if isinstance(found, Mapping) else None
            raise quantized(source, str(method or f"{key} in its config"))


def quantized_layout(tensors: Collection[str]) -> str | None:
    """Return what a model's tensors are quantized with, by their names, or None if they are not."""
    for layout, pattern in _LAYOUTS:
        found = next((name for name in tensors if pattern.search(name)), None)
        if found is not None:
            return f"{layout}: it has {found}"
    return None


def quantizers_mark(files: Collection[str]) -> str | None:
    """Return the file by which a folder without weights of the usual name is known, or None."""
    by_name = re.compile(r"(?:gptq|awq|exl[23]).*\.(?:safetensors|bin|pt)$", re.IGNORECASE)
    found = (name for name in sorted(files) if name in _MARKS or by_name.search(name))
    return next(found, None)


def quantized(source: str, how: str) -> UnsupportedModelError:
    """Return the error for a quantized model."""
    return UnsupportedModelError(
        f"{source} is quantized ({how})",
        expected="weights in float64, float32, float16 or bfloat16",
        remedy="use the model that it was quantized from",
    )

"""The grouped attention of transformers models, and the conversion of a model to it.

``convert`` changes a live model, ``converted_copy`` leaves it as it is, and ``convert_checkpoint``
writes a complete checkpoint without ever holding the model; ``load`` opens it, and
``refresh_converted`` gives it the code of this release. ``remote/`` is the code that runs a
converted model, here and on machines without this library.
"""

from qcqa.attention.folder import convert_checkpoint
from qcqa.attention.live import convert, converted_copy, source_heads
from qcqa.attention.loading import load
from qcqa.attention.names import attention_names
from qcqa.attention.refresh import refresh_converted

__all__ = [
    "attention_names",
    "convert",
    "convert_checkpoint",
    "converted_copy",
    "load",
    "refresh_converted",
    "source_heads",
]

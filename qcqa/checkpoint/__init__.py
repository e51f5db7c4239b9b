"""Reading the K and V heads of a checkpoint without instantiating its model.

Nothing here loads torch or transformers. ``open_checkpoint`` reads the config and headers,
``read_grams`` the K and V weights, layer by layer. ``architectures/`` says where each family
keeps them.
"""

from qcqa.checkpoint.architecture import Architecture
from qcqa.checkpoint.checkpoint import Checkpoint
from qcqa.checkpoint.families import architecture_of, known_architectures
from qcqa.checkpoint.fingerprint import Fingerprint, fingerprint
from qcqa.checkpoint.grams import read_grams
from qcqa.checkpoint.heads import LayerHeads, row_ranges
from qcqa.checkpoint.opening import open_checkpoint

__all__ = [
    "Architecture",
    "Checkpoint",
    "Fingerprint",
    "LayerHeads",
    "architecture_of",
    "fingerprint",
    "known_architectures",
    "open_checkpoint",
    "read_grams",
    "row_ranges",
]

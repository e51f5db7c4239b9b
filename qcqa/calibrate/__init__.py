"""What calibration text says of a model: second moments, refitted attention, measured rises.

The text is only read, never predicted against: the source model is the teacher. It must not be the
text on which plans are evaluated.
"""

from qcqa.calibrate.batches import TokenBatch, make_batches
from qcqa.calibrate.decoder import Decoder
from qcqa.calibrate.moments import second_moments
from qcqa.calibrate.refit import RefitSettings, refit
from qcqa.calibrate.rises import RiseMeter
from qcqa.calibrate.windows import calibration_windows

__all__ = [
    "Decoder",
    "RefitSettings",
    "RiseMeter",
    "TokenBatch",
    "calibration_windows",
    "make_batches",
    "refit",
    "second_moments",
]

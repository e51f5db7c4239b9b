"""Whether rises are foretold as they are measured: ``python tests/benchmarks/foretold_rises.py``.

For keys and for values of each layer, in every number of contiguous groups and of bits: the rise of
the calibration loss to second order, without a refit, beside that which is measured after one.
Prints both, with the seconds of CPU that they took (of the first, with the gradients of all
layers); then, for each kind of choice, the rank correlation within a slot, and how far the
logarithm of their ratio varies over all and within a slot. Exits with 1 where the least rank
correlation of a kind is below 0.5.

    python tests/benchmarks/foretold_rises.py [--model M] [--text FILE] [--layers 0,3] [--steps N]
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from qcqa.conversion.live import copy_with_one_layer
from qcqa.conversion.travelling.bits_qcqa import Ladder
from qcqa.model.opening import open_checkpoint
from qcqa.model.source_model import load_float32
from qcqa.reduce.bits.choice import WIDTHS, Bits
from qcqa.reduce.bits.options import BitsOptions
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.groups.grouping import Grouping
from qcqa.text.amounts import BATCH_TOKENS, SEARCH_STEPS, exact_batches, ranked_batches
from qcqa.text.batches import make_batches
from qcqa.text.bits_rises import BitsMeter
from qcqa.text.calibrate import calibrate_model
from qcqa.text.calibration_folder import CalibrationFolder
from qcqa.text.refit import RefitSettings
from qcqa.text.rises import RiseMeter
from qcqa.text.source_reading import SourceReading
from qcqa.text.windows import evenly

FloatArray = NDArray[np.float64]

LEAST_CORRELATION = 0.5


@dataclass
class Row:
    """A choice's rises, in nats per token, and the seconds of CPU that they took."""

    kind: str
    slot: tuple[int, str]
    name: str
    foretold: float
    measured: float
    seconds: tuple[float, float]


def main() -> int:
    """Return 0 if rises are foretold in their order."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="demo")
    parser.add_argument("--text", default="demo")
    parser.add_argument("--layers", help="numbers with commas; all by default")
    parser.add_argument("--steps", type=int, default=SEARCH_STEPS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = _rows(asked, CalibrationFolder(Path(folder)))
    return 0 if min(_told(rows, kind) for kind in ("groups", "bits")) >= LEAST_CORRELATION else 1


def _rows(asked: argparse.Namespace, kept: CalibrationFolder) -> list[Row]:
    calibrate_model(asked.model, asked.text, kept.path, with_grams=False)
    checkpoint = open_checkpoint(asked.model)
    source, spec = load_float32(checkpoint, "auto"), checkpoint.spec
    size = sum(weight.numel() for weight in source.parameters())
    batches = make_batches(kept.windows(), batch_tokens=BATCH_TOKENS, device=source.device)
    reading = SourceReading(
        source,
        evenly(batches, ranked_batches(size)),
        is_fitted_to=True,
        most_exact=exact_batches(size),
    )
    merge = partial(copy_with_one_layer, source, merge="svd", moments=kept.moment)
    of_heads = RiseMeter(reading, merge, RefitSettings(steps=asked.steps))
    of_bits = BitsMeter(reading)
    layers = [int(one) for one in asked.layers.split(",")] if asked.layers else None
    rows = []
    for layer in layers or range(spec.num_layers):
        for kind in ("key", "value"):
            for count in range(1, spec.num_kv_heads):
                labels = [head * count // spec.num_kv_heads for head in range(spec.num_kv_heads)]
                choice = LayerChoice(**{kind: (Grouping.from_labels(labels),)})
                rows.append(
                    _row(
                        "groups",
                        (layer, kind),
                        f"{count} groups",
                        partial(of_heads.foretold, layer, [choice]),
                        partial(of_heads, layer, [choice]),
                    )
                )
            for width in WIDTHS:
                ladder = Ladder.of(Bits.uniform(width, BitsOptions(), kind, spec).codec())
                rows.append(
                    _row(
                        "bits",
                        (layer, kind),
                        f"{width} bits",
                        partial(of_bits.foretold, layer, kind, [ladder]),
                        partial(of_bits, layer, kind, [ladder]),
                    )
                )
    return rows


def _row(
    kind: str,
    slot: tuple[int, str],
    name: str,
    foretell: Callable[[], FloatArray],
    measure: Callable[[], FloatArray],
) -> Row:
    start = time.process_time()
    foretold = float(foretell()[0])
    between = time.process_time()
    measured = float(measure()[0])
    seconds = between - start, time.process_time() - between
    row = Row(kind, slot, name, foretold, measured, seconds)
    print(
        f"layer {slot[0]:2} {slot[1]:5} {name:9} foretold {foretold:.6f} in {seconds[0]:6.2f} s, "
        f"measured {measured:.6f} in {seconds[1]:6.2f} s",
        flush=True,
    )
    return row


def _told(rows: list[Row], kind: str) -> float:
    """Print how well one kind of choice is foretold; return the least rank correlation."""
    of_kind = [row for row in rows if row.kind == kind]
    slots: dict[tuple[int, str], list[Row]] = {}
    for row in of_kind:
        slots.setdefault(row.slot, []).append(row)
    if any(len(some) < 3 for some in slots.values()):
        return 1.0
    pairs = [np.array([[row.foretold, row.measured] for row in some]) for some in slots.values()]
    ranks = [float(spearmanr(*pair.T).statistic) for pair in pairs]
    ratios = [np.log(pair[:, 1] / pair[:, 0]) for pair in pairs]
    seconds = np.array([row.seconds for row in of_kind]).sum(axis=0)
    print(
        f"{kind}: rank correlation within a slot {np.mean(ranks):.3f}, at least {min(ranks):.3f}; "
        f"log ratio varies by {np.concatenate(ratios).std():.2f}, within a slot by "
        f"{np.mean([ratio.std() for ratio in ratios]):.2f}; "
        f"{seconds[0]:.0f} and {seconds[1]:.0f} seconds"
    )
    return min(ranks)


if __name__ == "__main__":
    sys.exit(main())

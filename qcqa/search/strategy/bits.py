"""One number of bits, or one staircase of them, for all keys and values."""

import numpy as np

from qcqa.reduce.bits.choice import Bits, Steps
from qcqa.reduce.bits.options import BitsOptions
from qcqa.reduce.candidates import Candidates, slots_of
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.stored import COST_CONTEXT
from qcqa.search.front import Front
from qcqa.search.progress import OnSearchProgress
from qcqa.search.strategy.config import CommonSettings
from qcqa.search.strategy.fronts import front_of
from qcqa.search.strategy.offered import cost_at, rises_at, site_kind, tell
from qcqa.search.strategy.problem import Problem


def ladder_front(
    method: str,
    problem: Problem,
    settings: CommonSettings,
    options: BitsOptions,
    steps: Steps,
    on_progress: OnSearchProgress,
) -> Front:
    """Return the one plan that keeps all keys and values alike, where layers can have it.

    The rise of a staircase is taken to be that of its rungs, by the tokens that are on each.

    Parameters
    ----------
    method : str
        Name of the method.
    problem : Problem
        The model, and what its bits cost, measured.
    settings : CommonSettings
        Of the search.
    options : BitsOptions
        How bits are packed.
    steps : tuple of (int, int or None)
        Bits, and for how many tokens; see :data:`~qcqa.reduce.bits.choice.Steps`.
    on_progress : callable
        Called after each layer.
    """
    slots, found = slots_of(problem.spec.num_layers, apart=True), []
    for slot in slots:
        kind = site_kind(slot)
        bits = Bits.staircase(steps, options, kind, problem.spec)
        choices, shares = (slot.choice((bits,)),), _shares(bits)
        alone = [Bits.uniform(width, options, kind, problem.spec) for width in shares]
        rises = rises_at(problem, slot, alone)
        error = sum(share * rise for share, rise in zip(shares.values(), rises, strict=True))
        if not np.isfinite(error):  # a layer that does not see all tokens stays as it is
            choices, error = (LayerChoice(),), 0.0
        found.append(Candidates(slot, choices, cost_at(problem, choices), np.array([error])))
        tell(on_progress, slot, len(found), len(slots))
    plan = np.zeros((1, len(slots)), dtype=np.int64)
    return front_of(method, found, plan, settings, problem.spec.num_kv_heads)


def _shares(bits: Bits) -> dict[int, float]:
    """Return the share of a long context's blocks at every width; the window is not counted."""
    num_blocks = remaining = (COST_CONTEXT - bits.window) // bits.block
    shares = {}
    for width, most in bits.rungs:
        here = remaining if most is None else min(remaining, most)
        shares[width] = here / num_blocks
        remaining -= here
    return shares

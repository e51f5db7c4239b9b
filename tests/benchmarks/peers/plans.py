"""Peers that are plans of this package: means of neighbours, and its own methods.

* GQA (arXiv 2305.13245) and MQA (arXiv 1911.02150): the mean of neighbouring heads, alike in every
  layer, without the training that follows there.
* This package's methods, by their names in :data:`qcqa.search.methods.METHODS`.
"""

import shutil
from contextlib import suppress
from dataclasses import replace
from functools import partial

from qcqa.errors import BudgetError
from qcqa.measure.promised_cache import promised_cache
from qcqa.pick.plan import plan_of_result
from qcqa.plan.budget import bits_within_ratio
from qcqa.plan.plan import Plan
from qcqa.search.calibrated_model import CalibratedModel
from qcqa.search.methods import METHODS, wants_calibration
from qcqa.search.result import SearchResult
from qcqa.search.search import search_model
from qcqa.search.strategy.config import SearchSettings
from qcqa.text.through_cache import piece_tokens_of
from tests.benchmarks.peers.ground import Ground, Made, NoneFitsError, Peer

#: In this process: it is what is timed.
_SETTINGS = SearchSettings(workers=1)


def searched(ground: Ground, method: str) -> SearchResult:
    """Return the front of a method, which knows nothing of what others have measured."""
    name, methods = f"search-{method}", (method,)
    if not wants_calibration(methods, _SETTINGS):
        return ground.once(
            name, lambda: search_model(ground.model, methods=methods, settings=_SETTINGS)
        )
    _, calibration = ground.calibration()

    def search() -> SearchResult:
        kept = ground.folder / name
        shutil.copytree(calibration.path, kept, dirs_exist_ok=True)
        calibrated = CalibratedModel(ground.model, ground.text, kept, device="cpu")
        return search_model(
            ground.model, methods=methods, settings=_SETTINGS, calibrated=calibrated
        )

    return ground.once(name, search)


def plan_within(ground: Ground, ratio: float, method: str) -> Plan:
    """Return the plan of a method that fits."""
    result = searched(ground, method)
    try:
        return plan_of_result(result, bits_within_ratio(ground.spec, ratio), method=method)
    except BudgetError as error:
        raise NoneFitsError(str(error.expected)) from error


def made_of(ground: Ground, plan: Plan) -> Made:
    """Return the model of a plan, whose live cache was seen to hold what the plan promises."""
    model = ground.models.model_of(plan)
    promised_cache(model, plan, plan.method)
    return Made(
        model,
        lambda tokens: plan.bits_at((tokens,)) * tokens,
        piece_tokens=piece_tokens_of(plan),
        note=plan_note(plan),
    )


def plan_note(plan: Plan) -> str:
    """Return what a plan keeps."""
    heads = f"{plan.num_stored_heads} of {plan.model.num_stored_heads} heads"
    return ", ".join(filter(None, (heads * plan.shares_heads, "bits" * plan.has_codecs)))


def _by_method(ground: Ground, ratio: float, method: str) -> Made:
    return made_of(ground, plan_within(ground, ratio, method))


def _uniform(ground: Ground, ratio: float) -> Made:
    for name in _UNIFORM:
        with suppress(NoneFitsError):
            return replace(_by_method(ground, ratio, name), note=METHODS[name].label)
    raise NoneFitsError(f"{METHODS[_UNIFORM[-1]].label} are the fewest")


#: Uniform bits, the most first.
_UNIFORM = tuple(
    name for name, method in METHODS.items() if method.steps is not None and len(method.steps) == 1
)
#: All that is searched exactly: what comes to the registry comes to the table.
OURS = tuple(name for name, method in METHODS.items() if method.strategy == "exact")

PEERS = (
    Peer("gqa", "GQA means", partial(_by_method, method="gqa")),
    Peer("mqa", "MQA means", partial(_by_method, method="mqa")),
    Peer("uniform-bits", "ours: uniform bits", _uniform),
    *(
        Peer(name, f"ours: {METHODS[name].label}", partial(_by_method, method=name))
        for name in OURS
    ),
)

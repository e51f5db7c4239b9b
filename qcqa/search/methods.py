"""The methods, a row each: each answers a problem with a front of plans.

A method is what its plans may use, a strategy over it, and what it insists on whatever was asked.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from qcqa.errors import SettingsError
from qcqa.progress import silent, within
from qcqa.reduce.bits.choice import Steps
from qcqa.reduce.groups.search.genes import divisors
from qcqa.search.front import Front
from qcqa.search.progress import OnSearchProgress, SearchProgress
from qcqa.search.strategy.bits import ladder_front
from qcqa.search.strategy.blocks import block_front
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.offered import is_offered, offered_front, offers_of
from qcqa.search.strategy.optimal import optimal_front, optimal_slots
from qcqa.search.strategy.problem import Problem
from qcqa.search.strategy.remeasuring import settled_front

#: ``table``: blocks of neighbours, alike in every layer, looked up. ``two-stage``: NSGA-II within
#: layers, then over them (arXiv 2406.10247, section 3). ``exact``: the best grouping known for
#: every group count, spread exactly over the layers.
Strategy = Literal["table", "two-stage", "exact"]


@dataclass(frozen=True, slots=True)
class Method:
    """A way to choose how the cache is made smaller.

    Parameters
    ----------
    name : str
        As on the command line and in files.
    label : str
        As in charts.
    description : str
        One line for people.
    strategy : Strategy
        How its front is found.
    group_counts : callable or None
        From the heads of a layer to the numbers of equal groups that it allows; None for groups of
        any number and size.
    insists : mapping
        Settings that it has whatever a run's are.
    reductions : tuple of str
        What its plans may use.
    steps : tuple of (int, int or None), optional
        Bits of all keys and values, and for how many tokens, where it is a table of bits.
    in_presets : bool
        Whether a preset that has all methods has it, or it must be asked for.
    """

    name: str
    label: str
    description: str
    strategy: Strategy
    group_counts: Callable[[int], Sequence[int]] | None = None
    insists: Mapping[str, Any] = field(default_factory=dict)
    reductions: tuple[str, ...] = ("groups",)
    steps: Steps | None = None
    in_presets: bool = True

    @property
    def needs_search(self) -> bool:
        """Whether it takes time; the others only look their plans up."""
        return self.strategy != "table"

    def settings(self, asked: SearchSettings) -> SearchSettings:
        """Return the settings of a run as this method has them."""
        return asked.model_copy(update=dict(self.insists))


#: The baselines group keys and values alike, as those who use them do.
_TOGETHER = MappingProxyType({"apart": False})
#: Of QCQA where no text is at hand: its second stage judges layers by WSE, as its first does heads.
_BY_WEIGHTS_ALONE = MappingProxyType({"fitness": "wse", "stage2_fitness": None})

_BEST_HEADS = MappingProxyType(
    {"fitness": "loss", "stage2_fitness": None, "apart": True, "merge": "svd", "refit": True}
)
#: What bits lose only a run of the model says.
_MEASURED_BITS = MappingProxyType(
    {"fitness": "loss", "stage2_fitness": None, "apart": True, "merge": "mean", "refit": False}
)


#: A guess: of measuring heads and bits, what heads take, which are refitted.
_HEADS_SHARE = 0.7


def _all_in(width: int) -> Method:
    """Return the method that keeps all keys and values in so many bits."""
    return Method(
        f"bits-{width}",
        f"{width} bits",
        f"All keys and values in {width} bits, with scales for small groups (arXiv 2402.02750).",
        "table",
        insists=_MEASURED_BITS,
        reductions=("bits",),
        steps=((width, None),),
    )


_METHODS = (
    Method(
        "mha",
        "MHA",
        "Multi-head attention: the source's heads as they are.",
        "table",
        lambda heads: [heads],
        _TOGETHER,
    ),
    Method(
        "gqa",
        "GQA",
        "Grouped-query attention: equal blocks of neighbouring heads, alike in all layers "
        "(arXiv 2305.13245).",
        "table",
        divisors,
        _TOGETHER,
    ),
    Method(
        "mqa",
        "MQA",
        "Multi-query attention: all heads of a layer share one (arXiv 1911.02150).",
        "table",
        lambda _heads: [1],
        _TOGETHER,
    ),
    Method(
        "qcqa-ac",
        "QCQA-AC",
        "The paper's evolutionary search: groups of any size, and layers by what the model "
        "was measured to lose.",
        "two-stage",
    ),
    Method(
        "qcqa-ec",
        "QCQA-EC",
        "The paper's evolutionary search: groups of one size per layer, and layers by what "
        "the model was measured to lose.",
        "two-stage",
        divisors,
    ),
    Method(
        "qcqa-ac-wse",
        "QCQA-AC by WSE",
        "QCQA-AC where only weights are at hand: WSE alone decides over layers, too.",
        "two-stage",
        insists=_BY_WEIGHTS_ALONE,
    ),
    Method(
        "qcqa-ec-wse",
        "QCQA-EC by WSE",
        "QCQA-EC where only weights are at hand: WSE alone decides over layers, too.",
        "two-stage",
        divisors,
        _BY_WEIGHTS_ALONE,
    ),
    Method(
        "optimal",
        "Optimal",
        "The best grouping known for every group count, spread exactly over the layers.",
        "exact",
        # It has no second stage: its layers are allocated exactly.
        insists=MappingProxyType({"stage2_fitness": None}),
    ),
    Method(
        "best",
        "Best heads",
        "Keys and values grouped apart by measured loss, merged as subspaces and refitted.",
        "exact",
        insists=_BEST_HEADS,
    ),
    _all_in(8),
    _all_in(4),
    _all_in(2),
    Method(
        "staircase",
        "Staircase",
        "Fewer bits for older tokens: 128 in 8 bits, 896 in 4, the rest in 2 (arXiv 2410.18441).",
        "table",
        insists=_MEASURED_BITS,
        reductions=("bits",),
        steps=((8, 128), (4, 896), (2, None)),
    ),
    Method(
        "bits",
        "Best bits",
        "Bits for the keys and for the values of every layer, by measured loss.",
        "exact",
        insists=_MEASURED_BITS,
        reductions=("bits",),
    ),
    Method(
        "heads-bits",
        "Heads \N{MULTIPLICATION SIGN} bits",
        "Best heads and best bits at once: every layer spends its bytes on either.",
        "exact",
        insists=_BEST_HEADS,
        reductions=("groups", "bits"),
    ),
    Method(
        "latents",
        "Best latents",
        "One latent for all keys and one for all values of a layer, by measured loss, refitted "
        "(arXiv 2406.07056).",
        "exact",
        insists=_BEST_HEADS,
        reductions=("latent",),
        in_presets=False,
    ),
    Method(
        "head-dims",
        "Smaller heads",
        "Every head in fewer dimensions of its own, by measured loss, refitted.",
        "exact",
        insists=_BEST_HEADS,
        reductions=("head-dim",),
        in_presets=False,
    ),
    Method(
        "everything",
        "Best of all",
        "Heads, latents or smaller heads at every site, whichever loses least, and bits after it.",
        "exact",
        insists=_BEST_HEADS,
        reductions=("groups", "latent", "head-dim", "bits"),
        in_presets=False,
    ),
)

#: Every method by its name, in the order of charts and tables.
METHODS: dict[str, Method] = {method.name: method for method in _METHODS}


def run_method(
    name: str,
    problem: Problem,
    settings: SearchSettings,
    *,
    progress: Callable[[SearchProgress], None] | None = None,
    scratch: Path | None = None,
) -> Front:
    """Return the front of one method.

    Parameters
    ----------
    name : str
        A key of :data:`METHODS`.
    problem : Problem
        The model, and what sharing costs by the fitness of the method's settings.
    settings : SearchSettings
        Same settings, same front; ``workers`` changes only the time. What the method insists on
        takes their place.
    progress : callable, optional
        Told of finished slots and generations; raising from it ends the search.
    scratch : Path, optional
        Folder in which finished slots are kept: called again after it was killed, the method
        goes on from there to the same result.

    Raises
    ------
    SettingsError
        If there is no such method, or it minimises another fitness than the problem's.
    """
    if name not in METHODS:
        raise SettingsError(f"method {name!r}", expected=f"one of {', '.join(METHODS)}")
    method = METHODS[name]
    effective = method.settings(settings)
    if effective.judged_by != problem.fitness:
        raise SettingsError(
            f"a problem of fitness {problem.fitness} for {method.label}",
            expected=f"one of fitness {effective.judged_by}",
        )
    return settled_front(
        problem,
        lambda on_progress: _front(method, problem, effective, on_progress, scratch),
        progress or silent,
    )


def _front(
    method: Method,
    problem: Problem,
    settings: SearchSettings,
    on_progress: OnSearchProgress,
    scratch: Path | None,
) -> Front:
    if method.strategy == "two-stage":
        # pymoo takes half a second to import: only a search should wait for it.
        from qcqa.search.strategy.two_stage import (
            arbitrary_cardinality,
            equal_cardinality,
            two_stage,
        )

        search = equal_cardinality if method.group_counts else arbitrary_cardinality
        return two_stage(
            method.name,
            search,
            problem,
            settings,
            settings.two_stage,
            on_progress=on_progress,
            scratch=scratch,
        )
    if is_offered(method.reductions):
        return _front_of_offers(method, problem, settings, on_progress, scratch)
    if method.group_counts:
        counts = method.group_counts(problem.spec.num_kv_heads)
        return block_front(method.name, problem, settings, counts, on_progress)
    return optimal_front(
        method.name, problem, settings, settings.exact, on_progress=on_progress, scratch=scratch
    )


def _front_of_offers(
    method: Method,
    problem: Problem,
    settings: SearchSettings,
    on_progress: OnSearchProgress,
    scratch: Path | None,
) -> Front:
    if method.steps:
        return ladder_front(
            method.name, problem, settings, settings.bits, method.steps, on_progress
        )
    offers = offers_of(method.reductions, settings)
    if "groups" not in method.reductions:
        return offered_front(method.name, problem, settings, offers, on_progress)
    groups = optimal_slots(
        problem,
        settings,
        settings.exact,
        on_progress=within(on_progress, 0.0, _HEADS_SHARE),
        scratch=scratch,
    )
    after_heads = within(on_progress, _HEADS_SHARE, 1.0)
    return offered_front(method.name, problem, settings, offers, after_heads, groups)


def wants_calibration(names: Iterable[str], settings: SearchSettings) -> bool:
    """Return whether any of the methods has use for a calibration text."""
    all_settings = [METHODS[name].settings(settings) for name in names]
    return any(
        variant.judged_by != "wse" or variant.merge == "svd" or variant.refit
        for variant in all_settings
    )

"""How to search: a preset or a choice of one's own, and how thoroughly."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar, get_args

import streamlit as st
from ui.draft import EFFORTS, FITNESSES, OF_EFFORT, OWN_CHOICE, Draft
from ui.state import controlled, draft, field, redraft

from qcqa.charts.common.wording import MERGES, listed
from qcqa.options import Options, described
from qcqa.reduce.bits.options import BitsOptions
from qcqa.reduce.registry import REDUCTIONS
from qcqa.reduce.terms import MergeName
from qcqa.search.method_sets import SEARCHED_METHODS, names_today, that_reduce
from qcqa.search.methods import METHODS
from qcqa.search.presets import PRESETS
from qcqa.search.strategy.config import CommonSettings, SearchSettings
from qcqa.search.strategy.options import ExactOptions

_PRESET_LABELS = {"paper": "As published", "best": "Best quality"}

_OptionsT = TypeVar("_OptionsT", bound=Options)

#: Larger numbers are not read from an address.
_MOST = 10**9

_SEARCHED = [name for name in METHODS if name in SEARCHED_METHODS]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a search was asked, but for its model.

    Parameters
    ----------
    methods : tuple of str
        None at all where the form is not filled in.
    settings : SearchSettings
        With what a preset decides in place.
    name : str
        Title of the run, "" for the model's own.
    """

    methods: tuple[str, ...]
    settings: SearchSettings
    name: str

    def by_weights(self) -> "Asked":
        """Return what is searched where no text is at hand."""
        settings = self.settings.model_copy(update={"stage2_fitness": None})
        return replace(self, methods=names_today(self.methods, settings), settings=settings)


def choose_settings() -> Asked:
    """Ask for preset, effort and, on request, everything else."""
    asked = draft()
    st.radio(
        "Search",
        [*PRESETS, OWN_CHOICE],
        format_func=lambda name: _PRESET_LABELS.get(name, "My own choice"),
        captions=[
            *(preset.description for preset in PRESETS.values()),
            "Choose what is minimised, how heads are merged, and by which methods.",
        ],
        **field("preset", asked.preset),
    )
    reductions = _reductions(asked)
    always: tuple[str, ...] = ()
    if asked.preset == OWN_CHOICE:
        kind = _kind(asked)
    else:
        kind = PRESETS[asked.preset].fixed
        # Methods that only this preset has are what it is chosen for: they are no option.
        always = tuple(name for name in PRESETS[asked.preset].methods if name not in _SEARCHED)
    always = tuple(name for name in that_reduce(always, reductions) if name not in _SEARCHED)
    st.segmented_control(
        "Effort",
        list(EFFORTS),
        required=True,
        help="Population and generations of the two NSGA-II stages.",
        # Another effort, other numbers.
        **controlled(
            "new_effort",
            asked.effort,
            lambda effort: redraft(effort=effort, **dict.fromkeys(OF_EFFORT)),
        ),
    )
    with st.expander("Advanced", icon=":material/tune:"):
        methods = _methods(asked, always) if "groups" in reductions else ()
        with st.grid(2, min_column_width=220):
            # Those of the effort, each of which may be changed.
            two_stage = _with_numbers(EFFORTS[asked.effort], OF_EFFORT)
            exact = _with_numbers(ExactOptions(), ("restarts",))
            common = _with_numbers(CommonSettings(), ("seed",))
        bits = _bits(asked) if "bits" in reductions else BitsOptions()
        st.text_input("Name of the run", placeholder="the model's own", **field("name", asked.name))
    settings = SearchSettings.model_validate(
        {**dict(common), **kind, "two_stage": two_stage, "exact": exact, "bits": bits}
    )
    methods = names_today(methods, settings)
    return Asked((*methods, *always), settings, asked.name.strip())


def _reductions(asked: Draft) -> tuple[str, ...]:
    """Ask what may be reduced."""
    methods = PRESETS[asked.preset].methods if asked.preset in PRESETS else _SEARCHED
    used = {kind for name in methods for kind in METHODS[name].reductions}
    usual = tuple(name for name in REDUCTIONS if name in used)
    shown = usual if asked.reduce is None else asked.reduce

    def choose_some(names: list[str]) -> None:
        redraft(reduce=None if tuple(names) == usual else tuple(names))

    st.pills(
        "What may be reduced",
        list(REDUCTIONS),
        selection_mode="multi",
        format_func=lambda name: REDUCTIONS[name].label,
        help="Heads that share one key/value head, latents, smaller heads, fewer bits.",
        **controlled("new_reduce", list(shown), choose_some),
    )
    return shown


def _kind(asked: Draft) -> Mapping[str, object]:
    """Ask for what the presets decide."""
    # The output error is that of subspaces.
    usual: MergeName = "svd" if asked.fitness == "output-error" else "mean"
    merge = asked.merge or usual
    with st.container(border=True, key="own_kind"):
        left, right = st.columns(2)
        left.selectbox(
            described(CommonSettings, "fitness"),
            list(FITNESSES),
            format_func=FITNESSES.__getitem__,
            **controlled(
                "new_fitness",
                asked.fitness,
                lambda fitness: redraft(fitness=fitness, merge=None),
            ),
        )
        right.selectbox(
            described(CommonSettings, "merge"),
            list(MERGES),
            format_func=MERGES.__getitem__,
            **controlled(
                "new_merge",
                merge,
                lambda chosen: redraft(merge=None if chosen == usual else chosen),
            ),
        )
        left, right = st.columns(2)
        for column, name in ((left, "apart"), (right, "refit")):
            column.toggle(described(CommonSettings, name), **field(name, getattr(asked, name)))
    return {"fitness": asked.fitness, "merge": merge, "apart": asked.apart, "refit": asked.refit}


def _methods(asked: Draft, always: tuple[str, ...]) -> tuple[str, ...]:
    shown = _SEARCHED if asked.methods is None else list(asked.methods)

    def choose_some(names: list[str]) -> None:
        redraft(methods=None if set(names) == set(_SEARCHED) else tuple(names))

    st.pills(
        "Methods",
        _SEARCHED,
        selection_mode="multi",
        format_func=lambda name: METHODS[name].label,
        **controlled("new_methods", shown, choose_some),
    )
    others = [METHODS[name].label for name in (*always, "gqa", "mqa")]
    st.caption(f"{listed([*others, 'the source', 'the lower bound'])} always come along.")
    return tuple(shown)


def _with_numbers(usual: _OptionsT, names: Iterable[str]) -> _OptionsT:
    """Return options with some whole numbers as the form has them, which it shows."""
    chosen = {}
    for name in names:
        typed: int | None = getattr(draft(), name)
        chosen[name] = getattr(usual, name) if typed is None else typed
        st.number_input(
            described(type(usual), name),
            min_value=usual.least(name),
            max_value=usual.most(name, _MOST),
            step=1,
            **controlled(f"new_{name}", chosen[name], partial(_change, name, getattr(usual, name))),
        )
    return usual.model_copy(update=chosen)


def _bits(asked: Draft) -> BitsOptions:
    """Ask how bits are packed."""
    usual = BitsOptions()
    group = asked.bits_group or usual.group
    left, right = st.columns(2, vertical_alignment="bottom")
    left.segmented_control(
        described(BitsOptions, "group"),
        get_args(BitsOptions.model_fields["group"].annotation),
        required=True,
        **controlled("new_bits_group", group, partial(_change, "bits_group", usual.group)),
    )
    right.toggle(described(BitsOptions, "rotate"), **field("bits_rotate", asked.bits_rotate))
    return BitsOptions.model_validate({"group": group, "rotate": asked.bits_rotate})


def _change(name: str, usual: int, typed: int) -> None:
    redraft(**{name: None if typed == usual else typed})

"""How to search: a preset or a choice of one's own, and how thoroughly."""

from dataclasses import dataclass

import streamlit as st

from qcqa.methods import METHODS
from qcqa.search.config import SearchSettings
from qcqa.use_cases.presets import PRESETS
from qcqa.use_cases.search import SEARCHED_METHODS
from ui.wording import MERGES, listed

#: How thorough a search may be, from a first look to a night's work.
EFFORTS: dict[str, SearchSettings] = {
    "Quick": SearchSettings(
        population_size=40, generations=30, stage2_population_size=80, stage2_generations=150
    ),
    "Standard": SearchSettings(),
    "Thorough": SearchSettings(
        population_size=200, generations=300, stage2_population_size=400, stage2_generations=1500
    ),
}

_PRESET_LABELS = {"paper": "As published", "best": "Best quality"}
OWN = "own"

#: Fitnesses by their names on the command line.
_FITNESSES = {
    "wse": "WSE, from weights",
    "output-error": "output error, from a text",
    "loss": "loss, measured on a text",
}
_FIELDS = {
    "population_size": "Candidates per generation, stage 1",
    "generations": "Generations, stage 1",
    "stage2_population_size": "Candidates per generation, stage 2",
    "stage2_generations": "Generations, stage 2",
    "restarts": "Restarts of the local search",
    "seed": "Seed",
}
_LEAST = {"population_size": 4, "stage2_population_size": 4, "restarts": 0, "seed": 0}
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


def choose_settings() -> Asked:
    """Ask for preset, effort and, on request, everything else."""
    preset = st.radio(
        "Search",
        [*PRESETS, OWN],
        format_func=lambda name: _PRESET_LABELS.get(name, "My own choice"),
        captions=[
            *(preset.description for preset in PRESETS.values()),
            "Choose what is minimised, how heads are merged, and by which methods.",
        ],
        key="new_preset",
    )
    if preset == OWN:
        kind, always = _kind(), ()
    else:
        # Methods that only this preset has are what it is chosen for: they are no option.
        kind = dict(PRESETS[preset].fixed)
        always = tuple(name for name in PRESETS[preset].methods if name not in _SEARCHED)
    effort = st.segmented_control(
        "Effort",
        list(EFFORTS),
        default="Standard",
        required=True,
        key="new_effort",
        help="Population and generations of the two NSGA-II stages.",
    )
    with st.expander("Advanced", icon=":material/tune:"):
        methods = _methods(always)
        numbers = _numbers(EFFORTS[effort or "Standard"], key=str(effort))
        name = st.text_input("Name of the run", placeholder="the model's own", key="new_name")
    return Asked((*methods, *always), SearchSettings(**numbers, **kind), name.strip())


def _kind() -> dict[str, str | bool]:
    """Ask for what the presets decide."""
    with st.container(border=True, key="own_kind"):
        left, right = st.columns(2)
        fitness = left.selectbox(
            "What the search minimises",
            list(_FITNESSES),
            format_func=_FITNESSES.__getitem__,
            key="new_fitness",
        )
        merge = right.selectbox(
            "How heads become one",
            list(MERGES),
            # The output error is that of subspaces.
            index=list(MERGES).index("svd" if fitness == "output-error" else "mean"),
            format_func=MERGES.__getitem__,
            key=f"new_merge_{fitness}",
        )
        left, right = st.columns(2)
        apart = left.toggle("Group keys and values apart", key="new_apart")
        refit = right.toggle("Refit what was merged on a text", key="new_refit")
    return {"fitness": fitness, "merge": merge, "apart": apart, "refit": refit}


def _methods(always: tuple[str, ...]) -> tuple[str, ...]:
    methods = st.pills(
        "Methods",
        _SEARCHED,
        default=_SEARCHED,
        selection_mode="multi",
        format_func=lambda name: METHODS[name].label,
        key="new_methods",
    )
    others = [METHODS[name].label for name in (*always, "mha", "gqa", "mqa")]
    st.caption(f"{listed([*others, 'the lower bound'])} always come along.")
    return tuple(methods)


def _numbers(effort: SearchSettings, *, key: str) -> dict[str, int]:
    """Show the settings of an effort, each of which may be changed."""
    chosen = {}
    with st.grid(2, min_column_width=220):
        for name, label in _FIELDS.items():
            chosen[name] = st.number_input(
                label,
                min_value=_LEAST.get(name, 1),
                value=getattr(effort, name),
                step=1,
                # Another effort, other fields: each keeps what was typed into it.
                key=f"new_{name}_{key}",
            )
    return chosen

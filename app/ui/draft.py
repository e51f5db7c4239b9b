"""What the form of a new search holds: part of the address of its page."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from qcqa.charts.common.wording import MERGES
from qcqa.errors import SettingsError
from qcqa.options import Options
from qcqa.reduce.bits.options import BitsOptions
from qcqa.reduce.registry import REDUCTIONS
from qcqa.reduce.terms import Fitness, MergeName
from qcqa.search.method_sets import SEARCHED_METHODS
from qcqa.search.presets import PRESETS
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.options import ExactOptions, TwoStageOptions
from ui.address import one_of, some_of, switch, whole

Source = Literal["demo", "folder", "hub"]

#: Where models come from, and their names.
SOURCES: dict[Source, str] = {
    "demo": "Demo model",
    "folder": "Local folder",
    "hub": "Hugging Face Hub",
}

#: How thorough a search may be, from a first look to a night's work.
EFFORTS: dict[str, TwoStageOptions] = {
    "Quick": TwoStageOptions(
        population_size=40, generations=30, stage2_population_size=80, stage2_generations=150
    ),
    "Standard": TwoStageOptions(),
    "Thorough": TwoStageOptions(
        population_size=200, generations=300, stage2_population_size=400, stage2_generations=1500
    ),
}

#: Of the options of both stages, what an effort decides.
OF_EFFORT = ("population_size", "generations", "stage2_population_size", "stage2_generations")

OWN_CHOICE = "own"

#: Fitnesses by their names on the command line.
FITNESSES: dict[Fitness, str] = {
    "wse": "WSE, from weights",
    "output-error": "output error, from a text",
    "loss": "loss, measured on a text",
}


def _number(kind: type[Options], name: str) -> Callable[[str], int | None]:
    def parse(text: str) -> int | None:
        try:
            number: int = getattr(kind.model_validate({name: whole(text)}), name)
        except SettingsError:
            return None
        return number

    return parse


_of_stages = partial(_number, TwoStageOptions)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a new search is to be, each with what reads it from the address.

    Parameters
    ----------
    model : Source
        Where the model comes from.
    folder, hub, revision : str
        A checkpoint's folder; a model's id on the Hub, and its branch, tag or commit.
    preset : str
        Name of a preset, or ``own``.
    fitness, merge, apart, refit
        Of :class:`SearchSettings`, where the choice is one's own; the merge that goes with the
        fitness by default.
    reduce : tuple of str or None
        What may be reduced; what the preset reduces by default.
    effort : str
        Key of ``EFFORTS``.
    methods : tuple of str or None
        Searched methods; all by default.
    population_size, generations, stage2_population_size, stage2_generations, restarts, seed
        Of :class:`SearchSettings` and its options; those of the effort by default.
    bits_group, bits_rotate
        Of :class:`BitsOptions`, where bits may be reduced.
    name : str
        Title of the run.
    calibration : str
        Path of a text.
    """

    model: Annotated[Source, one_of(SOURCES)] = "demo"
    folder: Annotated[str, str] = ""
    hub: Annotated[str, str] = ""
    revision: Annotated[str, str] = ""
    preset: Annotated[str, one_of((*PRESETS, OWN_CHOICE))] = "paper"
    fitness: Annotated[Fitness, one_of(FITNESSES)] = "wse"
    merge: Annotated[MergeName | None, one_of(MERGES)] = None
    apart: Annotated[bool, switch] = False
    refit: Annotated[bool, switch] = False
    reduce: Annotated[tuple[str, ...] | None, some_of(REDUCTIONS)] = None
    effort: Annotated[str, one_of(EFFORTS)] = "Standard"
    methods: Annotated[tuple[str, ...] | None, some_of(SEARCHED_METHODS)] = None
    population_size: Annotated[int | None, _of_stages("population_size")] = None
    generations: Annotated[int | None, _of_stages("generations")] = None
    stage2_population_size: Annotated[int | None, _of_stages("stage2_population_size")] = None
    stage2_generations: Annotated[int | None, _of_stages("stage2_generations")] = None
    restarts: Annotated[int | None, _number(ExactOptions, "restarts")] = None
    seed: Annotated[int | None, _number(SearchSettings, "seed")] = None
    bits_group: Annotated[int | None, _number(BitsOptions, "group")] = None
    bits_rotate: Annotated[bool, switch] = False
    name: Annotated[str, str] = ""
    calibration: Annotated[str, str] = ""

"""Searches under a name, for who wants a good plan and not its settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from qcqa.errors import SettingsError
from qcqa.search.method_sets import SEARCHED_METHODS, beyond_heads, by_weights
from qcqa.search.methods import METHODS
from qcqa.search.strategy.config import SearchSettings


@dataclass(frozen=True, slots=True)
class Preset:
    """Methods and the settings that make them what they are.

    Parameters
    ----------
    name : str
        As on the command line.
    description : str
        One sentence for people.
    of_heads : tuple of str
        Searched methods of heads that share.
    fixed : mapping
        Settings that the preset decides, where a calibration text is at hand.
    has_all : bool
        Whether methods of other reductions come along, but those that must be asked for.
    """

    name: str
    description: str
    of_heads: tuple[str, ...]
    fixed: Mapping[str, Any]
    has_all: bool = False

    @property
    def methods(self) -> tuple[str, ...]:
        """Searched methods."""
        others = [name for name in beyond_heads() if self.has_all and METHODS[name].in_presets]
        return (*self.of_heads, *others)

    def asked(
        self, others: SearchSettings, *, has_text: bool
    ) -> tuple[tuple[str, ...], SearchSettings]:
        """Return the methods, and these settings with those that the preset decides.

        Without a calibration text QCQA's second stage looks at weights alone, by another name.
        """
        settings = others.model_copy(update=dict(self.fixed))
        if has_text:
            return self.methods, settings
        return by_weights(self.methods), settings.model_copy(update={"stage2_fitness": None})


_AS_PUBLISHED = MappingProxyType(
    {
        "fitness": "wse",
        "stage2_fitness": "loss",
        "apart": False,
        "merge": "mean",
        "refit": False,
    }
)

#: Every preset by its name.
PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "paper": Preset(
            name="paper",
            description="QCQA as published: weights say which heads share their mean, and what the "
            "model is measured to lose on a calibration text says in which layers.",
            of_heads=SEARCHED_METHODS,
            fixed=_AS_PUBLISHED,
        ),
        "best": Preset(
            name="best",
            description="QCQA as published, and beside it the plans that lose least: heads that "
            "share subspaces, fewer bits, and both at once.",
            of_heads=(*SEARCHED_METHODS, "best"),
            fixed=_AS_PUBLISHED,
            has_all=True,
        ),
    }
)


def preset_named(name: str) -> Preset:
    """Return a preset.

    Raises
    ------
    SettingsError
        If there is none of this name.
    """
    if name not in PRESETS:
        raise SettingsError(f"preset {name!r}", expected=f"one of {', '.join(PRESETS)}")
    return PRESETS[name]

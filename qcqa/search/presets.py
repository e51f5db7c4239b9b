"""Searches under a name, for who wants a good plan and not its settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from qcqa.errors import SettingsError
from qcqa.search.method_sets import BITS_METHODS, SEARCHED_METHODS, by_weights
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
    methods : tuple of str
        Searched methods.
    fixed : mapping
        Settings that the preset decides, where a calibration text is at hand.
    """

    name: str
    description: str
    methods: tuple[str, ...]
    fixed: Mapping[str, Any]

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
            methods=SEARCHED_METHODS,
            fixed=_AS_PUBLISHED,
        ),
        "best": Preset(
            name="best",
            description="QCQA as published, and beside it the plans that lose least: heads that "
            "share subspaces, fewer bits, and both at once.",
            methods=(*SEARCHED_METHODS, "best", *BITS_METHODS),
            fixed=_AS_PUBLISHED,
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

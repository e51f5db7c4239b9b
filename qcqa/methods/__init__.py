"""The methods by name: each answers a model's Grams with a front of plans."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from qcqa.errors import SettingsError
from qcqa.front import Front
from qcqa.gram import ModelGrams
from qcqa.methods import gqa, mha, mqa, optimal, qcqa_ac, qcqa_ec
from qcqa.methods.method import Method
from qcqa.search.config import SearchSettings
from qcqa.search.progress import Progress, silent

#: Every method by its name, in the order of charts and tables.
METHODS: Mapping[str, Method] = MappingProxyType(
    {module.METHOD.name: module.METHOD for module in (mha, gqa, mqa, qcqa_ac, qcqa_ec, optimal)}
)


def run_method(
    name: str,
    grams: ModelGrams,
    settings: SearchSettings,
    *,
    progress: Callable[[Progress], None] | None = None,
    scratch: Path | None = None,
) -> Front:
    """Return the front of one method.

    Parameters
    ----------
    name : str
        A key of :data:`METHODS`.
    grams : ModelGrams
        Of the model.
    settings : SearchSettings
        Same settings, same front; ``workers`` changes only the time.
    progress : callable, optional
        Told of finished layers and generations; raising from it ends the search.
    scratch : Path, optional
        Folder in which finished layers are kept: called again after it was killed, the method
        goes on from there to the same result.

    Raises
    ------
    SettingsError
        If there is no such method.
    """
    if name not in METHODS:
        raise SettingsError(f"method {name!r}", expected=f"one of {', '.join(METHODS)}")
    return METHODS[name].run(grams, settings, progress or silent, scratch)


__all__ = ["METHODS", "Method", "Progress", "run_method"]

"""The releases of transformers that a converted model runs with; to import this is to check.

Stated here alone: the package's dependencies, its README and the configs that it writes repeat it,
and a test holds them together.
"""

import warnings

from packaging.version import Version
from transformers import __version__

#: The oldest release that works, one between that is tested too, and the newest that was tested.
OLDEST_TRANSFORMERS = "5.10.1"
MIDDLE_TRANSFORMERS = "5.17.0"
NEWEST_TRANSFORMERS = "5.24.0"

SUPPORTED = f"transformers {OLDEST_TRANSFORMERS} to {NEWEST_TRANSFORMERS}"


def require_supported(release: str = __version__) -> None:
    """Refuse a release that lacks what is needed; warn of one that has not been tested.

    Parameters
    ----------
    release : str
        Of transformers.

    Raises
    ------
    ImportError
        If it is too old.
    """
    version = Version(release)
    if version < Version(OLDEST_TRANSFORMERS):
        raise ImportError(
            f"transformers {release} is too old for models whose heads share; expected {SUPPORTED}"
        )
    if version.release[:2] > Version(NEWEST_TRANSFORMERS).release[:2]:
        warnings.warn(
            f"transformers {release} is newer than what this was tested with: {SUPPORTED}",
            stacklevel=2,
        )


require_supported()

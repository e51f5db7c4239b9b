"""What a reduction is told of a site before it offers choices for it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from qcqa.model.spec import ModelSpec
from qcqa.reduce.choice import Choice, SiteKind
from qcqa.reduce.spectra import PLANE_ELEMENTS, SiteSpectra

#: Sizes that are offered, in sixteenths of a site: quality falls off where little is left.
_SIXTEENTHS = (1, 2, 4, 6, 8, 10, 12, 14)
#: Share of all energy that is rounding.
_NOTHING = 1e-12

ChoiceT = TypeVar("ChoiceT", bound=Choice)


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """The keys, or the values, of one layer.

    Parameters
    ----------
    kind : SiteKind
        Which of them.
    spec : ModelSpec
        Of the source.
    value_step : int
        Channels of values that have one scale where bits follow: in such steps they are kept.
    spectra : SiteSpectra or None
        What its directions hold; None where no linear map passes a norm or a clip.
    """

    kind: SiteKind
    spec: ModelSpec
    value_step: int
    spectra: SiteSpectra | None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Elements of a token that are worth offering, increasing, all fewer than the source's."""
        full = self.spec.num_kv_heads * self.spec.head_dim
        step = self.value_step if self.kind == "value" else PLANE_ELEMENTS
        sizes = {max(full * part // 16 // step, 1) * step for part in _SIXTEENTHS}
        return tuple(sorted(size for size in sizes if size < full))


def sized(
    facts: SiteFacts,
    best: Callable[[SiteSpectra, int], ChoiceT],
    error: Callable[[SiteSpectra, ChoiceT], float],
) -> tuple[ChoiceT, ...]:
    """Return the best choice of every size of a site, up to the first that loses nothing.

    Parameters
    ----------
    facts : SiteFacts
        Of the site.
    best : callable
        From spectra and a number of elements.
    error : callable
        What a choice loses.
    """
    spectra = facts.spectra
    if spectra is None:
        return ()

    def choices() -> Iterator[ChoiceT]:
        for size in facts.sizes:
            choice = best(spectra, size)
            yield choice
            if error(spectra, choice) <= _NOTHING * spectra.joint.total:
                return

    return tuple(choices())

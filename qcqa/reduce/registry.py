"""The reductions, a row each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qcqa.errors import ReductionError
from qcqa.model.spec import ModelSpec
from qcqa.reduce.bits.choice import Bits, offered_bits
from qcqa.reduce.choice import Choice, Site, SiteKind
from qcqa.reduce.facts import SiteFacts
from qcqa.reduce.groups.grouping import Grouping
from qcqa.reduce.groups.subspace.layer import LayerSubspaces
from qcqa.reduce.head_dim.choice import HeadDim
from qcqa.reduce.head_dim.fit import fit_head_dim, head_dim_error, offered_head_dims
from qcqa.reduce.latent.choice import Latent
from qcqa.reduce.latent.fit import fit_latent, latent_error, offered_latents
from qcqa.reduce.linear_map import LinearMap
from qcqa.reduce.spectra import SiteSpectra

#: What a search may choose at a site. First come the options that a search's settings hold under
#: the reduction's name; None where they hold none.
Offer = Callable[[Any, SiteFacts], Sequence[Choice]]
#: Returns the map of a choice for the keys, or the values, of a layer.
Fit = Callable[[Any, LayerSubspaces, SiteKind], LinearMap]
#: Squared error of the attention's output, as the fitness ``output-error`` states it.
StatedError = Callable[[SiteSpectra, Any], float]


@dataclass(frozen=True, slots=True)
class Reduction:
    """A way to make the cache of a layer smaller.

    Parameters
    ----------
    name : str
        As on the command line and in files: the kind of its choices.
    label : str
        As people read it.
    choice : type
        Class of its choices.
    offer : callable, optional
        What a search measures of it at a site; none where strategies of its own find that.
    fit : callable, optional
        Makes the linear map of a choice from a layer's heads, where its choices have one.
    error : callable, optional
        From a site's spectra and a choice to what its map is stated to lose.
    follows : bool
        Whether its choices follow others at a site; those that do not stand in for each other.
    """

    name: str
    label: str
    choice: type[Choice]
    offer: Offer | None = None
    fit: Fit | None = None
    error: StatedError | None = None
    follows: bool = False


#: Every reduction by its name, in the order in which they take effect at a site.
REDUCTIONS: dict[str, Reduction] = {
    reduction.name: reduction
    for reduction in (
        Reduction("groups", "heads", Grouping),
        Reduction("latent", "latents", Latent, offered_latents, fit_latent, latent_error),
        Reduction("head-dim", "head-dim", HeadDim, offered_head_dims, fit_head_dim, head_dim_error),
        Reduction("bits", "bits", Bits, offered_bits, follows=True),
    )
}


def stored_words(sites: Sequence[Site]) -> str:
    """Return how sites are stored beside their heads, each way once.

    Such as ``96 latents or all, in 8 or 4 bits``: ``all`` where it does not hold of every site.
    Empty where nothing but heads is chosen.
    """
    kinds = {choice.kind for site in sites for choice in site if choice.reads() is None}
    words = []
    for kind in (name for name in REDUCTIONS if name in kinds):
        found = [next((part.short for part in site if part.kind == kind), None) for site in sites]
        # The longest first: numbers without leading zeros.
        shorts = sorted({*filter(None, found)}, key=lambda text: (len(text), text), reverse=True)
        ways = f"{' or '.join(shorts)} {REDUCTIONS[kind].label}"
        words.append(ways if all(found) else f"{ways} or all")
    return ", in ".join(words)


def site_to_json(site: Site) -> list[dict[str, Any]]:
    """Return the choices of a site as a plan's file holds them."""
    return [{"kind": choice.kind, **choice.to_json()} for choice in site]


def site_from_json(content: Sequence[Mapping[str, Any]], spec: ModelSpec) -> Site:
    """Return the choices of a site of a plan's file, but those that leave every head alone.

    Raises
    ------
    QCQAError
        If a kind is unknown, comes twice or out of order, or a choice is none for this model.
    """
    kinds = [str(record.get("kind")) for record in content]
    for kind in kinds:
        if kind not in REDUCTIONS:
            raise ReductionError(
                f"a reduction of kind {kind!r}",
                expected=f"one of {', '.join(REDUCTIONS)}",
                remedy="open it with the release of QCQA Explorer that wrote it",
            )
    order = [list(REDUCTIONS).index(kind) for kind in kinds]
    if order != sorted(set(order)):
        raise ReductionError(
            f"choices {', '.join(kinds)} at one site",
            expected=f"each once, in the order {', '.join(REDUCTIONS)}",
        )
    try:
        choices = [
            REDUCTIONS[kind].choice.from_json(record, spec)
            for kind, record in zip(kinds, content, strict=True)
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ReductionError(f"a choice with damaged parameters ({error!r})") from error
    return tuple(choice for choice in choices if choice.reads() != tuple(range(spec.num_kv_heads)))

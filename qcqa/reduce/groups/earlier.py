"""Groups of heads in files of earlier releases."""

from collections.abc import Sequence

from qcqa.reduce.choice import Site
from qcqa.reduce.groups.grouping import Grouping, site_of


def site_of_labels(labels: Sequence[int]) -> Site:
    """Return the choices of a site from the group of each head, as fronts and rises had it."""
    return site_of(Grouping.from_labels(labels))

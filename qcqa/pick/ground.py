"""The best method within a budget, and the words that say on which ground it is."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from qcqa.plan.metric import metric_of
from qcqa.reduce.terms import Fitness
from qcqa.search.methods import METHODS

_PREDICTIONS: Mapping[Fitness, str] = {
    "loss": "predicted by what each layer alone was measured to lose on the calibration text",
    "output-error": "predicted by the error of the attention's output on the calibration text",
    "wse": "estimated by WSE alone",
}

_TOO_SHORT = "measured on texts so short that its cache was far larger there"


@dataclass(frozen=True, slots=True)
class BestMethod:
    """The method whose plan is the best within a budget, and what says so.

    Parameters
    ----------
    method : str
        Name of the method.
    by : {"measured", "loss", "output-error", "wse"}
        What decided: a figure that was measured on the plans' models, or else the fitness of the
        method's search.
    metric : str or None
        Name of the figure, where it was measured.
    value : float or None
        The figure.
    data : str
        On what it was measured, for people.
    equals : tuple of str
        Other methods whose plans are as good by it.
    parted_by : str or None
        Name of the figure that chose among plans which the first does not part.
    parted_from : tuple of str
        Methods whose plans are worse by that.
    measured, unmeasured : tuple of str
        Methods with a plan within the budget that have a figure to compare, and those without.
    in_larger_caches : tuple of str
        Of those without, the methods whose plans were measured on texts so short that their caches
        were far larger there than they are at the budget.
    has_other_figures : bool
        Whether something was measured, if only of other plans or on too little.
    """

    method: str
    by: Literal["measured"] | Fitness
    metric: str | None = None
    value: float | None = None
    data: str = ""
    equals: tuple[str, ...] = ()
    parted_by: str | None = None
    parted_from: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()
    in_larger_caches: tuple[str, ...] = ()
    has_other_figures: bool = False

    @property
    def ground(self) -> str:
        """What says that it is the best, for people."""
        if self.metric is None or self.value is None:
            return self._prediction()
        label = metric_of(self.metric).label
        parts = [f"measured {label} {_value_text(self.metric, self.value)} on {self.data}"]
        if self.parted_by is not None:
            by = metric_of(self.parted_by).label
            parts.append(f"not clearly apart by it, but worse by {by}: {_labels(self.parted_from)}")
        if self.equals:
            parts.append(f"not clearly worse: {_labels(self.equals)}")
        never = [name for name in self.unmeasured if name not in self.in_larger_caches]
        if never:
            parts.append(f"not measured: {_labels(never)}")
        if self.in_larger_caches:
            parts.append(f"{_TOO_SHORT}: {_labels(self.in_larger_caches)}")
        return "; ".join(parts)

    @property
    def sentence(self) -> str:
        """Whose plan it is, and why, for people."""
        return f"Chosen: {_labels([self.method])} ({self.ground})."

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON value, with the sentence as ``why``."""
        names = ("equals", "parted_from", "measured", "unmeasured", "in_larger_caches")
        lists = {name: list(getattr(self, name)) for name in names}
        return asdict(self) | lists | {"why": self.sentence}

    def _prediction(self) -> str:
        assert self.by != "measured"
        text = f"{_PREDICTIONS[self.by]}: "
        if self.method in self.in_larger_caches:
            text += f"it was {_TOO_SHORT}"
        elif self.measured:
            text += f"this plan was not measured, only {_labels(self.measured)}"
        elif self.has_other_figures:
            text += "no plan for this budget was measured on enough"
        else:
            text += "no plan was measured"
        if self.equals:
            text += f"; as good by it: {_labels(self.equals)}"
        return f"{text}, and WSE need not stand for quality" if self.by == "wse" else text


def _labels(names: Iterable[str]) -> str:
    return ", ".join(METHODS[name].label if name in METHODS else name for name in names)


def _value_text(metric: str, value: float) -> str:
    kind = metric_of(metric)
    return f"{100 * value:.1f} %" if kind.is_share else f"{value:.4g} {kind.unit}".strip()

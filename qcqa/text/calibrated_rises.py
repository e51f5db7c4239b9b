"""Rises of the loss that are predicted, and set right by a few that are measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qcqa.progress import OnLayer
from qcqa.reduce.choice import LayerChoice

FloatArray = NDArray[np.float64]

#: Returns the rise, nats per token, of some choices of a layer: shape (C,).
Rises = Callable[[int, Sequence[LayerChoice]], FloatArray]

#: No prediction is further than such a factor from one that was measured too.
_REACH = 16.0
#: The same for what the plans of a front choose.
_REACH_ON_FRONT = 3.0
#: Predictions below, in nats per token, count as this much: what they say is noise.
_LEAST = 1e-5


class CalibratedRises:
    """Predicts rises of changes of single layers, and measures where predictions are not trusted.

    Choices of like kind at one site make a curve: measured over predicted rises, straight between
    measured ones where both are taken as logarithms, and level beyond them.

    Parameters
    ----------
    predict : callable
        Quick, and right in its order.
    measure : callable
        What the rises are to be.
    """

    def __init__(self, predict: Rises, measure: Rises):
        self._predict = predict
        self._measure = measure
        self._curves: dict[tuple[object, ...], _Curve] = {}

    def begin(self) -> None:
        """Forget which rises were measured: a method's front is not to hang on those before it."""
        self._curves = {}

    def __call__(self, layer: int, choices: Sequence[LayerChoice]) -> FloatArray:
        """Return the rise, nats per token, of some choices of a layer: shape (C,)."""
        for choice, predicted in zip(choices, self._predict(layer, choices), strict=True):
            curve = self._curve(layer, choice)
            curve.predicted[choice] = float(predicted)
        ordered = sorted(choices, key=lambda one: self._curve(layer, one).predicted[one])
        # From the middle, so that one measured rise is near as many as can be.
        middle = len(ordered) // 2
        for choice in (*ordered[middle:], *reversed(ordered[:middle])):
            self._measure_beyond(layer, choice, _REACH)
        return np.array([self._curve(layer, choice).rise(choice) for choice in choices])

    def measure_chosen(self, plans: Sequence[Sequence[LayerChoice]], on_layer: OnLayer) -> bool:
        """Measure what plans choose and no measured rise is near; return whether there was any.

        Parameters
        ----------
        plans : sequence of sequence of LayerChoice
            A choice for every layer, of parts whose rises were asked for.
        on_layer : callable
            Called after each layer.
        """
        was = self._num_measured()
        for layer, wholes in enumerate(zip(*plans, strict=True)):
            for whole in dict.fromkeys(wholes):
                for choice in self._asked(layer, whole):
                    self._measure_beyond(layer, choice, _REACH_ON_FRONT)
            on_layer(layer + 1, len(plans[0]))
        return self._num_measured() > was

    def _measure_beyond(self, layer: int, choice: LayerChoice, reach: float) -> None:
        curve = self._curve(layer, choice)
        if curve.distance(choice) > np.log(reach):
            curve.measured[choice] = float(self._measure(layer, [choice])[0])

    def _asked(self, layer: int, whole: LayerChoice) -> list[LayerChoice]:
        """Return the parts of a layer's choice whose rises were asked for, the largest of them."""
        if self._is_asked(layer, whole):
            return [whole]
        parts: list[LayerChoice] = []
        for site in (LayerChoice(key=whole.key), LayerChoice(value=whole.value)):
            alone = (
                *(LayerChoice(key=(choice,)) for choice in site.key),
                *(LayerChoice(value=(choice,)) for choice in site.value),
            )
            is_asked = self._is_asked(layer, site)
            parts += [site] if is_asked else [one for one in alone if self._is_asked(layer, one)]
        return parts

    def _is_asked(self, layer: int, choice: LayerChoice) -> bool:
        return choice in self._curve(layer, choice).predicted

    def _curve(self, layer: int, choice: LayerChoice) -> "_Curve":
        kinds = tuple(tuple(part.kind for part in site) for site in choice.sites)
        return self._curves.setdefault((layer, kinds), _Curve())

    def _num_measured(self) -> int:
        return sum(len(curve.measured) for curve in self._curves.values())


@dataclass
class _Curve:
    """Rises by choice, in nats per token: predicted all, and measured some."""

    predicted: dict[LayerChoice, float] = field(default_factory=dict)
    measured: dict[LayerChoice, float] = field(default_factory=dict)

    def distance(self, choice: LayerChoice) -> float:
        """Return how far the prediction is from the nearest that was measured, as a logarithm.

        Nothing is far from what is thought to be free.
        """
        if not np.isfinite(self.predicted[choice]) or self.predicted[choice] <= _LEAST:
            return 0.0
        at = np.log(self._at_least(choice))
        return min((abs(at - np.log(self._at_least(one))) for one in self.measured), default=np.inf)

    def rise(self, choice: LayerChoice) -> float:
        """Return the rise as it was measured, or else as the curve has it."""
        if choice in self.measured:
            return self.measured[choice]
        predicted = self.predicted[choice]
        known = sorted(
            (self._at_least(one), max(rise, _LEAST)) for one, rise in self.measured.items()
        )
        if not known or not np.isfinite(predicted):
            return predicted
        at, rises = np.log(np.array(known)).T
        ratio = np.interp(np.log(max(predicted, _LEAST)), at, rises - at)
        return float(predicted * np.exp(ratio))

    def _at_least(self, choice: LayerChoice) -> float:
        return max(self.predicted[choice], _LEAST)

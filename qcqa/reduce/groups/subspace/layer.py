"""One layer's heads with the weights of their errors: what is fitted, and what its error is."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from qcqa.errors import CheckpointError
from qcqa.model.key_norm import KeyNorm
from qcqa.reduce.choice import SiteKind
from qcqa.reduce.groups.subspace.fit import Fit
from qcqa.reduce.groups.subspace.free import fit_free, free_gram, roots_of
from qcqa.reduce.groups.subspace.gram import Gram, in_metric
from qcqa.reduce.groups.subspace.grams import RoleGrams, SubspaceGrams
from qcqa.reduce.groups.subspace.planes import fit_planes, plane_grams
from qcqa.reduce.groups.subspace.tied import TiedGrams, fit_tied, normed_heads, tied_grams

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.int64]

#: Added to second moments, as a share of their mean: directions that a short text does not hold
#: break ties, and weigh nothing else.
_DAMPING = 1e-8
#: Tokens over which a query's attention spreads, as one number for all models: errors of logits
#: average out over them. Only how keys compare with values depends on it, so nothing does where the
#: two are judged apart by measured loss, as in the preset ``best``. Chosen on the demo model.
_ATTENDED_TOKENS = 100


@dataclass(frozen=True, eq=False)
class LayerSubspaces:
    """A layer's heads, and what errors of them are worth.

    Parameters
    ----------
    key, value : array, shape (H, dh, e)
        Heads; ``e`` is the hidden size, and one more where a bias is the last column.
    key_weight : array, shape (H, dh, dh)
        Second moment of the queries that meet each key head, summed over query heads.
    value_weight : array, shape (H, dh, dh)
        ``O' O`` of the output projection, summed over the query heads of each value head.
    moment : array, shape (e, e), or None
        Second moment of the inputs; None for the identity.
    spread : array, shape (e, e), or None
        Their covariance, where the moment knows their mean: what is the same in all keys of a
        query cancels in the softmax, unless a rotary embedding turns it.
    planes : array, shape (planes, 2)
        Pairs of dimensions that rotate together, none without a rotary embedding.
    norm : KeyNorm or None
        What normalises the keys; ``key`` and ``key_weight`` are behind it.
    key_lengths : array, shape (H,)
        What the norm divided the stored keys by; ones without it.
    is_clipped : bool
        Whether queries, keys and values are clipped.
    num_query_heads : int
        Query heads, ``Hq``.
    """

    key: FloatArray
    value: FloatArray
    key_weight: FloatArray
    value_weight: FloatArray
    moment: FloatArray | None
    spread: FloatArray | None
    planes: IntArray
    norm: KeyNorm | None
    key_lengths: FloatArray
    is_clipped: bool
    num_query_heads: int

    @property
    def unrotated(self) -> IntArray:
        """Dimensions of a key head that do not rotate."""
        return np.setdiff1d(np.arange(self.key.shape[1]), self.planes)

    @property
    def plane_weights(self) -> FloatArray:
        """Weight of each key head's rotary planes, (H, planes)."""
        weight = np.einsum("haa->ha", self.key_weight)
        return np.asarray(weight[:, self.planes].sum(axis=2) / 2)

    def free_weights(self, kind: SiteKind) -> FloatArray:
        """Return the weights (H, f, f) of the dimensions of each head that do not rotate."""
        if kind == "value":
            return self.value_weight
        free = self.unrotated
        return self.key_weight[:, free[:, None], free]

    def require_maps(self, kind: SiteKind) -> None:
        """Raise if no change of basis of the keys, or of the values, passes.

        Raises
        ------
        CheckpointError
            Which says what is in the way.
        """
        behind = "a clip" if self.is_clipped else "a norm" if self.norm is not None else None
        if behind and (self.is_clipped or kind == "key"):
            raise CheckpointError(
                f"{kind}s behind {behind}, through which no linear map passes",
                expected=f"{kind}s as their projection makes them",
                remedy=f"reduce the {kind}s by heads or bits",
            )

    def key_fit(self, group: tuple[int, ...]) -> Fit:
        """Return the shared key head of a group, from its stored heads."""
        if self._keys_are_tied:
            return fit_tied(self._tied_keys, group, self._rows, self.key_lengths)
        heads, free = self.key[list(group)], self.unrotated
        fit = fit_planes(heads, self.planes, self.plane_weights[list(group)], self.moment)
        if free.size:
            weight = self.free_weights("key")[list(group)]
            part = fit_free(heads[:, free], weight, self.spread)
            fit.mix[:, free[:, None], free] = part.mix
            fit.basis[:, free[:, None], free] = part.basis
        return fit

    def value_fit(self, group: tuple[int, ...]) -> Fit:
        """Return the shared value head of a group, from its stored heads."""
        if self.is_clipped:
            lengths = np.ones(len(self.value))
            return fit_tied(self._tied_values, group, self._dimensions, lengths)
        return fit_free(self.value[list(group)], self.value_weight[list(group)], self.moment)

    @cached_property
    def logit_worth(self) -> float:
        """Squared error of the attention's output for a squared error of ``q k``.

        So errors of keys and of values add up, and compare between layers. A logit's independent
        error ``e_j`` moves a head's output by ``sum_j p_j e_j (v_j - mean)``, whose mean square is
        ``E[e^2] E|O v|^2`` over the number of tokens attended to; logits are ``q k / sqrt(dh)``.
        """
        head_dim = int(self.key.shape[1])
        energy = self._value_gram.total / self.num_query_heads
        # Where no value reaches the output, keys are merged as well as if one did.
        return (energy or 1.0) / head_dim / _ATTENDED_TOKENS

    def grams(self) -> SubspaceGrams:
        """Return what the error of any grouping is told from."""
        return SubspaceGrams(*(RoleGrams.of(self.weighted(kind)) for kind in ("key", "value")))

    def weighted(self, kind: SiteKind) -> tuple[Gram, ...]:
        """Return the Grams of the keys or of the values, in the units of the output's error."""
        if kind == "value":
            return (self._value_gram,)
        worth = self.logit_worth
        if self._keys_are_tied:
            return (replace(self._tied_keys, weight=self._tied_keys.weight * worth),)
        grams: list[Gram] = []
        if self.planes.size:
            weights = self.plane_weights * worth
            grams.append(plane_grams(self.key, self.planes, weights, self.moment))
        if self.unrotated.size:
            free = self.unrotated
            roots, _ = roots_of(self.free_weights("key") * worth)
            grams.append(free_gram(self.key[:, free], roots, self.spread))
        return tuple(grams)

    @cached_property
    def _value_gram(self) -> Gram:
        if self.is_clipped:
            return self._tied_values
        roots, _ = roots_of(self.value_weight)
        return free_gram(self.value, roots, self.moment)

    @property
    def _keys_are_tied(self) -> bool:
        return self.norm is not None or self.is_clipped

    @property
    def _dimensions(self) -> tuple[tuple[int, ...], ...]:
        return tuple((dim,) for dim in range(self.key.shape[1]))

    @property
    def _rows(self) -> tuple[tuple[int, ...], ...]:
        """What of a key head may have a sign: a rotary plane, or a dimension in none."""
        singles = [(dim,) for dim in self.unrotated.tolist()]
        return (*map(tuple, self.planes.tolist()), *singles)

    @cached_property
    def _tied_keys(self) -> TiedGrams:
        weight = np.einsum("haa->ha", self.key_weight)
        weights = np.concatenate([self.plane_weights, weight[:, self.unrotated]], axis=1)
        return tied_grams(self.key, self._rows, weights, self.moment, self.norm)

    @cached_property
    def _tied_values(self) -> TiedGrams:
        weights = np.einsum("haa->ha", self.value_weight)
        return tied_grams(self.value, self._dimensions, weights, self.moment, None)


def layer_subspaces(
    query: FloatArray,
    key: FloatArray,
    value: FloatArray,
    output: FloatArray,
    *,
    moment: FloatArray | None,
    planes: tuple[tuple[int, int], ...],
    norm: KeyNorm | None = None,
    is_clipped: bool = False,
) -> LayerSubspaces:
    """Return a layer's heads with the weights of their errors.

    Parameters
    ----------
    query : array, shape (Hq, dh, e)
        Query heads, those of one KV head beside each other.
    key, value : array, shape (H, dh, e)
        KV heads.
    output : array, shape (d, Hq, dh)
        The output projection.
    moment : array, shape (d, d) or (d + 1, d + 1), or None
        Second moment of the inputs, with the constant 1 appended where there are biases.
    planes : tuple of (int, int)
        Pairs of dimensions that rotate together.
    norm : KeyNorm, optional
        What normalises keys, and queries likewise.
    is_clipped : bool
        Whether queries, keys and values are clipped.
    """
    hidden_size, (num_heads, size, _) = len(output), key.shape
    width = max(part.shape[2] for part in (query, key, value))
    if moment is not None:
        if len(moment) < width:
            raise ValueError(f"a moment of {len(moment)} inputs, and weights of {width}")
        width = len(moment)
    query, key, value = (_widened(part, width) for part in (query, key, value))
    covariance = _spread(moment, width, hidden_size) if width > hidden_size else None
    moment = None if moment is None else _damped(moment, hidden_size)
    key_lengths: FloatArray = np.ones(num_heads)
    if norm is not None:
        query, _ = normed_heads(query, moment, norm)
        key, key_lengths = normed_heads(key, moment, norm)
    per_query_head = in_metric(query, moment) @ query.transpose(0, 2, 1)  # (Hq, dh, dh)
    key_weight = per_query_head.reshape(num_heads, -1, size, size).sum(axis=1)
    outputs = output.transpose(1, 0, 2).reshape(num_heads, -1, size)  # (H, queries d, dh)
    return LayerSubspaces(
        key=key,
        value=value,
        key_weight=(key_weight + key_weight.transpose(0, 2, 1)) / 2,
        value_weight=outputs.transpose(0, 2, 1) @ outputs,
        moment=moment,
        spread=moment if covariance is None else covariance,
        planes=np.array(planes, dtype=np.int64).reshape(-1, 2),
        norm=norm,
        key_lengths=key_lengths,
        is_clipped=is_clipped,
        num_query_heads=len(query),
    )


def _widened(heads: FloatArray, width: int) -> FloatArray:
    """Return heads with a column for the bias that they do not have."""
    missing = width - heads.shape[2]
    return np.pad(heads, ((0, 0), (0, 0), (0, missing))) if missing else heads


def _damped(moment: FloatArray, hidden_size: int) -> FloatArray:
    damped = moment.copy()
    inputs = np.arange(hidden_size)
    damped[inputs, inputs] += _DAMPING * np.trace(moment) / len(moment)
    return damped


def _spread(moment: FloatArray | None, width: int, hidden_size: int) -> FloatArray:
    """Return the covariance of inputs that end with the constant 1."""
    if moment is None:
        return np.diag(1.0 * (np.arange(width) < hidden_size))
    mean = moment[-1]
    return _damped(moment - np.outer(mean, mean) / mean[-1], hidden_size)

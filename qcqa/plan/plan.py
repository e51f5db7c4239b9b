"""A plan: what is chosen in every layer, what that costs, and where it came from."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from math import ceil
from typing import Any

from qcqa.errors import PlanError, QCQAError
from qcqa.model.spec import ModelSpec
from qcqa.plan.cache_size import CacheSize
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.picture import LayerPicture
from qcqa.reduce.registry import REDUCTIONS, site_to_json
from qcqa.reduce.terms import Fitness, MergeName


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured figure of a plan's model.

    Parameters
    ----------
    metric : str
        Name of the metric, with its data set.
    value : float
        The figure.
    standard_error : float or None
        Of the value, where it is known.
    sample_count : int or None
        Samples it was measured on.
    """

    metric: str
    value: float
    standard_error: float | None = None
    sample_count: int | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a search says of a plan without running the model.

    Parameters
    ----------
    wse : float
        Weight-sharing error, summed over layers.
    relative_wse : float
        ``wse`` over the squared norm of all K and V weights.
    wse_lower_bound : float or None
        No plan of this cost has a smaller WSE, where the bound was computed.
    fitness : Fitness
        What the search minimised.
    error : float or None
        The plan's error by that fitness, summed over layers, where it is another than WSE.
    relative_error : float or None
        ``error`` over the error that stands for losing all, where the fitness has one.
    error_lower_bound : float or None
        No plan of this cost has a smaller ``error``, where the bound was computed.
    """

    wse: float
    relative_wse: float
    wse_lower_bound: float | None = None
    fitness: Fitness = "wse"
    error: float | None = None
    relative_error: float | None = None
    error_lower_bound: float | None = None


@dataclass(frozen=True, slots=True)
class CalibrationText:
    """On which text a plan's merge and refit rest.

    Parameters
    ----------
    text : str
        Path of the file, or ``demo``.
    digest : str
        Hash of the model's tokens of it that were read.
    num_tokens, max_tokens : int
        How many they were, and how many they might have been.
    """

    text: str
    digest: str
    num_tokens: int
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is chosen for the keys and for the values of every layer of one model.

    Parameters
    ----------
    model : ModelSpec
        The source model.
    fingerprint : str
        Hash of a sample of the source's K and V weights.
    method : str
        Method that found the plan.
    merge : MergeName
        How the shared head of a group is computed.
    layers : tuple of LayerChoice
        ``L`` of them.
    predicted : Prediction
        What the search says of it.
    measured : tuple of Measurement
        What was measured on it.
    provenance : mapping
        Settings, seed, versions and run: plain JSON values.
    refit : bool
        Whether a conversion refits the merged attention on calibration text.
    calibration : CalibrationText or None
        That text; without it ``svd`` looks at the weights alone.

    Raises
    ------
    PlanError
        If the layers do not fit the model's geometry.
    """

    model: ModelSpec
    fingerprint: str
    method: str
    merge: MergeName
    layers: tuple[LayerChoice, ...]
    predicted: Prediction
    measured: tuple[Measurement, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    refit: bool = False
    calibration: CalibrationText | None = None

    def __post_init__(self) -> None:
        if len(self.layers) != self.model.num_layers:
            raise PlanError(
                f"{len(self.layers)} layers in the plan",
                expected=f"{self.model.num_layers}, as {self.model.source} has",
            )
        for number, layer in enumerate(self.layers):
            try:
                layer.require(self.model)
            except QCQAError as error:
                raise PlanError(
                    f"{error.found} in layer {number} of the plan", expected=error.expected
                ) from error

    @property
    def pictures(self) -> tuple[LayerPicture, ...]:
        """What becomes of the heads of every layer, ``L`` of them."""
        return tuple(layer.picture(self.model.num_kv_heads) for layer in self.layers)

    @property
    def reductions(self) -> tuple[str, ...]:
        """Kinds of what is chosen anywhere, in the order in which they take effect."""
        kinds = {choice.kind for layer in self.layers for site in layer.sites for choice in site}
        return tuple(name for name in REDUCTIONS if name in kinds)

    @property
    def num_stored_heads(self) -> int:
        """Stored K heads plus stored V heads, over all layers."""
        return sum(picture.num_stored_heads for picture in self.pictures)

    @property
    def shares_heads(self) -> bool:
        """Whether any heads share."""
        return any(picture.shares for picture in self.pictures)

    @property
    def has_words(self) -> bool:
        """Whether pictures say more than which heads share: how they are stored."""
        return any(site.words for picture in self.pictures for site in picture.sites)

    @property
    def has_maps(self) -> bool:
        """Whether anything is cached through a linear map."""
        return any(any(layer.map_shapes(self.model.num_kv_heads)) for layer in self.layers)

    @property
    def mapped_as(self) -> str:
        """What linear maps make of the heads of some sites: ``latents``; empty without maps."""
        heads = self.model.num_kv_heads
        choices = {choice for layer in self.layers for site in layer.sites for choice in site}
        kinds = {choice.kind for choice in choices if choice.map_shape(heads) is not None}
        return " and ".join(row.label for name, row in REDUCTIONS.items() if name in kinds)

    @property
    def changed_layers(self) -> tuple[int, ...]:
        """Numbers of the layers whose weights change."""
        heads = self.model.num_kv_heads
        return tuple(i for i, layer in enumerate(self.layers) if layer.changes_weights(heads))

    @property
    def has_codecs(self) -> bool:
        """Whether anything is cached otherwise than the projections make it."""
        return any(codec is not None for layer in self.layers for codec in layer.codecs())

    @property
    def kv_bits(self) -> int:
        """Bits of the cache per token of one sequence, in the source's dtype."""
        return sum(layer.bits_per_token(self.model) for layer in self.layers)

    @property
    def kv_ratio(self) -> float:
        """KV-cache bytes over those of the source."""
        return self.kv_bits / self.model.kv_bits

    @property
    def kv_bytes_per_token(self) -> float:
        """Bytes of the cache per token of one sequence, in the source's dtype."""
        return self.kv_bits / 8

    @property
    def telling_tokens(self) -> int:
        """Tokens of a prompt after which the cache holds something in every way that it has."""
        return max(
            kept.telling_tokens for layer in self.layers for kept in layer.stored(self.model)
        )

    def bits_at(self, lengths: Iterable[int]) -> int:
        """Return the bits of the cache per token, over sequences of these numbers of tokens."""
        tokens = list(lengths)
        stored = [kept for layer in self.layers for kept in layer.stored(self.model)]
        return ceil(sum(kept.bits(n) for n in tokens for kept in stored) / sum(tokens))

    def cache_bytes(self, tokens: int, *, dtype: str) -> int:
        """Return the bytes of the cache of one sequence of so many tokens.

        Parameters
        ----------
        tokens : int
            How many are cached.
        dtype : str
            Type of what is kept at full precision.
        """
        return CacheSize.of(self.layers, self.model, dtype).at(tokens)

    @property
    def digest(self) -> str:
        """Hash of what decides the model that the plan makes: weights, choices, merge and refit."""
        layers = [(picture.key.reads, picture.value.reads) for picture in self.pictures]
        decisive: list[Any] = [self.fingerprint, self.merge, layers]
        if self.calibration is not None:
            decisive += [self.refit, self.calibration.digest]
        if self.has_codecs:
            decisive.append([layer.codecs() for layer in self.layers])
        if self.has_maps:
            decisive.append([[*map(site_to_json, layer.sites)] for layer in self.layers])
        content = json.dumps(decisive)
        return sha256(content.encode()).hexdigest()[:24]

    def require_model(self, spec: ModelSpec, fingerprint: str) -> None:
        """Raise unless the plan was made for this model.

        Raises
        ------
        PlanError
            If geometry or weights are another model's.
        """
        for name in (
            "model_type", "num_layers", "num_query_heads", "num_kv_heads", "head_dim",
            "hidden_size", "has_kv_bias",
        ):  # fmt: skip
            here, there = getattr(spec, name), getattr(self.model, name)
            if here != there:
                raise PlanError(
                    f"a plan for {self.model.source} with {name} {there}",
                    expected=f"{name} {here}, as {spec.source} has",
                    remedy="search a plan for this model",
                )
        if fingerprint != self.fingerprint:
            raise PlanError(
                f"a plan for {self.model.source} whose K/V weights have the fingerprint "
                f"{self.fingerprint}",
                expected=f"{fingerprint}, as {spec.source} has",
                remedy="search a plan for these weights",
            )

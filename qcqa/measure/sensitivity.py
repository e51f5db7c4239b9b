"""How far a model's predictions move when one layer alone is reduced: what is asked, and found."""

from dataclasses import dataclass
from hashlib import sha256

from qcqa.errors import EvaluationError
from qcqa.files.user_path import existing_file
from qcqa.packaged import DEMO_TEXT, demo_model_folder
from qcqa.plan.metric import text_label
from qcqa.plan.plan import Plan
from qcqa.reading.file import FileKind, read_bytes

_TEXT = FileKind("a file with text", EvaluationError, most_bytes=None)


@dataclass(frozen=True, slots=True)
class SensitivitySettings:
    """What the layers are measured on.

    Parameters
    ----------
    text : str
        Text file, or ``demo`` for the demo's held-out stories.
    num_windows : int
        Windows of the text, at most, taken evenly from all of it: the samples of the standard
        error.
    window_tokens : int
        Tokens of a window, at most.

    Raises
    ------
    EvaluationError
        If a number is too small.
    """

    text: str
    num_windows: int = 16
    window_tokens: int = 512

    def __post_init__(self) -> None:
        for name, least in (("num_windows", 1), ("window_tokens", 4)):
            if getattr(self, name) < least:
                raise EvaluationError(
                    f"{name} = {getattr(self, name)}", expected=f"at least {least}"
                )

    @property
    def text_name(self) -> str:
        """What people call the text."""
        return text_label(self.text)


@dataclass(frozen=True, slots=True)
class TextAmount:
    """How much of a text is read.

    Parameters
    ----------
    num_windows, num_tokens : int
        Windows, and tokens whose predictions count.
    window_tokens : int
        Tokens of the longest window.
    """

    num_windows: int
    num_tokens: int
    window_tokens: int


@dataclass(frozen=True, slots=True)
class LayerEffect:
    """What the predictions do when one layer alone is reduced.

    Parameters
    ----------
    is_measured : bool
        Whether the plan reduces the layer: one that it leaves alone changes nothing, and is not
        run.
    kl : float
        Kullback-Leibler divergence from the source, nats per token.
    same_top : float
        Share of tokens at which the most probable prediction is the source's.
    kl_error, same_top_error : float or None
        Standard errors; None where too few windows were read, or nothing was measured.
    behind_error : float or None
        Standard error of how much smaller ``kl`` is than the largest of all layers, token by token
        on the same text.
    """

    is_measured: bool
    kl: float
    same_top: float
    kl_error: float | None = None
    same_top_error: float | None = None
    behind_error: float | None = None


@dataclass(frozen=True, slots=True)
class LayerSensitivity:
    """What was measured of each layer of a plan.

    Parameters
    ----------
    method : str
        That found the plan.
    kv_ratio : float
        KV-cache bytes of the whole plan over those of the source.
    plan_digest : str
        :attr:`Plan.digest` of the plan.
    settings : SensitivitySettings
        What was asked.
    window_tokens, num_windows, num_tokens : int
        What was read: windows of at most so many tokens, and tokens whose predictions count.
    device, dtype : str
        Where the models ran, and the type in which they really did.
    seconds : float
        What it took, without loading and making the models.
    token_passes : float
        Tokens times passes through the whole model, which the seconds were spent on.
    finished : str
        When, ISO 8601, UTC.
    layers : tuple of LayerEffect
        ``L`` of them.
    text_digest : str or None
        :func:`digest_of_text` of the text; None where an earlier release did not keep it.
    """

    method: str
    kv_ratio: float
    plan_digest: str
    settings: SensitivitySettings
    window_tokens: int
    num_windows: int
    num_tokens: int
    device: str
    dtype: str
    seconds: float
    token_passes: float
    finished: str
    layers: tuple[LayerEffect, ...]
    text_digest: str | None = None

    @property
    def most(self) -> int:
        """The layer that moves the predictions most."""
        return max(range(len(self.layers)), key=lambda layer: self.layers[layer].kl)

    @property
    def not_told_apart(self) -> tuple[int, ...]:
        """Other layers whose distance from :attr:`most` is within two standard errors."""
        largest = self.layers[self.most].kl
        return tuple(
            number
            for number, layer in enumerate(self.layers)
            if number != self.most
            and layer.behind_error is not None
            and largest - layer.kl < 2 * layer.behind_error
        )


def digest_of_text(text: str) -> str:
    """Return a hash of what a text says now: its file may be edited after it was measured on.

    Parameters
    ----------
    text : str
        As in :class:`SensitivitySettings`.

    Raises
    ------
    EvaluationError
        If the file is not there, or cannot be read.
    CheckpointError
        If the installation lacks the demo model.
    """
    file = str(demo_model_folder() / f"{DEMO_TEXT}.txt") if text == "demo" else text
    path = existing_file(file, expected=_TEXT.name, refusal=EvaluationError)
    return sha256(read_bytes(path, _TEXT)).hexdigest()[:24]


def reduced_layers(plan: Plan) -> tuple[int, ...]:
    """Return the layers in which anything is reduced: what there is to measure of a plan."""
    return tuple(n for n, layer in enumerate(plan.layers) if layer.key or layer.value)


def num_passes(plan: Plan) -> float:
    """Return how often the layers of a whole model are run for each token.

    Twice for the source, for its predictions and for what its layers hand on, and then what is
    behind each reduced layer.
    """
    num_layers = len(plan.layers)
    return 2 + sum(num_layers - layer for layer in reduced_layers(plan)) / num_layers

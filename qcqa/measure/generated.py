"""What models say to one prompt: how it is asked for, how it comes, and what it took."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from qcqa.errors import EvaluationError
from qcqa.progress import Progress

_SEEDS = 2**32

#: Why a text ended: at a token that ends texts, at the asked number of tokens, or at the model's
#: longest context.
Ending = Literal["eos", "length", "context"]


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """What is generated.

    Parameters
    ----------
    prompt : str
        What the texts go on from; empty for a text from its beginning.
    max_new_tokens : int
        Tokens after the prompt, at most.
    temperature : float
        0 takes the likeliest token each time; above it, tokens are drawn.
    seed : int
        Of the draws, the same for all models.

    Raises
    ------
    EvaluationError
        If a number is out of range.
    """

    prompt: str
    max_new_tokens: int = 64
    temperature: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise EvaluationError(f"{self.max_new_tokens} new tokens", expected="at least 1")
        if not (isfinite(self.temperature) and self.temperature >= 0):
            raise EvaluationError(f"temperature {self.temperature}", expected="0 or more")
        if not 0 <= self.seed < _SEEDS:
            raise EvaluationError(f"seed {self.seed}", expected=f"0 to {_SEEDS - 1}")


@dataclass(frozen=True, slots=True)
class GenerationFigures:
    """What one model's text took.

    Parameters
    ----------
    prompt_tokens, new_tokens : int
        With the special tokens before the prompt, and without the one that ends a text.
    prefill_seconds : float
        For the prompt and the first token.
    decode_seconds : float
        For the tokens after the first.
    cached_tokens : int
        Tokens whose keys and values are in the cache at the end.
    cache_bytes : int
        Held by the cache at the end, counted on its tensors.
    ending : Ending
        Why the text ended.
    """

    prompt_tokens: int
    new_tokens: int
    prefill_seconds: float
    decode_seconds: float
    cached_tokens: int
    cache_bytes: int
    ending: Ending

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens after the first by the time that they took; None where there is only one."""
        steps = self.cached_tokens - self.prompt_tokens
        return steps / self.decode_seconds if steps and self.decode_seconds else None


@dataclass(frozen=True, slots=True)
class TextBegan:
    """A model is ready and reads the prompt.

    Parameters
    ----------
    model : int
        Its place: 0 for the source, then the plans in their order.
    method : str
        Method of the plan; ``mha`` for the source.
    label : str
        For people.
    kv_ratio : float
        KV-cache bytes over those of the source, as the plan promises.
    promised_bytes_per_token : int
        Of the KV cache, in the type in which the model runs.
    """

    model: int
    method: str
    label: str
    kv_ratio: float
    promised_bytes_per_token: float


@dataclass(frozen=True, slots=True)
class TokenCame:
    """A model has said one more token.

    Parameters
    ----------
    model : int
        Its place.
    token_id : int
        The token.
    text : str
        What it adds to the text: nothing while it leaves a character half written.
    """

    model: int
    token_id: int
    text: str


@dataclass(frozen=True, slots=True)
class TextEnded:
    """A model is done.

    Parameters
    ----------
    model : int
        Its place.
    figures : GenerationFigures
        What its text took.
    """

    model: int
    figures: GenerationFigures


GenerationEvent = TextBegan | TokenCame | TextEnded


@dataclass(frozen=True, slots=True)
class GenerationProgress(Progress):
    """How far a generation is.

    Parameters
    ----------
    stage, step, total, fraction
        As in :class:`Progress`.
    generated : GenerationEvent or None
        What has just come; None while a model is made.
    """

    generated: GenerationEvent | None = None


@dataclass(frozen=True, slots=True)
class GeneratedText:
    """What one model has said, so far or in the end.

    Parameters
    ----------
    method, label, kv_ratio, promised_bytes_per_token
        As in :class:`TextBegan`.
    token_ids : tuple of int
        The new tokens.
    pieces : tuple of str
        What each of them adds to the text.
    figures : GenerationFigures or None
        What it took; None while more is to come.
    """

    method: str
    label: str
    kv_ratio: float
    promised_bytes_per_token: float
    token_ids: tuple[int, ...] = ()
    pieces: tuple[str, ...] = ()
    figures: GenerationFigures | None = None

    @property
    def text(self) -> str:
        """The whole text after the prompt."""
        return "".join(self.pieces)

    def differs_at(self, source: "GeneratedText") -> int | None:
        """Return the number of the first token that is not the source's; None if none is so far."""
        for place, (token_id, other) in enumerate(
            zip(self.token_ids, source.token_ids, strict=False)
        ):
            if token_id != other:
                return place
        length, other_length = len(self.token_ids), len(source.token_ids)
        # The same as far as both go: one may have ended where the other goes on.
        goes_on = length > other_length and source.figures is not None
        has_ended = length < other_length and self.figures is not None
        return min(length, other_length) if goes_on or has_ended else None


def texts_of(events: Iterable[GenerationEvent]) -> tuple[GeneratedText, ...]:
    """Return what a generation's events tell so far: the source's text, then the plans'."""
    began: dict[int, TextBegan] = {}
    tokens: dict[int, list[TokenCame]] = {}
    figures: dict[int, GenerationFigures] = {}
    for event in events:
        match event:
            case TextBegan():
                began[event.model] = event
            case TokenCame():
                tokens.setdefault(event.model, []).append(event)
            case TextEnded():
                figures[event.model] = event.figures
    return tuple(
        GeneratedText(
            method=start.method,
            label=start.label,
            kv_ratio=start.kv_ratio,
            promised_bytes_per_token=start.promised_bytes_per_token,
            token_ids=tuple(token.token_id for token in tokens.get(place, ())),
            pieces=tuple(token.text for token in tokens.get(place, ())),
            figures=figures.get(place),
        )
        for place, start in sorted(began.items())
    )

"""Let a source model and the models that plans make of it go on from one prompt."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from transformers import PreTrainedModel

from qcqa.measure.generate import generate_text, prompt_ids, require_prompt
from qcqa.measure.generated import (
    GeneratedText,
    GenerationEvent,
    GenerationProgress,
    GenerationSettings,
    TextBegan,
    TextEnded,
    TokenCame,
    texts_of,
)
from qcqa.measure.plan_models import SOURCE, PlanModels, models_of, plan_label
from qcqa.measure.promised_cache import promised_bytes_per_token
from qcqa.plan.plan import Plan
from qcqa.progress import nth_model, silent, within
from qcqa.text.fitted import FittedFolder

OnGenerationProgress = Callable[[GenerationProgress], None]

#: Of a model's progress: a refit takes longer than a text, all else is quick.
_MAKING_SHARE = 0.5


def generate_side_by_side(
    model: str,
    plans: Sequence[Plan],
    settings: GenerationSettings,
    *,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    calibrations: Path | None = None,
    fitted: FittedFolder | None = None,
    on_progress: OnGenerationProgress | None = None,
) -> tuple[GeneratedText, ...]:
    """Generate from one prompt with a source model, then with what each plan makes of it.

    One after another, so that no model slows another down. A plan's model shares all of its weights
    but the attention's with the source.

    Parameters
    ----------
    model, plans, revision, device, dtype, calibrations, fitted
        As in :func:`~qcqa.measure.evaluate.evaluate_plans`; every plan has a text of its own.
    settings : GenerationSettings
        The prompt, and how tokens are chosen.
    on_progress : callable, optional
        Called with every token, as it comes; raising from it ends the generation.

    Returns
    -------
    tuple of GeneratedText
        The source's, then the plans' in their order.

    Raises
    ------
    EvaluationError
        If the prompt cannot be used, or the model has no tokenizer.
    QCQAError
        If the model or a plan cannot be used.
    """
    with models_of(
        model,
        plans,
        revision=revision,
        device=device,
        dtype=dtype,
        calibrations=calibrations,
        fitted=fitted,
    ) as models:
        stage = _Stage(models, settings, 1 + len(plans), on_progress)
        models.require_texts(plans)
        for place, plan in enumerate((None, *plans)):
            stage.generate(place, plan)
    return texts_of(stage.events)


def require_generatable(
    model: str,
    plans: Sequence[Plan],
    settings: GenerationSettings,
    *,
    revision: str | None = None,
    fitted: FittedFolder | None = None,
) -> None:
    """Refuse, before weights are read, what :func:`generate_side_by_side` could not end.

    Parameters
    ----------
    model, plans, settings, revision, fitted
        As in :func:`generate_side_by_side`.

    Raises
    ------
    QCQAError
        If the model cannot be opened or is no language model, the prompt is too long or has tokens
        that the model does not know, or a plan's calibration text is gone.
    """
    models = PlanModels.to_look_at(model, revision=revision, fitted=fitted)
    _readable_prompt(models, settings)
    models.require_texts(plans)


def _readable_prompt(models: PlanModels, settings: GenerationSettings) -> list[int]:
    """Return the tokens of a prompt that the source can read."""
    prompt = prompt_ids(models.tokenizer, settings.prompt)
    require_prompt(models.config, models.tokenizer, prompt)
    return prompt


class _Stage:
    """Where models come on one after another.

    Parameters
    ----------
    models : PlanModels
        The source, and what plans make of it.
    settings : GenerationSettings
        The prompt, and how tokens are chosen.
    num_models : int
        How many models there are in all, for progress.
    on_progress : callable or None
        Called with every event.
    """

    def __init__(
        self,
        models: PlanModels,
        settings: GenerationSettings,
        num_models: int,
        on_progress: OnGenerationProgress | None,
    ):
        self._models = models
        self._settings = settings
        self._num_models = num_models
        self._on_progress = on_progress or silent
        # Quick to fail, unlike the weights.
        self._prompt = _readable_prompt(models, settings)
        self.events: list[GenerationEvent] = []

    def generate(self, place: int, plan: Plan | None) -> None:
        """Let the source go on from the prompt, or a plan's model."""
        label = plan_label(plan) if plan else SOURCE
        of_model = within(
            self._on_progress,
            place / self._num_models,
            (place + 1) / self._num_models,
            name=nth_model(label, place, self._num_models),
        )
        on_generating = within(of_model, _MAKING_SHARE, 1.0)
        model = self._model_of(plan, of_model)
        spec = self._models.checkpoint.spec
        dtype = str(model.dtype).removeprefix("torch.")
        num_said = 0

        def tell(event: GenerationEvent) -> None:
            self.events.append(event)
            most = self._settings.max_new_tokens
            on_generating(GenerationProgress("generating", num_said, most, num_said / most, event))

        def on_token(token: int, text: str) -> None:
            nonlocal num_said
            num_said += 1
            tell(TokenCame(place, token, text))

        tell(
            TextBegan(
                model=place,
                method=plan.method if plan else "mha",
                label=label,
                kv_ratio=plan.kv_ratio if plan else 1.0,
                promised_bytes_per_token=promised_bytes_per_token(spec, plan, dtype),
            )
        )
        figures = generate_text(
            model, self._models.tokenizer, self._prompt, self._settings, on_token=on_token
        )
        tell(TextEnded(place, figures))

    def _model_of(self, plan: Plan | None, of_model: OnGenerationProgress) -> PreTrainedModel:
        of_model(GenerationProgress("converting" if plan else "loading", 0, 0, 0.0))
        if plan is None:
            return self._models.source
        making = within(of_model, 0.0, _MAKING_SHARE)
        return self._models.model_of(
            plan, lambda progress: making(GenerationProgress(**asdict(progress)))
        )

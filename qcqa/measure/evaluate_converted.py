"""Measure a converted checkpoint by itself, where its source need not be at hand."""

from pathlib import Path

import torch
from transformers import AutoConfig

from qcqa.conversion.loading import load
from qcqa.errors import CheckpointError
from qcqa.files.user_path import user_path
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.evaluation import Evaluation
from qcqa.measure.parts import TextPart, parts_of
from qcqa.measure.plan_models import plan_label
from qcqa.measure.promised_cache import promised_cache
from qcqa.measure.speed import measure_decode_speed
from qcqa.measure.texts_apart import refuse_calibration_text
from qcqa.model.config_keys import CONFIG_FILE
from qcqa.model.device import usable_device
from qcqa.model.dtype import dtype_to_run, kept_dtype
from qcqa.model.source_model import tokenizer_of
from qcqa.plan.file import load_plan
from qcqa.plan.plan import Measurement
from qcqa.progress import OnProgress, silent, within
from qcqa.reading.json_file import read_object
from qcqa.text.through_cache import piece_tokens_of


def is_converted(model: str) -> bool:
    """Return whether a model is a folder that ``qcqa convert`` wrote."""
    try:
        return bool(read_object(user_path(model) / "config.json", CONFIG_FILE).get("qcqa"))
    except CheckpointError:
        # Opening it as a source says what is wrong.
        return False


def evaluate_converted(
    folder: Path,
    benchmark: Benchmark,
    *,
    device: str = "auto",
    dtype: str = "auto",
    on_progress: OnProgress = silent,
) -> Evaluation:
    """Measure what ``qcqa convert`` wrote; the figures are absolute, as there is no source.

    Parameters
    ----------
    folder : Path
        The converted checkpoint, with its plan.
    benchmark : Benchmark
        What is measured.
    device, dtype : str
        Where, and in which type, the model runs: ``auto``, ``cpu``, ``cuda`` …; ``auto``,
        ``float32`` …
    on_progress : callable, optional
        Called often; raising from it ends the evaluation.

    Raises
    ------
    EvaluationError
        If the benchmark's data cannot be used, or the live KV cache is not of the promised size.
    QCQAError
        If the folder cannot be opened, or has no plan.
    """
    device = usable_device(device, dtype)
    plan = load_plan(folder / "plan.json")
    checkpoint_dtype = _checkpoint_dtype(folder)
    dtype = kept_dtype(dtype_to_run(dtype, checkpoint_dtype, device=device).name, checkpoint_dtype)
    refuse_calibration_text([plan], benchmark)
    label, parts = plan_label(plan), list(parts_of(benchmark))
    piece_tokens = piece_tokens_of(plan) if parts else None
    num_stages = len(parts) + (benchmark.speed is not None)

    def reporter(stage: str, place: int) -> OnProgress:
        begin, end = place / num_stages, (place + 1) / num_stages
        return within(on_progress, begin, end, name=label, stage=stage)

    tokenizer = tokenizer_of(str(folder)) if parts else None
    if tokenizer is not None:
        # Quick to fail, unlike the weights.
        config = AutoConfig.from_pretrained(folder)
        for part in parts:
            part.require_readable(config, tokenizer)
    model = load(folder, dtype=dtype)
    torch.nn.Module.to(model, device)  # its own is hidden from type checkers
    lengths: list[int] = []
    figures = [Measurement("cache_bytes_per_token", promised_cache(model, plan, label))]
    if tokenizer is not None:
        for place, part in enumerate(parts):
            scores = part.score(
                model, tokenizer, reporter(part.label, place), piece_tokens=piece_tokens
            )
            figures += [figure for score in scores.values() for figure in score.measurements()]
            if isinstance(part, TextPart):
                lengths = part.lengths(scores)
    if benchmark.speed:
        report = reporter("speed", len(parts))
        speeds = measure_decode_speed({label: model}, benchmark.speed, on_progress=report)
        figures += speeds[label].measurements()
    measured = tuple({figure.metric: figure for figure in figures}.values())
    return Evaluation.of_plan(
        plan,
        benchmark,
        measured,
        device=device,
        dtype=dtype,
        piece_tokens=piece_tokens,
        lengths=lengths,
    )


def _checkpoint_dtype(folder: Path) -> str:
    """Return the type of a checkpoint's weights, as its config says."""
    config = read_object(folder / "config.json", CONFIG_FILE)
    return str(config.get("dtype") or config.get("torch_dtype") or "float32")

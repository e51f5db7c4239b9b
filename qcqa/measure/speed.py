"""Speed and memory of generation: models side by side in one process, in turns."""

from collections.abc import Mapping
from time import perf_counter

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from qcqa.errors import EvaluationError
from qcqa.measure.benchmark import DecodeLoad
from qcqa.measure.cache_bytes import cache_bytes
from qcqa.measure.samples import FEWEST_CLUSTERS
from qcqa.measure.speed_scores import DecodeSpeed, Round
from qcqa.progress import OnProgress, Progress, silent
from qcqa.text.running import (
    cache_argument,
    cache_of,
    context_limit,
    evaluating,
    generating_options,
    input_device,
)
from qcqa.text.token_ids import embedding_rows


def measure_decode_speed(
    models: Mapping[str, PreTrainedModel],
    load: DecodeLoad,
    *,
    rounds: int = FEWEST_CLUSTERS,
    warmup_rounds: int = 1,
    on_progress: OnProgress = silent,
) -> dict[str, DecodeSpeed]:
    """Time how models read a prompt and go on, token by token.

    In every round each model reads the same random prompts and then the same random tokens, one
    at a time, as generation does without its sampling. The models take turns within each round and
    the first turn goes round, so that a machine that warms up or is disturbed treats all alike.
    The rounds before the first that counts are run in full and thrown away.

    Parameters
    ----------
    models : mapping of str to PreTrainedModel
        By name, such as ``source`` and ``converted``; all must fit in memory together.
    load : DecodeLoad
        Context, batch and number of tokens.
    rounds : int
        Rounds that count.
    warmup_rounds : int
        Rounds before them.
    on_progress : callable
        Called after each model's turn; what it raises ends the measurement.

    Returns
    -------
    dict of str to DecodeSpeed
        Under the models' names.

    Raises
    ------
    EvaluationError
        If a number is out of range, the load is beyond a model's context, or does not fit in
        memory.
    """
    if not models or rounds < 1 or warmup_rounds < 0:
        raise EvaluationError(
            f"{len(models)} models, {rounds} rounds and {warmup_rounds} before them",
            expected="at least one model, one round, and no negative number",
        )
    for name, model in models.items():
        require_context(model, load, name=name)
    ids = _random_tokens(models, load)
    names = list(models)
    found: dict[str, list[Round]] = {name: [] for name in names}
    total = (warmup_rounds + rounds) * len(names)
    for number in range(warmup_rounds + rounds):
        first = number % len(names)
        for turn, name in enumerate(names[first:] + names[:first]):
            try:
                with evaluating(models[name]):
                    measured = _time_turn(models[name], ids, load)
            except torch.OutOfMemoryError as error:
                raise EvaluationError(
                    f"{load.batch_size} x {load.context_tokens} tokens of {name} do not fit the "
                    "memory of the device",
                    remedy="measure a smaller batch or a shorter context",
                ) from error
            if number >= warmup_rounds:
                found[name].append(measured)
            step = number * len(names) + turn + 1
            on_progress(Progress.of_stage("decode speed", step, total))
    return {name: DecodeSpeed(load, tuple(measured)) for name, measured in found.items()}


def _time_turn(model: PreTrainedModel, ids: Tensor, load: DecodeLoad) -> Round:
    """Return one model's times for one prompt and the tokens after it."""
    device = input_device(model)
    ids = ids.to(device)  # (batch, context + new)
    prompt = ids[:, : load.context_tokens]
    options, argument = generating_options(model), cache_argument()
    before = _start_of_peak(device)
    _wait_for(device)
    started = perf_counter()
    cache = cache_of(model(input_ids=prompt, **options))
    _wait_for(device)
    read = perf_counter()
    held = cache_bytes(cache)
    resumed = perf_counter()
    for place in range(load.context_tokens, ids.shape[1]):
        output = model(input_ids=ids[:, place : place + 1], **{argument: cache}, **options)
        cache = cache_of(output)
    _wait_for(device)
    seconds = perf_counter() - resumed
    return Round(
        prefill_seconds=read - started,
        seconds_per_token=seconds / load.new_tokens,
        cache_bytes=held,
        peak_bytes=None if before is None else torch.cuda.max_memory_allocated(device) - before,
    )


def _start_of_peak(device: torch.device) -> int | None:
    """Return the bytes in use now and count the peak from here; None where torch cannot tell."""
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    return torch.cuda.memory_allocated(device)


def _wait_for(device: torch.device) -> None:
    """Let the device finish: it works on while Python goes ahead."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _random_tokens(models: Mapping[str, PreTrainedModel], load: DecodeLoad) -> Tensor:
    """Return the same tokens at every call, shape (batch, context + new)."""
    vocabulary = min(map(embedding_rows, models.values()))
    shape = (load.batch_size, load.context_tokens + load.new_tokens)
    return torch.randint(vocabulary, shape, generator=torch.Generator().manual_seed(0))


def require_context(
    model: PreTrainedModel | PreTrainedConfig, load: DecodeLoad, *, name: str
) -> None:
    """Refuse a load beyond a model's context; its config will do, before weights are read.

    Raises
    ------
    EvaluationError
        Which says how many tokens fit.
    """
    limit = context_limit(model)
    needed = load.context_tokens + load.new_tokens
    if limit is not None and needed > limit:
        raise EvaluationError(
            f"a context of {load.context_tokens} tokens and {load.new_tokens} more for {name}",
            expected=f"at most {limit} together",
            remedy="measure a shorter context",
        )

"""Tasks of lm-evaluation-harness on a live model."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from qcqa.errors import EvaluationError
from qcqa.measure.harness import harness_module, load_tasks, quiet, sandboxed
from qcqa.measure.harness_model import HarnessModel
from qcqa.measure.task_scores import Strata, Stratum, TaskScores, as_numbers, figure_name
from qcqa.plan.plan import Measurement
from qcqa.progress import OnProgress, silent
from qcqa.text.windows import evenly

#: Resamples for figures that are no means.
_BOOTSTRAP_ROUNDS = 200


def evaluate_tasks(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tasks: Sequence[str | Path],
    *,
    num_fewshot: int | None = None,
    max_samples: int | None = None,
    batch_tokens: int | None = None,
    piece_tokens: int | None = None,
    allow_code: bool = False,
    on_progress: OnProgress = silent,
) -> dict[str, TaskScores]:
    """Run tasks on a model.

    Parameters
    ----------
    model : PreTrainedModel
        Source or converted, on any device.
    tokenizer : PreTrainedTokenizerBase
        The model's.
    tasks : sequence of str or Path
        Names that lm-evaluation-harness knows (``hellaswag``, ``mmlu`` …), whose data comes from
        the Hub or its cache; names of the demo's tasks (see :func:`demo_task_files`); or YAML files
        with local data, which need no network.
    num_fewshot : int, optional
        Examples before a question; by default what each task says.
    max_samples : int, optional
        Questions of each task at most, taken evenly from all.
    batch_tokens : int, optional
        Tokens of a batch; by default what keeps its logits within 1 GiB.
    piece_tokens : int, optional
        Tokens that the model reads at a time, see :func:`~qcqa.text.scoring.answer_queries`; it
        generates with a cache then, whatever its config says.
    allow_code : bool
        Whether YAML files may run what they name: functions, programs that come with data or
        metrics. Read them before.
    on_progress : callable
        Called with the requests answered so far; what it raises ends the evaluation.

    Returns
    -------
    dict of str to TaskScores
        By task, groups such as ``mmlu`` before the tasks that they are made of.

    Raises
    ------
    EvaluationError
        If the harness is not installed, a task is unknown or would run code, its data cannot be
        had, a number is out of range, or a batch does not fit.
    """
    for name, number, least in (
        ("max_samples", max_samples, 1),
        ("batch_tokens", batch_tokens, 1),
        ("piece_tokens", piece_tokens, 1),
        ("num_fewshot", num_fewshot, 0),
    ):
        if number is not None and number < least:
            raise EvaluationError(f"{name} = {number}", expected=f"at least {least}")
    if not tasks:
        raise EvaluationError("no task", expected="at least one")
    evaluator = harness_module("lm_eval.evaluator")
    asked = HarnessModel(
        model,
        tokenizer,
        batch_tokens=batch_tokens,
        piece_tokens=piece_tokens,
        on_progress=on_progress,
    )
    with quiet(), sandboxed():
        loaded = load_tasks(tasks, num_fewshot=num_fewshot, allow_code=allow_code)
        results = evaluator.evaluate(
            lm=asked,
            task_dict=loaded,
            samples=_chosen(loaded["tasks"], max_samples),
            bootstrap_iters=0,  # standard errors are computed here, from the samples
            log_samples=True,
        )
    single = {
        name: _scores(name, task, results["samples"][name], results["results"][name])
        for name, task in loaded["tasks"].items()
    }
    groups = {name: _group_scores(group, single) for name, group in loaded["groups"].items()}
    return groups | single


def _chosen(tasks: Mapping[str, Any], count: int | None) -> dict[str, list[int]] | None:
    """Return which questions of each task to ask; the first ones alone would often be of a kind."""
    if count is None:
        return None
    return {name: list(evenly(range(len(task.eval_docs)), count)) for name, task in tasks.items()}


def _scores(
    name: str, task: Any, samples: Sequence[Mapping[str, Any]], figures: Mapping[str, Any]
) -> TaskScores:
    """Return the scores of one task from the harness's log of its samples."""
    mean = harness_module("lm_eval.api.metrics").mean
    aggregations = task.aggregation()
    values: dict[tuple[str, str], list[Any]] = {}
    for sample in samples:
        for metric in sample["metrics"]:
            values.setdefault((metric, sample["filter"]), []).append(sample[metric])
    means: dict[tuple[str, str], Strata] = {}
    others = []
    for (metric, answer_filter), items in values.items():
        aggregate = aggregations.get(metric, mean)
        numbers = as_numbers(items) if aggregate is mean else None
        if numbers is not None:
            means[metric, answer_filter] = (Stratum(1.0, numbers),)
            continue
        value = figures[f"{metric},{answer_filter}"]
        if isinstance(value, (int, float)):
            error = _bootstrap_error(aggregate, items)
            title = figure_name(name, metric, answer_filter)
            others.append(Measurement(title, float(value), error, len(items)))
    content = "".join(sample["doc_hash"] for sample in samples)
    digest = hashlib.sha256(content.encode()).hexdigest()[:32]
    return TaskScores(name, digest, means, tuple(others))


def _bootstrap_error(aggregate: Any, items: Sequence[Any]) -> float | None:
    if len(items) < 2:
        return None
    draws = np.random.default_rng(0).integers(len(items), size=(_BOOTSTRAP_ROUNDS, len(items)))
    return float(np.std([aggregate([items[place] for place in draw]) for draw in draws], ddof=1))


def _group_scores(group: Any, single: Mapping[str, TaskScores]) -> TaskScores:
    """Return the scores of a group: means over its tasks, weighted as the group says."""
    members = [single[task.task_name] for task in group.get_all_tasks()]
    means: dict[tuple[str, str], Strata] = {}
    for wanted in group.aggregate_metric_list or ():
        keys = [key for key in members[0].means if key[0] == wanted.metric]
        for key in keys:
            if wanted.filter_list is not None and key[1] not in wanted.filter_list:
                continue
            if all(key in member.means for member in members):
                means[key] = _pooled([member.means[key] for member in members], wanted)
    digest = hashlib.sha256("".join(member.digest for member in members).encode()).hexdigest()
    return TaskScores(group.name, digest[:32], means)


def _pooled(parts: Sequence[Strata], wanted: Any) -> Strata:
    arrays = [stratum.values for strata in parts for stratum in strata]
    sizes = [len(values) if wanted.weight_by_size else 1 for values in arrays]
    return tuple(
        Stratum(size / sum(sizes), values) for size, values in zip(sizes, arrays, strict=True)
    )

"""Measured quality, speed and memory of causal language models, source or converted.

Three evaluations: :func:`evaluate_text` (perplexity and next-token accuracy),
:func:`evaluate_tasks` (lm-evaluation-harness) and :func:`measure_decode_speed` (time and cache
bytes of generation). Each returns scores with ``measurements()`` and ``compared_with(source)``,
both of which yield :class:`~qcqa.plan.Measurement` values; :func:`metric_of` says what a
measurement means. Nothing is downloaded unless a task of the Hub is asked for.
"""

from qcqa.benchmark import DecodeLoad
from qcqa.evaluate.cache_bytes import cache_bytes, cache_bytes_per_token
from qcqa.evaluate.documents import demo_documents, read_documents
from qcqa.evaluate.progress import EvaluationProgress, OnProgress
from qcqa.evaluate.speed import measure_decode_speed
from qcqa.evaluate.speed_scores import DecodeSpeed
from qcqa.evaluate.statistics import Spread
from qcqa.evaluate.task_files import demo_task_files, task_content
from qcqa.evaluate.task_scores import TaskScores, load_task_scores, save_task_scores
from qcqa.evaluate.tasks import evaluate_tasks
from qcqa.evaluate.text import evaluate_text, text_windows
from qcqa.evaluate.text_scores import TextScores, load_text_scores
from qcqa.metric import METRICS, Metric, data_of, metric_of

__all__ = [
    "METRICS",
    "DecodeLoad",
    "DecodeSpeed",
    "EvaluationProgress",
    "Metric",
    "OnProgress",
    "Spread",
    "TaskScores",
    "TextScores",
    "cache_bytes",
    "cache_bytes_per_token",
    "data_of",
    "demo_documents",
    "demo_task_files",
    "evaluate_tasks",
    "evaluate_text",
    "load_task_scores",
    "load_text_scores",
    "measure_decode_speed",
    "metric_of",
    "read_documents",
    "save_task_scores",
    "task_content",
    "text_windows",
]

"""QCQA Explorer: which attention heads of a model should share one key/value head.

Shapes, everywhere in this package:

====== =========================================================
``L``  layers (``num_layers``)
``Hq`` query heads (``num_query_heads``)
``H``  key/value heads of the source (``num_kv_heads``)
``dh`` size of a head (``head_dim``)
``d``  hidden size (``hidden_size``)
``P``  candidates of a population
====== =========================================================

The way of the data: checkpoint -> Grams -> search -> front -> plan -> model. In code:
:func:`search_model` does all up to the fronts, :func:`plan_of_result` picks the plan for a budget,
:func:`convert`, :func:`convert_checkpoint` and, with all that a plan rests on,
:func:`convert_by_plan` make a model of it, :func:`load` opens such a model,
:func:`refresh_converted` brings one of an earlier release up to this one, and
:func:`evaluate_plans` measures what plans cost in quality, and :func:`layer_sensitivity` what each
layer of a plan does alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qcqa.attention.folder import convert_checkpoint as convert_checkpoint
    from qcqa.attention.live import convert as convert
    from qcqa.attention.loading import load as load
    from qcqa.attention.refresh import refresh_converted as refresh_converted
    from qcqa.benchmark import Benchmark as Benchmark
    from qcqa.benchmark import DecodeLoad as DecodeLoad
    from qcqa.budget import CacheLoad as CacheLoad
    from qcqa.budget import heads_within_gib as heads_within_gib
    from qcqa.budget import heads_within_ratio as heads_within_ratio
    from qcqa.capacity import Capacity as Capacity
    from qcqa.capacity import Server as Server
    from qcqa.capacity import capacity_of as capacity_of
    from qcqa.errors import QCQAError as QCQAError
    from qcqa.front import Front as Front
    from qcqa.front import LowerBound as LowerBound
    from qcqa.generated import GenerationSettings as GenerationSettings
    from qcqa.gpus import gpu_named as gpu_named
    from qcqa.grouping import Grouping as Grouping
    from qcqa.grouping import LayerGrouping as LayerGrouping
    from qcqa.measured_folder import MeasuredFolder as MeasuredFolder
    from qcqa.model_spec import ModelSpec as ModelSpec
    from qcqa.plan import GroupingPlan as GroupingPlan
    from qcqa.plan_file import load_plan as load_plan
    from qcqa.plan_file import save_plan as save_plan
    from qcqa.search.config import SearchSettings as SearchSettings
    from qcqa.search_result import SearchResult as SearchResult
    from qcqa.sensitivity import SensitivitySettings as SensitivitySettings
    from qcqa.use_cases.best import best_method as best_method
    from qcqa.use_cases.convert import convert_by_plan as convert_by_plan
    from qcqa.use_cases.evaluate import evaluate_plans as evaluate_plans
    from qcqa.use_cases.generate import generate_side_by_side as generate_side_by_side
    from qcqa.use_cases.inspect import inspect_model as inspect_model
    from qcqa.use_cases.model_size import model_size as model_size
    from qcqa.use_cases.plan import plan_of_result as plan_of_result
    from qcqa.use_cases.preflight import preflight as preflight
    from qcqa.use_cases.problem import CalibratedModel as CalibratedModel
    from qcqa.use_cases.search import search_model as search_model
    from qcqa.use_cases.sensitivity import layer_sensitivity as layer_sensitivity

#: Where each public name lives. It is imported when it is first used, so that ``import qcqa`` and
#: ``qcqa --help`` stay quick.
_HOME = {
    "Benchmark": "qcqa.benchmark",
    "CacheLoad": "qcqa.budget",
    "CalibratedModel": "qcqa.use_cases.problem",
    "Capacity": "qcqa.capacity",
    "DecodeLoad": "qcqa.benchmark",
    "Front": "qcqa.front",
    "GenerationSettings": "qcqa.generated",
    "Grouping": "qcqa.grouping",
    "GroupingPlan": "qcqa.plan",
    "LayerGrouping": "qcqa.grouping",
    "LowerBound": "qcqa.front",
    "MeasuredFolder": "qcqa.measured_folder",
    "ModelSpec": "qcqa.model_spec",
    "QCQAError": "qcqa.errors",
    "SearchResult": "qcqa.search_result",
    "SearchSettings": "qcqa.search.config",
    "SensitivitySettings": "qcqa.sensitivity",
    "Server": "qcqa.capacity",
    "best_method": "qcqa.use_cases.best",
    "capacity_of": "qcqa.capacity",
    "convert": "qcqa.attention.live",
    "convert_by_plan": "qcqa.use_cases.convert",
    "convert_checkpoint": "qcqa.attention.folder",
    "evaluate_plans": "qcqa.use_cases.evaluate",
    "generate_side_by_side": "qcqa.use_cases.generate",
    "gpu_named": "qcqa.gpus",
    "heads_within_gib": "qcqa.budget",
    "heads_within_ratio": "qcqa.budget",
    "inspect_model": "qcqa.use_cases.inspect",
    "layer_sensitivity": "qcqa.use_cases.sensitivity",
    "load": "qcqa.attention.loading",
    "load_plan": "qcqa.plan_file",
    "model_size": "qcqa.use_cases.model_size",
    "plan_of_result": "qcqa.use_cases.plan",
    "preflight": "qcqa.use_cases.preflight",
    "refresh_converted": "qcqa.attention.refresh",
    "save_plan": "qcqa.plan_file",
    "search_model": "qcqa.use_cases.search",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'qcqa' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return list(__all__)

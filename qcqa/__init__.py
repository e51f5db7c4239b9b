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
    from qcqa.conversion.folder import convert_checkpoint as convert_checkpoint
    from qcqa.conversion.live import convert as convert
    from qcqa.conversion.loading import load as load
    from qcqa.conversion.refresh import refresh_converted as refresh_converted
    from qcqa.errors import QCQAError as QCQAError
    from qcqa.export.convert import convert_by_plan as convert_by_plan
    from qcqa.measure.benchmark import Benchmark as Benchmark
    from qcqa.measure.benchmark import DecodeLoad as DecodeLoad
    from qcqa.measure.evaluate import evaluate_plans as evaluate_plans
    from qcqa.measure.generate_by_plans import generate_side_by_side as generate_side_by_side
    from qcqa.measure.generated import GenerationSettings as GenerationSettings
    from qcqa.measure.measure_layers import layer_sensitivity as layer_sensitivity
    from qcqa.measure.measured_folder import MeasuredFolder as MeasuredFolder
    from qcqa.measure.sensitivity import SensitivitySettings as SensitivitySettings
    from qcqa.model.inspect import inspect_model as inspect_model
    from qcqa.model.size import model_size as model_size
    from qcqa.model.spec import ModelSpec as ModelSpec
    from qcqa.pick.best import best_method as best_method
    from qcqa.pick.plan import plan_of_result as plan_of_result
    from qcqa.plan.budget import CacheLoad as CacheLoad
    from qcqa.plan.budget import bits_within_gib as bits_within_gib
    from qcqa.plan.budget import bits_within_ratio as bits_within_ratio
    from qcqa.plan.capacity import Capacity as Capacity
    from qcqa.plan.capacity import Server as Server
    from qcqa.plan.capacity import capacity_of as capacity_of
    from qcqa.plan.file import load_plan as load_plan
    from qcqa.plan.file import save_plan as save_plan
    from qcqa.plan.gpus import gpu_named as gpu_named
    from qcqa.plan.plan import Plan as Plan
    from qcqa.reduce.bits.options import BitsOptions as BitsOptions
    from qcqa.reduce.groups.grouping import Grouping as Grouping
    from qcqa.reduce.groups.grouping import LayerGrouping as LayerGrouping
    from qcqa.search.calibrated_model import CalibratedModel as CalibratedModel
    from qcqa.search.front import Front as Front
    from qcqa.search.front import LowerBound as LowerBound
    from qcqa.search.preflight import preflight as preflight
    from qcqa.search.result import SearchResult as SearchResult
    from qcqa.search.search import search_model as search_model
    from qcqa.search.strategy.config import SearchSettings as SearchSettings
    from qcqa.search.strategy.options import ExactOptions as ExactOptions
    from qcqa.search.strategy.options import TwoStageOptions as TwoStageOptions

#: Where each public name lives. It is imported when it is first used, so that ``import qcqa`` and
#: ``qcqa --help`` stay quick.
_HOME = {
    "Benchmark": "qcqa.measure.benchmark",
    "BitsOptions": "qcqa.reduce.bits.options",
    "CacheLoad": "qcqa.plan.budget",
    "CalibratedModel": "qcqa.search.calibrated_model",
    "Capacity": "qcqa.plan.capacity",
    "DecodeLoad": "qcqa.measure.benchmark",
    "ExactOptions": "qcqa.search.strategy.options",
    "Front": "qcqa.search.front",
    "GenerationSettings": "qcqa.measure.generated",
    "Grouping": "qcqa.reduce.groups.grouping",
    "Plan": "qcqa.plan.plan",
    "LayerGrouping": "qcqa.reduce.groups.grouping",
    "LowerBound": "qcqa.search.front",
    "MeasuredFolder": "qcqa.measure.measured_folder",
    "ModelSpec": "qcqa.model.spec",
    "QCQAError": "qcqa.errors",
    "SearchResult": "qcqa.search.result",
    "SearchSettings": "qcqa.search.strategy.config",
    "SensitivitySettings": "qcqa.measure.sensitivity",
    "Server": "qcqa.plan.capacity",
    "TwoStageOptions": "qcqa.search.strategy.options",
    "best_method": "qcqa.pick.best",
    "capacity_of": "qcqa.plan.capacity",
    "convert": "qcqa.conversion.live",
    "convert_by_plan": "qcqa.export.convert",
    "convert_checkpoint": "qcqa.conversion.folder",
    "evaluate_plans": "qcqa.measure.evaluate",
    "generate_side_by_side": "qcqa.measure.generate_by_plans",
    "gpu_named": "qcqa.plan.gpus",
    "bits_within_gib": "qcqa.plan.budget",
    "bits_within_ratio": "qcqa.plan.budget",
    "inspect_model": "qcqa.model.inspect",
    "layer_sensitivity": "qcqa.measure.measure_layers",
    "load": "qcqa.conversion.loading",
    "load_plan": "qcqa.plan.file",
    "model_size": "qcqa.model.size",
    "plan_of_result": "qcqa.pick.plan",
    "preflight": "qcqa.search.preflight",
    "refresh_converted": "qcqa.conversion.refresh",
    "save_plan": "qcqa.plan.file",
    "search_model": "qcqa.search.search",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'qcqa' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return list(__all__)

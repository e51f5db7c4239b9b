"""The plan as a file: versioned JSON with a schema that is checked on the way in."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from qcqa.errors import PlanError
from qcqa.files.user_path import existing_file
from qcqa.files.writing import write_text_atomically
from qcqa.model.spec import ModelSpec
from qcqa.plan.plan import CalibrationText, Measurement, Plan, Prediction
from qcqa.reading.file import FileKind
from qcqa.reading.json_file import as_record, read_json
from qcqa.reduce.choice import LayerChoice
from qcqa.reduce.registry import site_from_json, site_to_json
from qcqa.reduce.terms import Fitness, MergeName

FORMAT = "qcqa-plan"
VERSION = 2

_FILE = FileKind("a plan.json", PlanError, most_bytes=100_000_000)

#: Version 1 knew groups of heads alone.
_VERSION_OF_GROUPS = 1


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class ModelSection(_Section):
    """The source model: where it is, its geometry, and the fingerprint of its K/V weights."""

    source: str
    revision: str | None
    model_type: str
    num_layers: int = Field(ge=1)
    num_query_heads: int = Field(ge=1)
    num_kv_heads: int = Field(ge=1)
    head_dim: int = Field(ge=1)
    hidden_size: int = Field(ge=1)
    has_kv_bias: bool
    dtype: str
    fingerprint: str


class LayerSection(_Section):
    """Choices for one layer's keys and values: each names its kind, beside its parameters."""

    key: list[dict[str, Any]]
    value: list[dict[str, Any]]


class PredictedSection(_Section):
    """What the search says of the plan, without running the model."""

    wse: float = Field(ge=0)
    relative_wse: float = Field(ge=0)
    wse_lower_bound: float | None = None
    fitness: Fitness = "wse"
    error: float | None = Field(default=None, ge=0)
    relative_error: float | None = Field(default=None, ge=0)
    error_lower_bound: float | None = None


class MeasuredSection(_Section):
    """One measured figure."""

    metric: str
    value: float
    standard_error: float | None = None
    sample_count: int | None = Field(default=None, ge=1)


class CalibrationSection(_Section):
    """The text on which merge and refit rest, and a hash of the tokens that were read of it."""

    text: str
    digest: str
    num_tokens: int = Field(ge=1)
    max_tokens: int = Field(ge=1)


class PlanFile(_Section):
    """A plan of QCQA Explorer: how the KV cache is made smaller, layer by layer."""

    format: Literal["qcqa-plan"]
    version: Literal[2]
    model: ModelSection
    method: str
    merge: MergeName
    refit: bool = False
    calibration: CalibrationSection | None = None
    layers: list[LayerSection]
    kv_ratio: float = Field(gt=0, le=1)
    kv_bytes_per_token: float = Field(gt=0)
    predicted: PredictedSection
    measured: list[MeasuredSection]
    provenance: dict[str, Any]


_PLAN = TypeAdapter(PlanFile)


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Return the plan as the JSON value of its file."""
    return PlanFile(
        format="qcqa-plan",
        version=2,
        model=ModelSection(**asdict(plan.model), fingerprint=plan.fingerprint),
        method=plan.method,
        merge=plan.merge,
        refit=plan.refit,
        calibration=(CalibrationSection(**asdict(plan.calibration)) if plan.calibration else None),
        layers=[
            LayerSection(key=site_to_json(layer.key), value=site_to_json(layer.value))
            for layer in plan.layers
        ],
        kv_ratio=plan.kv_ratio,
        kv_bytes_per_token=plan.kv_bytes_per_token,
        predicted=PredictedSection(**asdict(plan.predicted)),
        measured=[MeasuredSection(**asdict(measurement)) for measurement in plan.measured],
        provenance=dict(plan.provenance),
    ).model_dump(mode="json")


def plan_text(plan: Plan) -> str:
    """Return the content of the plan's file."""
    return json.dumps(plan_to_json(plan), indent=2) + "\n"


def save_plan(plan: Plan, path: Path) -> None:
    """Write the plan's file, atomically."""
    write_text_atomically(path, plan_text(plan))


def load_plan(path: Path) -> Plan:
    """Read a plan's file.

    Raises
    ------
    PlanError
        If the file is missing, is not JSON, or does not fit the schema or its own model.
    """
    path = existing_file(path, expected=_FILE.name, refusal=PlanError)
    return plan_from_json(read_json(path, _FILE), name=str(path))


def plan_from_json(content: Any, *, name: str = "plan") -> Plan:
    """Return the plan that a file's JSON value describes.

    Raises
    ------
    PlanError
        If it does not fit the schema or its own model.
    """
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise PlanError(f"{name} is no plan", expected=f'"format": "{FORMAT}"')
    if content.get("version") not in (VERSION, _VERSION_OF_GROUPS):
        raise PlanError(
            f"{name} has version {content.get('version')!r}",
            expected=f"version {VERSION} or {_VERSION_OF_GROUPS}",
            remedy="open it with the release of QCQA Explorer that wrote it",
        )
    if content["version"] == _VERSION_OF_GROUPS:
        content = _with_choices(content)
    file = as_record(content, _PLAN, name, _FILE)
    with _FILE.understanding(name):
        plan = _plan_of(file)
    if plan.refit and plan.calibration is None:
        raise PlanError(
            f"{name} asks for a refit and names no calibration text",
            remedy="search again with --calibration FILE",
        )
    if abs(plan.kv_ratio - file.kv_ratio) > 1e-9 or (
        plan.kv_bytes_per_token != file.kv_bytes_per_token
    ):
        raise PlanError(
            f"{name} promises a KV ratio of {file.kv_ratio:g} "
            f"and {file.kv_bytes_per_token} bytes per token",
            expected=f"{plan.kv_ratio:g} and {plan.kv_bytes_per_token}, as its choices cost",
        )
    return plan


def _plan_of(file: PlanFile) -> Plan:
    """Return the plan of a file; raises a QCQAError where it does not fit its own model."""
    spec = ModelSpec(**file.model.model_dump(exclude={"fingerprint"}))
    return Plan(
        model=spec,
        fingerprint=file.model.fingerprint,
        method=file.method,
        merge=file.merge,
        refit=file.refit,
        calibration=(
            CalibrationText(**file.calibration.model_dump()) if file.calibration else None
        ),
        layers=tuple(
            LayerChoice(
                key=site_from_json(layer.key, spec), value=site_from_json(layer.value, spec)
            )
            for layer in file.layers
        ),
        predicted=Prediction(**file.predicted.model_dump()),
        measured=tuple(Measurement(**entry.model_dump()) for entry in file.measured),
        provenance=file.provenance,
    )


def plan_schema() -> dict[str, Any]:
    """Return the JSON Schema of a plan's file; ``qcqa/plan/plan.schema.json`` ships it."""
    schema = PlanFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _with_choices(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a file of version 1 as version 2 says it."""
    layers = content.get("layers")
    if isinstance(layers, list):
        layers = [
            {site: [{"kind": "groups", "groups": groups}] for site, groups in layer.items()}
            if isinstance(layer, dict)
            else layer
            for layer in layers
        ]
    return {**content, "version": VERSION, "layers": layers}


if __name__ == "__main__":
    print(json.dumps(plan_schema(), indent=2))

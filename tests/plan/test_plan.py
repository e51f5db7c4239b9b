import dataclasses
import json

import pytest

from qcqa.errors import PlanError
from qcqa.plan.file import load_plan, plan_from_json, plan_schema, plan_to_json, save_plan
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping


def test_what_a_plan_costs(plan):
    assert plan.num_stored_heads == 4 + 12 + 16
    assert plan.kv_bits == 32 * plan.model.head_bits
    assert plan.kv_ratio == 32 / 48
    # heads of 4 elements in bfloat16
    assert plan.kv_bytes_per_token == 32 * 4 * 2


def test_a_plan_must_fit_its_model(plan):
    with pytest.raises(PlanError, match="2 layers"):
        dataclasses.replace(plan, layers=plan.layers[:2])
    other = LayerGrouping.shared(Grouping.contiguous(4, 2)).choice
    with pytest.raises(PlanError, match="4 heads in layer 1"):
        dataclasses.replace(plan, layers=(plan.layers[0], other, plan.layers[2]))


def test_a_plan_knows_its_model_again(plan):
    plan.require_model(plan.model, plan.fingerprint)
    moved = dataclasses.replace(plan.model, source="elsewhere", dtype="float32")
    plan.require_model(moved, plan.fingerprint)
    with pytest.raises(PlanError, match="fingerprint"):
        plan.require_model(plan.model, "f" * 16)
    with pytest.raises(PlanError, match="num_kv_heads 8"):
        plan.require_model(dataclasses.replace(plan.model, num_kv_heads=4), plan.fingerprint)
    for other in ({"hidden_size": 64}, {"has_kv_bias": not plan.model.has_kv_bias}):
        with pytest.raises(PlanError, match=next(iter(other))):
            plan.require_model(dataclasses.replace(plan.model, **other), plan.fingerprint)


def test_a_plan_comes_back_from_its_file(plan, tmp_path):
    path = tmp_path / "plan.json"
    save_plan(plan, path)
    assert load_plan(path) == plan
    assert plan_from_json(plan_to_json(plan)) == plan


def _broken(plan, change):
    content = plan_to_json(plan)
    change(content)
    return content


def _groups(*groups):
    return [{"kind": "groups", "groups": list(groups)}]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.update(format="other"), "no plan"),
        (lambda c: c.update(version=3), "version 3"),
        (lambda c: c.update(surprise=1), "surprise"),
        (lambda c: c.update(merge="median"), "merge"),
        (lambda c: c["layers"].pop(), "2 layers"),
        (lambda c: c["layers"][0].update(key=_groups([0, 1])), "in no group"),
        (lambda c: c["layers"][0].update(key=_groups([0, 0, 1, 2, 3, 4, 5, 6, 7])), "two groups"),
        (lambda c: c["layers"][0].update(key=_groups(["a"])), "damaged parameters"),
        (lambda c: c["layers"][0].update(key=[[0, 1]]), "layers"),
        (lambda c: c.update(kv_ratio=0.5), "KV ratio of 0.5"),
        (lambda c: c["predicted"].update(wse=-1), "predicted.wse"),
        (lambda c: c["model"].update(num_layers=0), "num_layers"),
        (lambda c: c["model"].update(num_query_heads=9), "9 query heads"),
        (lambda c: c.update(refit=True), "asks for a refit and names no calibration text"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_line(plan, change, says):
    with pytest.raises(PlanError, match=says) as refusal:
        plan_from_json(_broken(plan, change))
    assert "\n" not in str(refusal.value)


def test_files_that_are_no_json_are_refused(tmp_path):
    path = tmp_path / "plan.json"
    with pytest.raises(PlanError, match="cannot be read"):
        load_plan(path)
    path.write_text("{")
    with pytest.raises(PlanError, match="is damaged: it is no JSON"):
        load_plan(path)
    path.write_text("[]")
    with pytest.raises(PlanError, match="no plan"):
        load_plan(path)
    path.write_text('{"a":' * 1000)
    with pytest.raises(PlanError, match="nested too deep"):
        load_plan(path)
    with pytest.raises(PlanError, match="file name too long"):
        load_plan(tmp_path / ("x" * 300))


@pytest.mark.parametrize(
    ("origin", "says"),
    [('"\\ud800"', "half a character"), ("[" * 300 + "]" * 300, "too deep"), ("1e999", "finite")],
)
def test_what_could_not_be_written_again_is_not_read(plan, tmp_path, origin, says):
    path = tmp_path / "plan.json"
    content = plan_to_json(plan) | {"provenance": {"origin": "here"}}
    path.write_text(json.dumps(content).replace('"here"', origin))
    with pytest.raises(PlanError, match=says):
        load_plan(path)


def test_the_schema_describes_what_is_written(plan):
    schema = plan_schema()
    written = plan_to_json(plan)
    assert set(written) == set(schema["properties"])
    assert set(schema["required"]) <= set(written)

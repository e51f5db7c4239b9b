"""Plans of version 1, which knew groups of heads alone, open as they were."""

import json
from pathlib import Path

import pytest

from qcqa.errors import PlanError
from qcqa.plan.file import load_plan, plan_from_json, plan_to_json
from qcqa.plan.plan import Plan

#: What the release that wrote it called the plan's digest.
DIGEST = "c0e0a19d80479e422a658b91"
FILE = Path(__file__).parent / "version_1.json"


def test_a_file_of_version_1_is_the_same_plan(plan: Plan) -> None:
    opened = load_plan(FILE)
    assert opened == plan
    assert opened.digest == plan.digest == DIGEST
    # Heads that are all alone are no choice.
    assert opened.layers[1].value == ()
    assert opened.layers[2].sites == ((), ())


def test_it_is_written_again_as_version_2(plan: Plan) -> None:
    written = plan_to_json(load_plan(FILE))
    assert written["version"] == 2
    assert written["layers"][1] == {
        "key": [{"kind": "groups", "groups": [[0, 3], [1, 2], [4], [5, 6, 7]]}],
        "value": [],
    }
    assert plan_from_json(written) == plan


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ({"key": [[0, 1]], "value": [[0, 1]]}, "in no group"),
        ({"key": 3, "value": []}, "layers|damaged"),
        (7, "layers"),
        ({"key": [[0]]}, "layers.0.value"),
        ({"key": [{"kind": "bits"}], "value": []}, "damaged"),
    ],
)
def test_a_damaged_file_of_version_1_is_refused_in_one_line(layer: object, said: str) -> None:
    content = json.loads(FILE.read_text())
    content["layers"][0] = layer
    with pytest.raises(PlanError, match=said) as refusal:
        plan_from_json(content)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("layers", [None, 3, {"a": 1}, "no"])
def test_layers_that_are_no_list_are_refused(layers: object) -> None:
    for version in (1, 2):
        content = {**json.loads(FILE.read_text()), "version": version, "layers": layers}
        with pytest.raises(PlanError, match="layers"):
            plan_from_json(content)

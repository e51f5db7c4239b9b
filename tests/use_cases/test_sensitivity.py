"""One layer alone reduced: against dense models with one layer's weights replaced by hand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import qcqa
from qcqa.errors import CheckpointError, EvaluationError, QCQAError
from qcqa.evaluate import demo_documents, text_windows
from qcqa.evaluate.statistics import clustered_mean
from qcqa.grouping import Grouping, LayerGrouping
from qcqa.packaged import demo_model_folder
from qcqa.plan import GroupingPlan
from qcqa.progress import JobProgress
from qcqa.runs.run import Run, open_run
from qcqa.sensitivity import LayerSensitivity, SensitivitySettings
from qcqa.use_cases.plan import plan_of_result
from qcqa.use_cases.sensitivity import require_sensitivity

FEW = SensitivitySettings("demo", num_windows=12, window_tokens=48)


@pytest.fixture
def search(searched_demo: Path) -> Run:
    return open_run(searched_demo)


@pytest.fixture
def plan(search: Run) -> GroupingPlan:
    """Return a plan that leaves one layer alone."""
    plan = plan_of_result(search.result(), 48, method="gqa")
    layers = list(plan.layers)
    layers[2] = LayerGrouping.shared(Grouping.singletons(plan.model.num_kv_heads))
    return replace(plan, layers=tuple(layers))


def measured(
    plan: GroupingPlan, settings: SensitivitySettings = FEW, **more: object
) -> LayerSensitivity:
    return qcqa.layer_sensitivity("demo", plan, settings, dtype="float32", **more)


def by_hand(layer: int, plan: GroupingPlan) -> torch.nn.Module:
    """Return the dense demo model in which the heads of one layer's groups are their means."""
    model = AutoModelForCausalLM.from_pretrained(demo_model_folder(), dtype=torch.float32)
    attention = model.model.layers[layer].self_attn
    num_heads = plan.model.num_kv_heads
    for projection, grouping in (
        (attention.k_proj, plan.layers[layer].key),
        (attention.v_proj, plan.layers[layer].value),
    ):
        heads = projection.weight.data.view(num_heads, -1, projection.weight.shape[1])
        for group in grouping.groups:
            heads[list(group)] = heads[list(group)].mean(dim=0)
    return model.eval()


@torch.no_grad()
def test_figures_are_those_of_dense_models_with_one_layer_replaced(plan: GroupingPlan) -> None:
    found = measured(plan)

    tokenizer = AutoTokenizer.from_pretrained(demo_model_folder())
    source = AutoModelForCausalLM.from_pretrained(demo_model_folder(), dtype=torch.float32).eval()
    windows = text_windows(source, tokenizer, demo_documents(), data="text", window_tokens=48)
    windows = [windows[place * len(windows) // 12] for place in range(12)]
    document = np.repeat(
        [one.document for one in windows], [len(one.query.targets) for one in windows]
    )
    assert found.num_tokens == len(document)
    for layer, effect in enumerate(found.layers):
        replaced = by_hand(layer, plan)
        kl, same = [], []
        for window in windows:
            ids, count = torch.tensor([window.query.token_ids]), len(window.query.targets)
            p, q = (
                model(ids).logits[0, -count:].double().softmax(-1) for model in (source, replaced)
            )
            kl += (p * (p / q).log()).sum(-1).tolist()
            same += (p.argmax(-1) == q.argmax(-1)).tolist()
        expected, share = (clustered_mean(np.array(one), document) for one in (kl, same))
        assert effect.kl == pytest.approx(expected.value, rel=1e-3, abs=1e-6)
        assert effect.same_top == pytest.approx(share.value, abs=2e-3)
        if layer != 2:
            assert effect.kl_error == pytest.approx(expected.standard_error, rel=1e-3)
    assert found.layers[2].kl == 0
    assert found.layers[2].kl_error is None
    assert found.most == int(np.argmax([one.kl for one in found.layers]))

"""One layer alone reduced: against dense models with one layer's weights replaced by hand."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

import qcqa
from qcqa.conversion.live import converted_copy
from qcqa.errors import EvaluationError
from qcqa.jobs.run import open_run
from qcqa.measure.measure_layers import require_sensitivity
from qcqa.measure.sensitivity import LayerSensitivity, SensitivitySettings
from qcqa.measure.statistics import clustered_mean
from qcqa.measure.text import text_windows
from qcqa.packaged import demo_model_folder, demo_run_folder
from qcqa.pick.plan import plan_of_result
from qcqa.plan.plan import Plan
from qcqa.progress import Progress
from qcqa.reduce.choice import LayerChoice
from qcqa.text.documents import demo_documents
from qcqa.text.merged import attention_tensors, set_attention
from qcqa.text.windows import Window

#: Bits per token of one head of the demo model: 32 elements of 16 bits.
HEAD = 512

FEW = SensitivitySettings("demo", num_windows=12, window_tokens=48)


@pytest.fixture
def plan(searched_demo: Path) -> Plan:
    """Return a plan that leaves one layer alone."""
    plan = plan_of_result(open_run(searched_demo).result(), 48 * HEAD, method="gqa")
    return alone(plan, [layer for layer in range(len(plan.layers)) if layer != 2])


def alone(plan: Plan, kept: list[int]) -> Plan:
    """Return a plan that reduces only some of its layers."""
    layers = (one if layer in kept else LayerChoice() for layer, one in enumerate(plan.layers))
    return replace(plan, layers=tuple(layers))


def measured(plan: Plan, settings: SensitivitySettings = FEW, **more: object) -> LayerSensitivity:
    return qcqa.layer_sensitivity("demo", plan, settings, dtype="float32", **more)  # type: ignore[arg-type]


def figures(found: LayerSensitivity) -> dict[str, object]:
    """Return what must be the same whenever the same is measured."""
    return {name: one for name, one in asdict(found).items() if name not in ("seconds", "finished")}


def dense() -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(demo_model_folder(), dtype=torch.float32).eval()


def by_hand(layer: int, plan: Plan) -> PreTrainedModel:
    """Return the dense demo model in which the heads of one layer's groups are their means."""
    model = dense()
    attention = model.model.layers[layer].self_attn
    for projection, picture in (
        (attention.k_proj, plan.pictures[layer].key),
        (attention.v_proj, plan.pictures[layer].value),
    ):
        weight = projection.weight.data
        heads = weight.view(plan.model.num_kv_heads, -1, weight.shape[1])
        for group in picture.readers:
            heads[list(group)] = heads[list(group)].mean(dim=0)
    return model


def some_windows() -> list[Window]:
    """Return the windows that are measured, found without the code that measures."""
    tokenizer = AutoTokenizer.from_pretrained(demo_model_folder())
    windows = text_windows(dense(), tokenizer, demo_documents(), data="text", window_tokens=48)
    return [windows[place * len(windows) // 12] for place in range(12)]


def compared(model: PreTrainedModel, windows: list[Window]) -> tuple[np.ndarray, np.ndarray]:
    """Return divergence and agreement of every token, window by window, in double precision."""
    source, kl, same = dense(), [], []
    for window in windows:
        ids, count = torch.tensor([window.query.token_ids]), len(window.query.targets)
        p, q = (one(ids).logits[0, -count:].double().softmax(-1) for one in (source, model))
        kl += (p * (p / q).log()).sum(-1).tolist()
        same += (p.argmax(-1) == q.argmax(-1)).tolist()
    return np.array(kl), np.array(same)


@torch.no_grad()
def test_figures_are_those_of_dense_models_with_one_layer_replaced(plan: Plan) -> None:
    found = measured(plan)

    windows = some_windows()
    document = np.repeat(
        [one.document for one in windows], [len(one.query.targets) for one in windows]
    )
    assert (found.num_tokens, found.num_windows) == (len(document), 12)
    token_kl = {}
    for layer, effect in enumerate(found.layers):
        if layer == 2:
            continue
        token_kl[layer], same = compared(by_hand(layer, plan), windows)
        expected, share = (clustered_mean(one, document) for one in (token_kl[layer], same))
        assert effect.kl == pytest.approx(expected.value, rel=1e-3)
        assert effect.kl_error == pytest.approx(expected.standard_error, rel=1e-3)
        assert effect.same_top == pytest.approx(share.value, abs=2e-3)
    most = max(token_kl, key=lambda layer: token_kl[layer].mean())
    assert found.most == most
    for layer, kl in token_kl.items():
        paired = clustered_mean(token_kl[most] - kl, document)
        assert found.layers[layer].behind_error == pytest.approx(
            paired.standard_error, rel=1e-3, abs=1e-9
        )


def test_a_layer_that_is_left_alone_is_nought_and_not_run(plan: Plan) -> None:
    told: list[Progress] = []
    found = measured(plan, on_progress=told.append)
    left = found.layers[2]
    assert (left.is_measured, left.kl, left.same_top, left.kl_error) == (False, 0, 1, None)
    passes = [one.stage for one in told if one.total == 12]
    assert set(passes) == {"source", *(f"layer {n} alone" for n in (0, 1, 3, 4, 5))}
    fractions = [one.fraction for one in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] < 1


@torch.no_grad()
def test_attention_that_was_fitted_is_measured_as_it_is_kept() -> None:
    folder = demo_run_folder()
    assert folder is not None
    run = open_run(folder, bundled=True)
    best = plan_of_result(run.result(), 48 * HEAD, method="best")
    kept = run.fitted_folder.load(best)
    assert kept is not None

    found = measured(best, fitted=run.fitted_folder)

    windows = some_windows()
    for layer in (0, 4):
        of_layer = replace(alone(best, [layer]), merge="mean", refit=False, calibration=None)
        model = converted_copy(dense(), of_layer)
        tensors = attention_tensors(model)
        tensors[layer] = {name: torch.from_numpy(one) for name, one in kept[layer].items()}
        set_attention(model, tensors)
        kl, _ = compared(model, windows)
        assert found.layers[layer].kl == pytest.approx(kl.mean(), rel=1e-3)


def test_batches_change_nothing(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    together = measured(plan)
    monkeypatch.setattr("qcqa.measure.measure_layers._BATCH_TOKENS", 1)
    apart = measured(plan)
    for one, other in zip(together.layers, apart.layers, strict=True):
        assert one.kl == pytest.approx(other.kl, rel=1e-4)


@pytest.fixture
def stopped(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """Return what stops a measurement after five of its twelve windows, and what it has kept."""
    monkeypatch.setattr("qcqa.measure.measure_layers._BATCH_TOKENS", 1)

    def stop() -> Path:
        def on_progress(progress: Progress) -> None:
            if progress.stage == "layer 3 alone" and progress.step == 6:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            measured(plan, kept=tmp_path / "scores", on_progress=on_progress)
        return tmp_path / "scores"

    return stop


def test_a_measurement_that_stopped_goes_on_and_finds_the_same(
    plan: Plan, stopped: Callable[[], Path]
) -> None:
    kept = stopped()
    told: list[Progress] = []
    found = measured(plan, kept=kept, on_progress=told.append)
    assert [one.step for one in told if one.stage == "source"] == list(range(6, 13))
    assert figures(found) == figures(measured(plan))


@pytest.mark.parametrize("damage", ["cut", "text", "gone"])
def test_what_is_damaged_is_measured_again(
    plan: Plan, stopped: Callable[[], Path], damage: str
) -> None:
    kept = stopped()
    if damage == "gone":
        kept.unlink()
    else:
        kept.write_bytes({"cut": kept.read_bytes()[:99], "text": b"text"}[damage])
    assert figures(measured(plan, kept=kept)) == figures(measured(plan))


def test_what_is_kept_of_another_plan_or_text_is_of_no_use(
    plan: Plan, stopped: Callable[[], Path], tmp_path: Path
) -> None:
    kept = stopped()
    other = alone(plan, [0, 1, 3, 4])
    assert figures(measured(other, kept=kept)) == figures(measured(other))
    (tmp_path / "own.txt").write_text("\n\n".join(demo_documents()[:9]))
    kept = stopped()
    own = replace(FEW, text=str(tmp_path / "own.txt"))
    assert figures(measured(plan, own, kept=kept)) == figures(measured(plan, own))


def test_few_windows_have_no_standard_error(plan: Plan) -> None:
    found = measured(plan, replace(FEW, num_windows=9))
    assert found.num_windows == 9
    assert {layer.kl_error for layer in found.layers} == {None}
    assert {layer.behind_error for layer in found.layers} == {None}
    assert found.not_told_apart == ()


def test_one_long_document_is_clustered_by_window(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text(" ".join(demo_documents()))
    found = measured(plan, replace(FEW, text=str(tmp_path / "own.txt")))
    assert found.num_windows == 12
    assert found.layers[0].kl_error


def test_windows_are_no_longer_than_the_context(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text(" ".join(demo_documents()))
    settings = SensitivitySettings(str(tmp_path / "own.txt"), num_windows=2, window_tokens=100_000)
    amount = require_sensitivity("demo", plan, settings)
    assert amount.num_windows == 2
    assert 256 < amount.num_tokens < 2 * 4096


def test_what_cannot_be_measured_is_refused_before_any_weights(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object, **__: object) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr("qcqa.measure.plan_models.load_model", load)
    folder = demo_run_folder()
    assert folder is not None
    best = plan_of_result(open_run(folder, bundled=True).result(), 48 * HEAD, method="best")
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "short.txt").write_text("Marco likes eggs.")
    for one, settings, message in (
        (alone(plan, []), FEW, "a plan in which no heads share"),
        (plan, replace(FEW, text=str(tmp_path / "none.txt")), "there is no file"),
        (plan, replace(FEW, text=str(tmp_path / "empty.txt")), "is empty"),
        (plan, replace(FEW, text=str(tmp_path / "short.txt")), "expected at least 100"),
        (
            best,
            replace(FEW, text=str(demo_model_folder() / "calibration.txt")),
            "is the calibration text of a plan",
        ),
    ):
        for ask in (measured, lambda *a: require_sensitivity("demo", *a)):
            with pytest.raises(EvaluationError, match=message):
                ask(one, settings)


@pytest.mark.parametrize("changes", [{"num_windows": 0}, {"window_tokens": 3}])
def test_numbers_that_are_too_small_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(EvaluationError, match="expected at least"):
        replace(FEW, **changes)

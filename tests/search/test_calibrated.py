"""From a calibration text to a checkpoint: all that rests on it on the way."""

import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from qcqa.conversion.loading import load
from qcqa.errors import CalibrationError, ConversionError, EvaluationError
from qcqa.export import convert as convert_file
from qcqa.export.convert import convert_by_plan
from qcqa.measure import plan_models
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.evaluate import evaluate_plans
from qcqa.measure.generate_by_plans import generate_side_by_side
from qcqa.measure.generated import GenerationSettings
from qcqa.packaged import demo_model_folder
from qcqa.pick.plan import plan_of_result
from qcqa.reduce.groups.subspace.grams import are_grams_of
from qcqa.search import calibrated_model as problem_file
from qcqa.search.calibrated_model import CalibratedModel
from qcqa.search.search import search_model
from qcqa.search.strategy.config import SearchSettings
from qcqa.search.strategy.options import ExactOptions, TwoStageOptions
from qcqa.text.calibrate import calibrate_model, calibration_of_plan
from qcqa.text.calibration_folder import CalibrationFolder
from qcqa.text.documents import demo_documents
from qcqa.text.fitted import FittedFolder
from qcqa.text.merged import merged_model
from qcqa.text.refit import RefitSettings
from qcqa.text.running import cache_of

SETTINGS = SearchSettings(
    two_stage=TwoStageOptions(population_size=16, generations=5, stage2_generations=10),
    exact=ExactOptions(restarts=1),
    workers=1,
)


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """A tiny model that reads the demo's language."""
    folder = tmp_path_factory.mktemp("model")
    config = LlamaConfig(
        vocab_size=2240,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    model.to(torch.bfloat16).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(demo_model_folder() / name, folder)
    return folder


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "calibration.txt"
    path.write_text("\n".join(demo_documents()[:14]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def searched(model_folder, text, tmp_path_factory):
    """The best method's front of the tiny model, with its calibration."""
    folder = tmp_path_factory.mktemp("calibration")
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(problem_file, "_SHORT_REFIT", RefitSettings(steps=4))
    calibrated = CalibratedModel(str(model_folder), str(text), folder)
    result = search_model(
        str(model_folder), methods=("best",), settings=SETTINGS, calibrated=calibrated
    )
    monkeypatch.undo()
    return result, folder


def _half(result):
    """Return the best plan within half of the source's cache."""
    return plan_of_result(result, result.spec.kv_bits // 2)


def test_the_best_plan_rests_on_the_text(searched, text):
    result, folder = searched
    plan = _half(result)
    assert (plan.method, plan.merge, plan.refit) == ("best", "svd", True)
    assert plan.calibration is not None
    assert plan.calibration.text == str(text)
    assert plan.kv_bits <= plan.model.kv_bits // 2
    errors = result.front("best").error
    assert errors[-1] == 0
    assert (np.diff(errors) < 0).all()
    assert len(list(folder.glob("rises-*.jsonl"))) == 1


def test_a_search_that_starts_again_measures_nothing_twice(
    searched, model_folder, text, monkeypatch
):
    result, folder = searched
    monkeypatch.setattr(
        problem_file,
        "copy_with_one_layer",
        lambda *_, **__: pytest.fail("this was measured before"),
    )
    calibrated = CalibratedModel(str(model_folder), str(text), folder)
    again = search_model(
        str(model_folder), methods=("best",), settings=SETTINGS, calibrated=calibrated
    )
    np.testing.assert_array_equal(again.front("best").error, result.front("best").error)
    np.testing.assert_array_equal(again.front("best").choices, result.front("best").choices)


@pytest.mark.parametrize("fraction", [0.5, 0.9])
def test_a_search_that_was_ended_goes_on_to_the_same_front(
    searched, model_folder, text, tmp_path, monkeypatch, fraction
):
    monkeypatch.setattr(problem_file, "_SHORT_REFIT", RefitSettings(steps=4))

    def stop(progress):
        if progress.stage.endswith("measuring the loss") and progress.fraction > fraction:
            raise KeyboardInterrupt

    def search(on_progress=None):
        return search_model(
            str(model_folder),
            methods=("best",),
            settings=SETTINGS,
            on_progress=on_progress,
            calibrated=CalibratedModel(str(model_folder), str(text), tmp_path),
        )

    with pytest.raises(KeyboardInterrupt):
        search(stop)
    front, wanted = search().front("best"), searched[0].front("best")
    np.testing.assert_array_equal(front.error, wanted.error)
    np.testing.assert_array_equal(front.choices, wanted.choices)


def test_rises_of_a_front_are_measured_where_its_plans_go(searched):
    _, folder = searched
    measured, foretold = (
        next(folder.glob(f"{name}-svd-refit-apart-*.jsonl")).read_text().splitlines()
        for name in ("rises", "foretold")
    )
    assert 0 < len(measured) < len(foretold)


def test_a_search_by_output_error_reads_what_the_calibration_kept(
    searched, model_folder, text, monkeypatch
):
    _, folder = searched
    calibrated = CalibratedModel(str(model_folder), str(text), folder)
    settings = SETTINGS.model_copy(update={"fitness": "output-error"})
    monkeypatch.setattr(problem_file, "save_grams", lambda *_: pytest.fail("Grams were kept"))
    monkeypatch.setattr(problem_file, "load_float32", lambda *_: pytest.fail("no need of weights"))
    result = search_model(
        str(model_folder), methods=("optimal",), settings=settings, calibrated=calibrated
    )
    assert result.front("optimal").fitness == "output-error"
    np.testing.assert_allclose(result.error_bound.error, result.front("optimal").error, rtol=1e-9)


@pytest.mark.parametrize(
    ("methods", "fitness", "tables"),
    [
        (("best",), "wse", "Best heads: tables for stage 1"),
        (("optimal", "qcqa-ac"), "output-error", "lower bound"),
        (("optimal", "qcqa-ac"), "loss", "Optimal: tables for stage 1"),
    ],
)
def test_progress_never_goes_back_and_moves_while_tables_are_made(
    model_folder, text, tmp_path, monkeypatch, methods, fitness, tables
):
    monkeypatch.setattr(problem_file, "_SHORT_REFIT", RefitSettings(steps=1))
    seen = []
    settings = SETTINGS.model_copy(update={"fitness": fitness, "merge": "svd"})
    search_model(
        str(model_folder),
        methods=methods,
        settings=settings,
        on_progress=seen.append,
        calibrated=CalibratedModel(str(model_folder), str(text), tmp_path),
    )
    fractions = [one.fraction for one in seen]
    assert all(earlier <= later for earlier, later in pairwise(fractions))
    assert fractions[-1] == pytest.approx(1)
    for stage in ("reading the calibration text", tables):
        of_stage = [one for one in seen if one.stage == stage]
        assert len(of_stage) >= 2
        assert of_stage[-1].step == of_stage[-1].total
        assert of_stage[-1].fraction > of_stage[0].fraction


def test_a_generation_tells_that_it_reads_the_calibration(searched, model_folder, tmp_path):
    plan = _half(searched[0])
    seen = []
    generate_side_by_side(
        str(model_folder),
        [plan],
        GenerationSettings("Marco likes eggs.", 2),
        calibrations=tmp_path,
        on_progress=seen.append,
    )
    fractions = [one.fraction for one in seen]
    assert all(earlier <= later for earlier, later in pairwise(fractions))
    told = [one.stage.rpartition(": ")[2] for one in seen]
    assert list(dict.fromkeys(told)) == [
        "loading",
        "generating",
        "converting",
        "reading the calibration text",
    ]
    reading = [one for one in seen if one.stage.endswith("reading the calibration text")]
    assert [(one.step, one.total) for one in reading] == [(1, 2), (2, 2)]
    assert 0.5 < reading[0].fraction < reading[1].fraction


def test_grams_that_are_missing_or_of_another_text_are_made(searched, model_folder, text, tmp_path):
    _, folder = searched
    again = tmp_path / "calibration"
    shutil.copytree(folder, again)
    kept = CalibrationFolder(again)
    kept.grams(0).unlink()
    wanted = kept.grams(1).read_bytes()
    kept.grams(1).write_bytes(wanted.replace(kept.mark().encode(), b"x" * len(kept.mark())))
    assert kept.grams(1).read_bytes() != wanted
    calibrated = CalibratedModel(str(model_folder), str(text), again)
    settings = SETTINGS.model_copy(update={"fitness": "output-error"})
    search_model(str(model_folder), methods=("optimal",), settings=settings, calibrated=calibrated)
    for layer in range(2):
        assert are_grams_of(kept.grams(layer), kept.mark())


def test_the_converted_folder_is_the_refitted_model(searched, model_folder, tmp_path):
    result, folder = searched
    plan, out = _half(result), tmp_path / "out"
    stages = []
    convert_by_plan(
        str(model_folder), plan, out, on_progress=lambda progress: stages.append(progress.fraction)
    )
    assert stages == sorted(stages)
    assert stages[-1] == 1.0
    source = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    wanted = merged_model(source, plan, CalibrationFolder(folder))
    opened = load(out)
    assert opened.dtype == torch.bfloat16
    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        cache = cache_of(opened(ids, use_cache=True))
        ours, theirs = opened.float()(ids).logits, wanted(ids).logits
    # what differs is the rounding of the weights to bfloat16
    assert (ours - theirs).abs().max() < 0.05 * theirs.abs().max()
    assert (
        "on 2,219 tokens of calibration text, and refitted on it" in (out / "README.md").read_text()
    )
    stored = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert stored == ids.numel() * plan.kv_bytes_per_token


def test_structures_and_bits_from_the_search_to_the_folder(
    model_folder, text, tmp_path, monkeypatch
):
    monkeypatch.setattr(problem_file, "_SHORT_REFIT", RefitSettings(steps=2))
    calibrated = CalibratedModel(str(model_folder), str(text), tmp_path / "calibration")
    result = search_model(
        str(model_folder),
        methods=("head-dims", "everything"),
        settings=SETTINGS,
        calibrated=calibrated,
    )
    for method, reductions in (("head-dims", {"head-dim"}), ("everything", {"latent", "bits"})):
        plan = plan_of_result(result, int(0.4 * result.spec.kv_bits), method=method)
        assert reductions <= {*plan.reductions}
        assert plan.calibration is not None
        heldout = tmp_path / "other.txt"
        heldout.write_text("\n".join(demo_documents()[14:18]), encoding="utf-8")
        # The bytes of its live cache are compared with those that it promises.
        _, row = evaluate_plans(
            str(model_folder), [plan], Benchmark(text=str(heldout), window_tokens=64)
        )
        assert row.reductions == plan.reductions
        out = tmp_path / method
        convert_by_plan(str(model_folder), plan, out)
        ids = torch.arange(3, 40)[None]
        assert torch.isfinite(load(out)(ids).logits).all()


def test_a_refitted_plan_is_evaluated_in_the_type_that_was_asked(searched, model_folder, tmp_path):
    result, _ = searched
    plan = _half(result)
    heldout = tmp_path / "other.txt"
    heldout.write_text("\n".join(demo_documents()[14:18]), encoding="utf-8")
    rows = {
        dtype: evaluate_plans(str(model_folder), [plan], Benchmark(text=str(heldout)), dtype=dtype)[
            1
        ]
        for dtype in ("bfloat16", "float32")
    }
    assert [row.plan_digest for row in rows.values()] == [plan.digest] * 2
    nll = [row.figure("other/nll").value for row in rows.values()]
    assert nll[0] == pytest.approx(nll[1], rel=0.02)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_plan_is_refitted_once_and_then_taken_as_it_was_kept(
    searched, model_folder, tmp_path, monkeypatch, dtype
):
    result, folder = searched
    plan, settings = _half(result), GenerationSettings("Marco likes eggs.", 6)
    kept = FittedFolder(tmp_path / "fitted")
    where = {"calibrations": folder, "fitted": kept, "dtype": dtype}
    stages = []
    first = generate_side_by_side(
        str(model_folder),
        [plan],
        settings,
        **where,
        on_progress=lambda progress: stages.append((progress.stage, progress.step, progress.total)),
    )
    assert ("Best heads at 50 %, 2 of 2: converting", 2, 2) in stages
    assert kept.holds(plan)
    monkeypatch.setattr(
        plan_models, "merged_model", lambda *_, **__: pytest.fail("this was fitted before")
    )
    again = generate_side_by_side(str(model_folder), [plan], settings, **where)
    assert [text.token_ids for text in again] == [text.token_ids for text in first]
    heldout = tmp_path / "other.txt"
    heldout.write_text("\n".join(demo_documents()[14:16]), encoding="utf-8")
    evaluate_plans(str(model_folder), [plan], Benchmark(text=str(heldout)), **where)


def test_a_conversion_takes_what_was_refitted_before(searched, model_folder, tmp_path, monkeypatch):
    result, folder = searched
    plan, kept = _half(result), FittedFolder(tmp_path / "fitted")
    stages = []
    for place in ("first", "again"):
        convert_by_plan(
            str(model_folder),
            plan,
            tmp_path / place,
            calibrations=folder,
            fitted=kept,
            on_progress=lambda progress: stages.append(progress.fraction),
        )
        assert stages[-1] == 1.0
        monkeypatch.setattr(
            convert_file, "calibration_of_plan", lambda *_, **__: pytest.fail("read before")
        )
    first, again = ((tmp_path / place / "model.safetensors") for place in ("first", "again"))
    assert first.read_bytes() == again.read_bytes()


def test_a_text_that_has_changed_or_gone_is_refused(searched, model_folder, text, tmp_path):
    result, _ = searched
    plan = _half(result)
    other = tmp_path / "other.txt"
    other.write_text(text.read_text(encoding="utf-8")[:-500], encoding="utf-8")
    for place, says in ((str(other), "other tokens"), (str(tmp_path / "no.txt"), "no calibration")):
        with pytest.raises(CalibrationError, match=says) as refusal:
            calibration_of_plan(plan, str(model_folder), tmp_path / "kept", text=place)
        assert "--calibration" in refusal.value.one_line()
    with pytest.raises(CalibrationError, match="rests on calibration text"):
        merged_model(AutoModelForCausalLM.from_pretrained(model_folder), plan)


def test_what_cannot_be_written_is_refused_before_anything_is_computed(
    searched, model_folder, tmp_path
):
    result, _ = searched
    (tmp_path / "something").touch()
    with pytest.raises(ConversionError, match="is not empty"):
        convert_by_plan(
            str(model_folder),
            _half(result),
            tmp_path,
            on_progress=lambda _: pytest.fail("work began"),
        )


def test_a_kept_calibration_serves_in_place_of_its_text(searched, model_folder, tmp_path):
    result, folder = searched
    again = calibrate_model(str(model_folder), str(folder), tmp_path / "copy")
    wanted = _half(result).calibration
    assert again.digest == wanted.digest
    copy = CalibrationFolder(tmp_path / "copy")
    torch.testing.assert_close(copy.moment(1), CalibrationFolder(folder).moment(1))
    with pytest.raises(CalibrationError, match="no whole calibration"):
        calibrate_model("demo", str(folder), tmp_path / "another")


def test_a_model_without_its_tokenizer_is_refused(model_folder, text, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(model_folder, bare, ignore=shutil.ignore_patterns("tokenizer*"))
    with pytest.raises(EvaluationError, match="no tokenizer that can be used"):
        calibrate_model(str(bare), str(text), tmp_path / "kept")


def test_the_text_of_the_evaluation_is_no_calibration_text(model_folder, tmp_path):
    with pytest.raises(CalibrationError, match="on which plans of the demo model are evaluated"):
        calibrate_model(
            str(model_folder), str(demo_model_folder() / "heldout.txt"), tmp_path / "kept"
        )


@torch.no_grad()
def test_a_plan_by_svd_without_a_text_looks_at_the_weights(searched, model_folder, tmp_path):
    result, _ = searched
    plan = replace(_half(result), refit=False, calibration=None)
    convert_by_plan(str(model_folder), plan, tmp_path / "out")
    source = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.bfloat16)
    ids = torch.arange(3, 40)[None]
    wanted = merged_model(source, plan)(ids).logits
    torch.testing.assert_close(load(tmp_path / "out")(ids).logits, wanted)

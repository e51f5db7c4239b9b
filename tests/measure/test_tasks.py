"""Tasks through lm-evaluation-harness: the same answers as by hand, no network, clear refusals."""

import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from qcqa.demo.model import DemoShape, build_model
from qcqa.demo.pooled import mean_pooled
from qcqa.demo.score import answer_questions, read_jsonl, score_pairs
from qcqa.errors import EvaluationError
from qcqa.measure.benchmark import Benchmark
from qcqa.measure.harness import harness_module
from qcqa.measure.harness_model import HarnessModel
from qcqa.measure.parts import parts_of
from qcqa.measure.task_code import code_of_task
from qcqa.measure.task_files import demo_task_files, task_content
from qcqa.measure.task_scores import Stratum, TaskScores, load_task_scores, save_task_scores
from qcqa.measure.tasks import _group_scores, evaluate_tasks
from qcqa.packaged import demo_model_folder
from qcqa.plan.plan import Measurement
from qcqa.progress import Progress

Tokenizer = PreTrainedTokenizerBase
SHAPE = DemoShape(hidden_size=32, num_layers=2, num_heads=4, intermediate_size=32)


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip where the harness is not installed; refuse every connection where it is."""
    pytest.importorskip("lm_eval", reason="lm_eval is not installed (extra 'eval')")

    def refuse(*_args: Any) -> NoReturn:
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    # Read from the environment when they are imported, which may have been before this test.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def demo() -> tuple[PreTrainedModel, Tokenizer]:
    """Return an untrained model that reads the demo's words."""
    model = build_model(SHAPE, seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model, AutoTokenizer.from_pretrained(demo_model_folder())


def evenly(name: str, count: int) -> list[dict[str, Any]]:
    rows = read_jsonl(demo_model_folder() / name)
    return [rows[number * len(rows) // count] for number in range(count)]


def accuracy(scores: dict[str, TaskScores], task: str) -> float:
    figures = {one.metric: one.value for one in scores[task].measurements()}
    return figures[f"{task}/acc"]


@pytest.mark.usefixtures("harness")
def test_the_demos_tasks_give_the_accuracies_that_are_computed_by_hand(
    demo: tuple[PreTrainedModel, Tokenizer],
) -> None:
    model, tokenizer = demo
    seen: list[Progress] = []
    scores = evaluate_tasks(
        model, tokenizer, list(demo_task_files()), max_samples=60, on_progress=seen.append
    )
    assert list(scores) == ["demo_minimal_pairs", "demo_recall", "demo_recall_open"]
    pairs = evenly("minimal_pairs.jsonl", 60)
    right = [score_pairs(model, tokenizer, [pair])[pair["paradigm"]] for pair in pairs]
    assert accuracy(scores, "demo_minimal_pairs") == pytest.approx(np.mean(right))
    hits = answer_questions(model, tokenizer, evenly("recall.jsonl", 60))
    expected = np.mean([hit.among_choices for hit in hits])
    assert accuracy(scores, "demo_recall") == pytest.approx(expected)
    expected = np.mean([hit.exact for hit in hits])
    assert accuracy(scores, "demo_recall_open") == pytest.approx(expected)
    assert seen[-1].fraction == 1


@pytest.mark.usefixtures("harness")
def test_models_are_compared_question_by_question(demo: tuple[PreTrainedModel, Tokenizer]) -> None:
    model, tokenizer = demo
    task = "demo_minimal_pairs"
    source = evaluate_tasks(model, tokenizer, [task], max_samples=80)[task]
    other_model = mean_pooled(model, 2)
    other = evaluate_tasks(other_model, tokenizer, [task], max_samples=80)[task]
    (difference,) = other.compared_with(source)
    ours, theirs = (one.means["acc", "none"][0].values for one in (other, source))
    assert difference.metric == "demo_minimal_pairs/acc_difference"
    assert difference.value == pytest.approx(ours.mean() - theirs.mean())
    assert difference.standard_error == pytest.approx((ours - theirs).std(ddof=1) / 80**0.5)
    fewer = evaluate_tasks(model, tokenizer, [task], max_samples=40)[task]
    with pytest.raises(EvaluationError, match="the same questions"):
        fewer.compared_with(source)


@pytest.mark.usefixtures("harness")
def test_a_users_own_yaml_finds_its_data_from_any_folder(
    model: PreTrainedModel, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"question": "a b", "answer": "c"}, {"question": "d e f", "answer": "g"}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    path = tmp_path / "own.yaml"
    path.write_text(
        "task: own\ndataset_path: json\ndataset_kwargs: {data_files: {test: rows.jsonl}}\n"
        "test_split: test\noutput_type: generate_until\ndoc_to_text: '{{question}}'\n"
        "doc_to_target: '{{answer}}'\ngeneration_kwargs: {until: ['.'], max_gen_toks: 3}\n"
        "metric_list:\n  - {metric: exact_match, aggregation: mean, higher_is_better: true}\n"
    )
    monkeypatch.chdir("/")
    scores = evaluate_tasks(model, tokenizer, [path])["own"]
    (figure,) = scores.measurements()
    assert figure.metric == "own/exact_match"
    assert figure.sample_count == 2
    (tmp_path / "rows.jsonl").unlink()
    with pytest.raises(EvaluationError, match=r"rows\.jsonl is missing"):
        evaluate_tasks(model, tokenizer, [path])


def test_likelihoods_are_those_of_the_continuation(
    any_model: PreTrainedModel, plain_tokenizer: Tokenizer
) -> None:
    harness_model = HarnessModel(
        any_model, plain_tokenizer, batch_tokens=None, on_progress=lambda _: None
    )
    requests = [("a b c", " d e"), ("a b c ", "d e"), ("a b c", " d"), ("a b c", " f"), ("", "x y")]
    found = harness_model.loglikelihood([SimpleNamespace(args=one) for one in requests])
    for (context, continuation), (likelihood, is_greedy) in zip(requests, found, strict=True):
        ids = plain_tokenizer(f"{context or '<bos>'} {continuation}").input_ids
        count = len(continuation.split())
        with torch.no_grad():
            logits = any_model.eval()(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
        wanted = torch.tensor(ids[1:])
        expected = logits.gather(1, wanted[:, None])[-count:].sum()
        assert likelihood == pytest.approx(float(expected), abs=1e-5)
        assert is_greedy == bool((logits.argmax(-1) == wanted)[-count:].all())
    assert found[0] == pytest.approx(found[1])


def test_long_contexts_lose_their_beginning_and_long_texts_are_read_in_windows(
    model: PreTrainedModel, tokenizer: Tokenizer, documents: list[str]
) -> None:
    harness_model = HarnessModel(model, tokenizer, batch_tokens=None, on_progress=lambda _: None)
    text = " ".join(documents)
    ((likelihood, _),) = harness_model.loglikelihood([SimpleNamespace(args=(text, " d e"))])
    ids = tokenizer(f"{text} d e", add_special_tokens=False).input_ids[-65:]
    with torch.no_grad():
        logits = model.eval()(torch.tensor([ids[:-1]])).logits[0].log_softmax(-1)
    assert likelihood == pytest.approx(float(logits[-2, ids[-2]] + logits[-1, ids[-1]]), abs=1e-4)
    whole, short = harness_model.loglikelihood_rolling(
        [SimpleNamespace(args=(one,)) for one in (text, documents[0])]
    )
    ((alone, _),) = harness_model.loglikelihood([SimpleNamespace(args=("", documents[0]))])
    assert short == pytest.approx(alone, abs=1e-4)
    assert whole < 10 * short


def test_generation_ends_at_a_stop_string_and_is_greedy(
    make_model: Callable[..., PreTrainedModel], tokenizer: Tokenizer
) -> None:
    model = make_model("opt").eval()
    harness_model = HarnessModel(model, tokenizer, batch_tokens=None, on_progress=lambda _: None)

    def generate(**settings: Any) -> str:
        (text,) = harness_model.generate_until([SimpleNamespace(args=("a b c", settings))])
        return text

    free = generate(until=[], max_gen_toks=8).split()
    ids = tokenizer("a b c").input_ids[:-1]
    with torch.no_grad():
        first = int(model(torch.tensor([ids])).logits[0, -1].argmax())
    assert free[0] == tokenizer.decode([first])
    stop = next(word for word in free if word != free[0])
    stopped = generate(until=[stop], max_gen_toks=8)
    assert stopped.split() == free[: free.index(stop)]


def test_scores_come_back_from_a_file_as_they_were(tmp_path: Path) -> None:
    figures = (Measurement("b/bleu", 0.25, None, 3),)
    one, two = (Stratum(0.5, np.array(values)) for values in ([1.0, 0.0, 1.0], [0.0, 1.0]))
    scores = {
        "a": TaskScores("a", "1" * 32, {("acc", "none"): (one, two), ("f1", "strict"): (two,)}),
        "b": TaskScores("b", "2" * 32, {("acc", "none"): (one,)}, figures),
    }
    path = tmp_path / "scores.safetensors"
    save_task_scores(scores, path)
    loaded = load_task_scores(path)
    assert list(loaded) == ["a", "b"]
    for name, found in loaded.items():
        assert found.measurements() == scores[name].measurements()
        assert all(figure.value == 0 for figure in found.compared_with(scores[name]))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EvaluationError, match="is damaged: it ends early"):
        load_task_scores(path)
    path.write_bytes(whole.replace(b"qcqa-task-scores-1", b"qcqa-task-scores-9"))
    with pytest.raises(EvaluationError, match="its format is not"):
        load_task_scores(path)


def test_a_group_weighs_its_tasks_and_keeps_their_samples_apart() -> None:
    values = np.tile([1.0, 0, 1, 1], 10), np.tile([0.0, 1], 10)
    single = {
        name: TaskScores(name, name, {("acc", "none"): (Stratum(1.0, one),)})
        for name, one in zip("ab", values, strict=True)
    }

    def group(*, weight_by_size: bool) -> TaskScores:
        wanted = SimpleNamespace(metric="acc", filter_list=None, weight_by_size=weight_by_size)
        return _group_scores(
            SimpleNamespace(
                name="both",
                aggregate_metric_list=[wanted],
                get_all_tasks=lambda: [SimpleNamespace(task_name=name) for name in "ab"],
            ),
            single,
        )

    (pooled,) = group(weight_by_size=True).measurements()
    assert (pooled.metric, pooled.value, pooled.sample_count) == ("both/acc", 4 / 6, 60)
    errors = [one.std(ddof=1) / len(one) ** 0.5 for one in values]
    assert pooled.standard_error == pytest.approx(
        ((4 / 6 * errors[0]) ** 2 + (2 / 6 * errors[1]) ** 2) ** 0.5
    )
    (even,) = group(weight_by_size=False).measurements()
    assert even.value == pytest.approx((0.75 + 0.5) / 2)
    same = group(weight_by_size=True)
    assert [one.value for one in same.compared_with(same)] == [0]


@pytest.mark.usefixtures("harness")
def test_what_cannot_be_run_is_refused_in_one_line(
    model: PreTrainedModel, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One folder of the harness's tasks: reading all of them takes seconds.
    tasks_module = harness_module("lm_eval.tasks")
    folder = Path(tasks_module.__file__).parent / "hellaswag"
    manager = tasks_module.TaskManager(include_path=folder, include_defaults=False)
    monkeypatch.setattr("qcqa.measure.harness._known_tasks", lambda: manager)

    def refused(message: str, *tasks: str | Path, **options: int) -> None:
        with pytest.raises(EvaluationError, match=message):
            evaluate_tasks(model, tokenizer, tasks, **options)  # type: ignore[arg-type]  # any option

    refused("no task; expected at least one")
    refused("max_samples = 0", "demo_recall", max_samples=0)
    refused("cannot be read as a task", tmp_path / "none.yaml")
    (tmp_path / "group.yaml").write_text("group: many\ntask: [one, two]\n")
    refused("describes no single task", tmp_path / "group.yaml")
    refused("such as hellaswag", "hellaswagg")
    refused("the data of hellaswag cannot be had", "hellaswag")


OWN = (
    "task: own\ndataset_path: json\ndataset_kwargs: {data_files: {test: rows.jsonl}}\n"
    "test_split: test\noutput_type: generate_until\ndoc_to_target: '{{answer}}'\n"
    "generation_kwargs: {until: ['.'], max_gen_toks: 3}\n"
    "metric_list:\n  - {metric: exact_match, aggregation: mean, higher_is_better: true}\n"
)


@pytest.fixture
def task_with_code(tmp_path: Path) -> Path:
    """Return a task's file that includes one whose code leaves a file behind when it is run."""
    rows = [{"question": "a b", "answer": "c"}, {"question": "d e f", "answer": "g"}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "code.py").write_text(
        "from pathlib import Path\n"
        "Path(__file__).with_name('it-ran').touch()\n"
        "def asked(doc):\n    return doc['question']\n"
    )
    (tmp_path / "base.yaml").write_text(OWN + "doc_to_text: !function code.asked\n")
    path = tmp_path / "own.yaml"
    path.write_text("include: base.yaml\ntask: own\n")
    return path


@pytest.mark.usefixtures("harness")
def test_code_of_a_file_is_told_and_run_only_where_it_is_allowed(
    model: PreTrainedModel, tokenizer: Tokenizer, task_with_code: Path
) -> None:
    ran = task_with_code.with_name("it-ran")
    with pytest.raises(EvaluationError, match=r"own\.yaml would run code\.asked on this machine"):
        evaluate_tasks(model, tokenizer, [task_with_code])
    with pytest.raises(EvaluationError, match="allow it: --allow-task-code"):
        list(parts_of(Benchmark(tasks=(str(task_with_code),))))
    assert task_content(str(task_with_code))
    assert not ran.exists()
    scores = evaluate_tasks(model, tokenizer, [task_with_code], allow_code=True)["own"]
    assert scores.measurements()[0].sample_count == 2
    assert ran.exists()
    # It says nothing of the figures.
    tasks = (str(task_with_code),)
    assert Benchmark(tasks=tasks) == Benchmark(tasks=tasks, allow_task_code=True)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("a: {b: [!function os.system, !function x.y]}", ("os.system", "x.y")),
        ("metric_list: [{metric: who/x, hf_evaluate: true}]", ("the program of the metric who/x",)),
        ("dataset_kwargs: {trust_remote_code: true}", ("the program of its data",)),
        ("dataset_path: ./data.py", ("./data.py",)),
        ("dataset_path: pandas", ("what is pickled in its data (pandas)",)),
        ("include: own.yaml\ntask: own", ()),
        ("doc_to_text: 'import os'", ()),
    ],
)
def test_all_that_a_file_would_run_is_found(
    tmp_path: Path, content: str, code: tuple[str, ...]
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(content)
    assert code_of_task(path) == code


@pytest.mark.parametrize("content", ["a: [", "a: !!python/object/apply:os.system [x]", "[" * 3000])
def test_a_file_that_is_no_yaml_is_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(content)
    with pytest.raises(EvaluationError, match="cannot be read as a task"):
        code_of_task(path)


@pytest.mark.usefixtures("harness")
def test_a_template_reaches_nothing_but_the_question(
    model: PreTrainedModel, tokenizer: Tokenizer, task_with_code: Path
) -> None:
    reaching = "{{ cycler.__init__.__globals__.os.system('touch it-ran') }}"
    task_with_code.write_text(f'{OWN}doc_to_text: "{reaching}"\n')
    with pytest.raises(EvaluationError, match="a template of a task runs code"):
        evaluate_tasks(model, tokenizer, [task_with_code])


@pytest.mark.usefixtures("harness")
def test_raising_from_progress_stops_the_tasks(demo: tuple[PreTrainedModel, Tokenizer]) -> None:
    def cancel(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_tasks(*demo, ["demo_recall"], max_samples=4, on_progress=cancel)


def test_a_missing_harness_is_said_with_its_remedy(
    model: PreTrainedModel, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "lm_eval"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(EvaluationError, match="pip install 'lm_eval"):
        evaluate_tasks(model, tokenizer, ["demo_recall"])

"""What cannot succeed is one line and exit code 2, before any run, job or folder is made."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qcqa.jobs.home import runs_folder
from qcqa.jobs.jobs import jobs_of
from qcqa.jobs.run import Run, open_run
from qcqa.jobs.status import RunStatus
from qcqa.packaged import demo_model_folder

Qcqa = Callable[..., Any]

#: Texts of which there is nothing to measure, or to learn.
POOR = {
    "empty": (b"", "is empty"),
    "blank": (b" \n\n\t ", "is empty"),
    "binary": (b"\x7fELF\0\0\1 text", "null bytes"),
    "utf-16": ("Marco likes eggs.".encode("utf-16"), "UTF-8"),
    "latin-1": (b"caf\xe9 ", "UTF-8"),
}


@pytest.fixture
def refused(qcqa: Qcqa) -> Callable[..., str]:
    """Return a caller of a command that has to fail in one line, which it returns."""

    def call(*arguments: object) -> str:
        called = qcqa(*arguments)
        assert called.code == 2, called
        assert called.err.startswith("qcqa: ")
        assert called.err.count("\n") == 1
        assert called.out == ""
        return str(called.err)

    return call


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name not in ("awkward", "home"))


def test_no_command_reads_what_cannot_be_read(
    refused: Callable[..., str], unreadable: str, demo_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    refused("inspect", unreadable)
    refused("search", "demo", "--preset", "best", "--calibration", unreadable, "-o", out)
    refused("calibrate", "demo", "--text", unreadable, "-o", out)
    refused("evaluate", "demo", "--text", unreadable)
    refused("evaluate", "--run", demo_run, "--text", unreadable)
    refused("evaluate", "--run", demo_run, "--text", unreadable, "--detach")
    refused("evaluate", "demo", "--plan", unreadable, "--text", "demo")
    refused("evaluate", "--run", demo_run, "--tasks", f"{unreadable}.yaml")
    refused("generate", "demo", "--plan", unreadable)
    refused("convert", "demo", "--plan", unreadable, "-o", out)
    refused("runs", "load", unreadable)
    refused("runs", "show", unreadable)
    assert _left(tmp_path) == []
    assert jobs_of(open_run(demo_run)) == []
    assert [path.name for path in runs_folder().iterdir()] == ["run"]


def test_what_is_pasted_is_understood(
    qcqa: Qcqa, pasted: Callable[[Path], str], searched_demo: Path, tmp_path: Path
) -> None:
    model, run = tmp_path / "my model", tmp_path / "my run"
    model.symlink_to(demo_model_folder())
    shutil.copytree(searched_demo, run)
    assert json.loads(qcqa("inspect", pasted(model), "--json").out)["source"] in (
        str(model), f"~/{model.name}",
    )  # fmt: skip
    plan = tmp_path / "a plan.json"
    called = qcqa("plan", pasted(run), "--budget", "0.5", "-o", pasted(plan))
    assert called.code == 0, called.err
    assert json.loads(plan.read_text())["method"] == "optimal"
    assert qcqa("runs", "load", pasted(run)).code == 0
    text = tmp_path / "a text.txt"
    text.write_text("Marco likes eggs. Grace likes lemons. " * 20)
    called = qcqa("evaluate", "--run", pasted(run), "--budgets", "0.5", "--text", pasted(text))
    assert called.code == 0, called.err
    (job,) = jobs_of(open_run(run))
    assert job.config.benchmark.text == str(text)


@pytest.mark.parametrize("kind", POOR)
def test_what_is_no_text_leaves_no_job(
    refused: Callable[..., str], kind: str, demo_run: Path, tmp_path: Path
) -> None:
    content, says = POOR[kind]
    text = tmp_path / "text.txt"
    text.write_bytes(content)
    for command in (
        ("evaluate", "--run", demo_run, "--text", text, "--detach"),
        ("evaluate", "demo", "--text", text),
        ("calibrate", "demo", "--text", text, "-o", tmp_path / "out"),
        ("search", "demo", "--preset", "best", "--calibration", text, "-o", tmp_path / "out"),
    ):
        assert says in refused(*command)
    assert _left(tmp_path) == ["text.txt"]
    assert jobs_of(open_run(demo_run)) == []


def test_a_text_of_too_few_tokens_leaves_no_job(
    refused: Callable[..., str], demo_run: Path, tmp_path: Path
) -> None:
    word, short, out = tmp_path / "word.txt", tmp_path / "short.txt", tmp_path / "out"
    word.write_text("eggs")
    short.write_text("Marco likes eggs. " * 20)
    for fitness in (("--preset", "best"), ("--fitness", "loss"), ("--refit",), ("--merge", "svd")):
        command = ("search", "demo", *fitness, "--calibration", short, "-o", out)
        assert "expected at least 256" in refused(*command)
        assert "expected at least 256" in refused(*command, "--dry-run")
    assert "expected at least 256" in refused("calibrate", "demo", "--text", short, "-o", out)
    # The window is beyond the model's context, and the load of the speed, too.
    for more in (("--text", short, "--window", 4000), ("--speed", "--context", 4000)):
        assert "expected at most" in refused("evaluate", "--run", demo_run, *more)
    assert _left(tmp_path) == ["short.txt", "word.txt"]
    assert jobs_of(open_run(demo_run)) == []


def test_a_prompt_that_cannot_be_read_leaves_no_job(
    refused: Callable[..., str], demo_run: Path
) -> None:
    assert "a prompt of 601 tokens" in refused(
        "generate", "--run", demo_run, "--prompt", "eggs " * 600
    )
    assert jobs_of(open_run(demo_run)) == []


@pytest.fixture
def outgrown_run(demo_run: Path, outgrown: Path) -> Path:
    """Return a search of the model whose tokenizer knows a word that its embedding does not."""
    _change(demo_run, model=str(outgrown))
    return demo_run


def _change(run: Path, **changes: object) -> None:
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | changes))


def test_a_token_without_embedding_is_named_before_a_job_is_made(
    refused: Callable[..., str], outgrown: Path, outgrown_run: Path, tmp_path: Path
) -> None:
    text, out = tmp_path / "text.txt", tmp_path / "out"
    text.write_text("Marco likes eggs. " * 200 + "Grace likes a zebra.")
    said = {
        refused(*command)
        for command in (
            ("evaluate", "--run", outgrown_run, "--text", text),
            ("evaluate", outgrown, "--text", text),
            ("search", outgrown, "--preset", "best", "--calibration", text, "-o", out),
            ("calibrate", outgrown, "--text", text, "-o", out),
            ("generate", "--run", outgrown_run, "--prompt", "a zebra"),
            ("generate", outgrown, "--prompt", "a zebra"),
        )
    }
    assert len(said) == 3
    rows = json.loads((outgrown / "config.json").read_text())["vocab_size"]
    for line in said:
        assert "the token 'zebra' of " in line
        assert f"has the id {rows}, and the model's embedding has {rows} rows" in line
        assert "resize_token_embeddings" in line
    assert _left(tmp_path) == ["text.txt"]
    assert jobs_of(open_run(outgrown_run)) == []


def test_a_token_that_no_text_has_does_no_harm(qcqa: Qcqa, outgrown: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Marco likes eggs. Grace likes lemons. " * 20)
    assert qcqa("evaluate", outgrown, "--text", text).code == 0
    assert qcqa("generate", outgrown, "--prompt", "Marco", "--max-new-tokens", 2).code == 0


@pytest.fixture
def stopped(demo_run: Path) -> Run:
    """Return a search that was stopped before it had read the weights."""
    (demo_run / "grams.safetensors").unlink()
    run = open_run(demo_run)
    run.write_status(RunStatus(state="cancelled"))
    return run


@pytest.mark.parametrize("state", ["finished", "cancelled"])
@pytest.mark.parametrize("detach", [(), ("--detach",)])
def test_a_run_that_can_only_fail_is_not_resumed(
    refused: Callable[..., str], stopped: Run, state: str, detach: tuple[str, ...], tmp_path: Path
) -> None:
    stopped.write_status(RunStatus(state=state))
    _change(stopped.folder, model=str(tmp_path / "gone"))
    line = refused("runs", "resume", stopped.folder, *detach)
    assert ("is finished" if state == "finished" else "there is no folder") in line
    assert open_run(stopped.folder).status().state == state


def test_a_search_whose_text_is_gone_or_another_is_not_resumed(
    refused: Callable[..., str], stopped: Run, tmp_path: Path
) -> None:
    text = tmp_path / "calibration.txt"
    _change(stopped.folder, methods=["optimal", "best"], calibration=str(text))
    assert "no file of that name" in refused("runs", "resume", stopped.folder)
    text.write_text("eggs")
    assert "expected at least 256" in refused("runs", "resume", stopped.folder)
    _change(stopped.folder, calibration=None, model=str(demo_model_folder()))
    assert "needs a calibration text" in refused("runs", "resume", stopped.folder)
    assert stopped.status().state == "cancelled"


def test_a_job_whose_text_or_model_is_gone_is_not_resumed(
    qcqa: Qcqa, refused: Callable[..., str], demo_run: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Marco likes eggs. Grace likes lemons. " * 20)
    arguments = ("evaluate", "--run", demo_run, "--budgets", "0.5", "--text", text)
    assert qcqa(*arguments).code == 0
    (job,) = jobs_of(open_run(demo_run))
    job.write_status(RunStatus(state="failed", error="interrupted"))
    text.unlink()
    assert "no file of that name" in refused("runs", "resume", job.folder)
    text.write_text("Marco likes eggs. Grace likes lemons. " * 20)
    _change(demo_run, model=str(tmp_path / "gone"))
    assert "there is no folder" in refused("runs", "resume", job.folder)
    assert job.status().state == "failed"
    _change(demo_run, model="demo")
    assert qcqa("runs", "resume", job.folder).code == 0
    assert job.status().state == "finished"

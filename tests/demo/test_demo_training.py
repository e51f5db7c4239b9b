"""The training: batches by step alone, exact resume, falling loss, a folder that opens."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from qcqa.demo import publish
from qcqa.demo.batches import BatchMaker
from qcqa.demo.checkpoints import find_checkpoint
from qcqa.demo.drills import write_roll_call
from qcqa.demo.initial import add_look_up_heads
from qcqa.demo.model import DemoShape, build_model
from qcqa.demo.schedule import Mix, Schedule
from qcqa.demo.stories import stream
from qcqa.demo.tokenizer import BOS
from qcqa.demo.train import main, parse, settings_of
from qcqa.demo.training import Settings, train
from qcqa.errors import RunError

TINY = Settings(
    seed=3,
    shape=DemoShape(hidden_size=32, num_layers=2, num_heads=8, intermediate_size=32),
    schedule=Schedule(
        steps=12, warmup_steps=2, decay_steps=4, batch_tokens=128, lengths=((0, 32), (5, 64))
    ),
)
CPU = torch.device("cpu")


def quiet(_: str) -> None:
    """Swallows the lines of progress."""


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    maker = BatchMaker(0)
    batch, again = (maker.make(7, rows=3, length=64) for _ in range(2))
    assert torch.equal(batch.ids, again.ids)
    assert torch.equal(batch.weights, again.weights)
    assert not torch.equal(batch.ids, maker.make(8, rows=3, length=64).ids)
    assert not torch.equal(batch.ids, BatchMaker(1).make(7, rows=3, length=64).ids)
    assert batch.ids.shape == (3, 65)
    assert batch.weights.shape == (3, 64)
    assert (batch.ids[:, 0] == BOS).all()
    assert (batch.weights > 1).sum() > 0


def test_a_resumed_training_equals_an_undisturbed_one_bit_for_bit(tmp_path: Path) -> None:
    whole, _ = train(tmp_path / "whole", TINY, device=CPU, report=quiet)
    train(tmp_path / "parts", TINY, device=CPU, report=quiet, stop_at=5)
    train(tmp_path / "parts", TINY, device=CPU, report=quiet, stop_at=9, resume=True)
    parts, progress = train(tmp_path / "parts", TINY, device=CPU, report=quiet, resume=True)
    assert progress.step == 12
    assert progress.tokens == 12 * 128
    expected = weights(whole)
    for name, value in weights(parts).items():
        assert torch.equal(value, expected[name]), name


def test_a_resume_with_other_settings_is_refused(tmp_path: Path) -> None:
    train(tmp_path, TINY, device=CPU, report=quiet, stop_at=3)
    with pytest.raises(RunError, match="another --out"):
        train(tmp_path, replace(TINY, matrix_rate=0.5), device=CPU, report=quiet, resume=True)


def test_a_checkpoint_is_not_overwritten_by_a_fresh_start(tmp_path: Path) -> None:
    train(tmp_path, TINY, device=CPU, report=quiet, stop_at=1)
    with pytest.raises(RunError, match="--resume"):
        train(tmp_path, TINY, device=CPU, report=quiet)


def test_the_command_line_says_what_is_wrong_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, TINY, device=CPU, report=quiet, stop_at=1)
    with pytest.raises(SystemExit) as stopped:
        main(["--out", str(tmp_path)])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path), "--steps", "0"])


def test_the_plateau_may_be_prolonged_before_the_decay_but_not_in_it(tmp_path: Path) -> None:
    longer = replace(TINY, schedule=replace(TINY.schedule, steps=14))
    train(tmp_path, TINY, device=CPU, report=quiet, stop_at=6)
    direct, _ = train(tmp_path / "direct", longer, device=CPU, report=quiet, stop_at=9)
    resumed, _ = train(tmp_path, longer, device=CPU, report=quiet, resume=True, stop_at=9)
    expected = weights(direct)
    assert all(torch.equal(value, expected[name]) for name, value in weights(resumed).items())
    train(tmp_path, longer, device=CPU, report=quiet, resume=True, stop_at=12)
    with pytest.raises(RunError, match="another --out"):
        train(tmp_path, TINY, device=CPU, report=quiet, resume=True)


def test_what_lies_ahead_may_change_and_what_is_past_may_not(tmp_path: Path) -> None:
    train(tmp_path, TINY, device=CPU, report=quiet, stop_at=10)
    past = replace(TINY, schedule=replace(TINY.schedule, drills=((0, 0.0), (7, 0.5))))
    with pytest.raises(RunError, match="another --out"):
        train(tmp_path, past, device=CPU, report=quiet, resume=True)
    ahead = replace(TINY, schedule=replace(TINY.schedule, drills=((0, 0.0), (10, 0.5))))
    changed, _ = train(tmp_path, ahead, device=CPU, report=quiet, resume=True)
    direct, _ = train(tmp_path / "direct", ahead, device=CPU, report=quiet)
    expected = weights(direct)
    assert all(torch.equal(value, expected[name]) for name, value in weights(changed).items())


def test_checkpoints_hold_nothing_pickled(tmp_path: Path) -> None:
    train(tmp_path, TINY, device=CPU, report=quiet, stop_at=2)
    names = sorted(path.name for path in (tmp_path / "checkpoint").iterdir())
    assert names == ["training.json", "training.safetensors"]


def test_a_crash_between_the_renames_of_a_checkpoint_loses_nothing(tmp_path: Path) -> None:
    train(tmp_path, TINY, device=CPU, report=quiet, stop_at=2)
    (tmp_path / "checkpoint").rename(tmp_path / "checkpoint.old")
    assert find_checkpoint(tmp_path / "checkpoint") == tmp_path / "checkpoint.old"


def test_the_loss_falls(tmp_path: Path) -> None:
    schedule = Schedule(steps=100, warmup_steps=5, decay_steps=20, batch_tokens=256,
                        lengths=((0, 32),))  # fmt: skip
    train(tmp_path, replace(TINY, schedule=schedule), device=CPU, report=quiet)
    rows = [json.loads(line) for line in (tmp_path / "progress.jsonl").read_text().splitlines()]
    uniform = math.log(TINY.shape.config().vocab_size)
    assert rows[-1]["loss"] < uniform - 1  # the mean over all hundred steps


def test_the_schedule_rises_holds_and_falls_to_nearly_nothing() -> None:
    schedule = Schedule(100, 10, 20, 2048, ((0, 64), (50, 256)))
    assert schedule.rate(0) == pytest.approx(0.1)
    assert schedule.rate(40) == 1
    assert schedule.rate(99) == pytest.approx(0.05)
    assert schedule.shape(49) == (32, 64)
    assert schedule.shape(50) == (8, 256)


def test_the_default_model_is_what_ships() -> None:
    settings = settings_of(parse(["--out", "x"]))
    config = settings.shape.config()
    assert config.num_hidden_layers >= 6
    assert config.num_attention_heads == config.num_key_value_heads >= 8
    assert config.head_dim in (16, 32)


def test_a_published_folder_opens_and_reports_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path / "run", TINY, device=CPU, report=quiet)
    folders = [str(tmp_path / "run" / "checkpoint"), str(tmp_path / "model")]
    publish.main([*folders, "--limit", "40", "--hardware", "an abacus"])
    loss = float(capsys.readouterr().out.partition("MQA mean {'loss': ")[2].partition(",")[0])
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "README.md", "calibration.txt", "config.json", "generation_config.json", "heldout.txt",
        "minimal_pairs.jsonl", "model.safetensors", "recall.jsonl", "tokenizer.json",
        "tokenizer_config.json"]  # fmt: skip
    assert not (tmp_path / "model.new").exists()
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert model.dtype == torch.bfloat16
    assert json.loads((tmp_path / "model" / "config.json").read_text())["architectures"] == [
        "LlamaForCausalLM"]  # fmt: skip
    ids = model.generate(**tokenizer("The cat", return_tensors="pt",
                                     return_token_type_ids=False), max_new_tokens=3)  # fmt: skip
    assert ids.shape[1] <= 6
    text = (tmp_path / "model" / "README.md").read_text()
    assert "MQA mean" in text
    assert f"{loss:.3f}" in text
    assert "minutes on an abacus" in text
    assert str(tmp_path) not in text


def test_a_fresh_model_looks_back_and_matches() -> None:
    model = build_model(DemoShape(num_layers=2), seed=0)
    add_look_up_heads(model, seed=0)
    model.set_attn_implementation("eager")
    row = torch.arange(10, 50)
    with torch.no_grad():
        first, second = model(
            input_ids=torch.cat([row, row])[None], output_attentions=True
        ).attentions  # (1, heads, T, T) each
    for head, offset in enumerate((1, 1, 2, 3)):
        assert first[0, head].diagonal(-offset).mean() > 0.9
    # Where a word comes again, attention goes to what followed it the first time, 39 tokens back.
    at_successor = second[0, 0].diagonal(-39)[1:].mean()
    assert at_successor > 5 * second[0, 0].diagonal(-30)[1:].mean()


def test_drills_are_mixed_in_by_share_and_hold_their_answers() -> None:
    plain = BatchMaker(0).make(3, rows=8, length=64)
    drilled = BatchMaker(0).make(3, rows=8, length=64, mix=Mix(drills=1.0))
    assert not torch.equal(plain.ids, drilled.ids)
    assert (drilled.weights > 1).sum() > (plain.weights > 1).sum()
    for index in range(50):
        story = write_roll_call(stream("drill", index), 60)
        for position in story.answers:
            before = story.words[: position - 1]
            assert story.words[position - 1 : position + 1] in [
                story.words[place : place + 2] for place in range(len(before))
            ]

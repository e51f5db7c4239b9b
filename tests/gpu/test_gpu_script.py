"""The script for GPUs runs here too, with tiny models: all of it works but the device."""

import json
import os
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

_FOLDER = Path(__file__).resolve().parent
_PROJECT = _FOLDER.parents[1]

#: What the machine with the GPU has not got, and what must not be asked for.
_ABSENT = ("lm_eval", "platformdirs", "plotly", "pyarrow", "pymoo", "streamlit")

_PARTS = (
    "logits, bfloat16, eager", "logits, bfloat16, sdpa", "logits, bfloat16, flash_attention_2",
    "logits, float32, eager", "logits, float32, sdpa", "texts, bfloat16", "texts, float32",
    "cache bytes", "decoding, batch 1", "decoding, batch 4", "decoding, batch 8",
    "calibration, figures", "calibration, seconds", "fits, demo, mean, shared",
    "fits, demo, mean, key", "fits, demo, mean, value", "fits, demo, svd, shared",
    "fits, demo, svd, key", "fits, demo, svd, value", "fits, large, mean", "fits, large, svd",
    "logits, bfloat16, flex_attention",
)  # fmt: skip


def run_script(
    *arguments: str, absent: Sequence[str] = _ABSENT, before: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the script as the command does, where some packages are not to be found."""
    code = (
        "import runpy, sys\n"
        f"sys.modules |= dict.fromkeys({list(absent)!r})\n"
        f"sys.path[:0] = [{str(_FOLDER)!r}, {str(_PROJECT)!r}]\n"
        f"{before}\n"
        f"sys.argv = {['run.py', *arguments]!r}\n"
        "runpy.run_path('run.py', run_name='__main__')\n"
    )
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=_FOLDER,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """Return the JSON and the table of one whole run."""
    file = tmp_path_factory.mktemp("gpu") / "figures.json"
    done = run_script("--tiny", "--json", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(file.read_text()), done.stdout


@pytest.fixture
def parts_module(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(_FOLDER))
    from gpu_checks import parts

    return parts


def rows_of(figures: dict[str, Any], part: str) -> dict[str, dict[str, Any]]:
    rows = next(one["rows"] for one in figures["parts"] if one["name"] == part)
    return {row["what"]: row for row in rows}


def test_every_part_runs_and_passes(ran: tuple[dict[str, Any], str]) -> None:
    figures, table = ran
    assert tuple(part["name"] for part in figures["parts"]) == _PARTS
    states = {part["name"]: part["state"] for part in figures["parts"]}
    # flash-attn needs a GPU
    assert states.pop("logits, bfloat16, flash_attention_2") == "not applicable"
    assert set(states.values()) == {"passed"}
    assert figures["tiny"]
    assert figures["environment"]["device"] == "CPU"
    for part in figures["parts"]:
        for row in part["rows"]:
            cells = (row["state"], part["name"], row["what"], row["figure"])
            said = " +".join(re.escape(cell) for cell in cells if cell)
            assert re.search(f"^{said}$", table, re.MULTILINE)


def test_conversions_are_as_near_as_rounding_and_the_source_is_not(
    ran: tuple[dict[str, Any], str],
) -> None:
    for name in _PARTS:
        if name.startswith("logits") and "flash" not in name:
            rows = rows_of(ran[0], name)
            twin = rows.pop("dense twin")["values"]
            assert set(rows) == {"live", "from disk", "from disk, by its own code"}
            for row in rows.values():
                assert row["values"]["error"] <= row["values"]["limit"] < twin["source_error"] / 5
    texts = rows_of(ran[0], "texts, float32")["texts"]["values"]
    assert texts["tokens_same"] == texts["tokens"] == 16


def test_bytes_are_the_promised_ones(ran: tuple[dict[str, Any], str]) -> None:
    rows = rows_of(ran[0], "cache bytes")
    held = {}
    for name in ("source", "GQA", "unequal groups"):
        values = rows[f"{name}, tensors"]["values"]
        held[name] = values["held_bytes"]
        assert held[name] == values["promised_bytes"]
        assert rows[f"{name}, allocated"]["state"] == "not applicable"
    # 3 layers, 4 heads of 16, keys and values, 2 bytes, for 2 x 32 tokens
    assert held["source"] == 3 * 4 * 16 * 2 * 2 * 64
    assert held["GQA"] == held["unequal groups"] == held["source"] / 2


def test_speed_is_told_of_every_model_at_every_load(ran: tuple[dict[str, Any], str]) -> None:
    for batch, context in ((1, 32), (4, 32), (8, 16)):
        rows = rows_of(ran[0], f"decoding, batch {batch}")
        assert len(rows) == 3
        for row in rows.values():
            values = row["values"]
            assert values["context_tokens"] == context
            assert values["milliseconds_per_step"] > 0
            assert values["tokens_per_second"] > 0
        speedup = rows[f"source, context {context}"]["values"]["decode_speedup"]
        assert speedup == pytest.approx(1.0)


def test_refits_lower_the_loss(ran: tuple[dict[str, Any], str]) -> None:
    fits = [name for name in _PARTS if name.startswith("fits, demo")]
    assert len(fits) == 6
    for name in fits:
        for row in rows_of(ran[0], name).values():
            assert 0 < row["values"]["fitted"] < row["values"]["merged"]
            assert row["values"]["seconds"] > 0


def test_without_time_every_part_is_said_to_be_skipped() -> None:
    done = run_script("--minutes", "0")
    assert done.returncode == 0
    assert done.stdout.count("\nskipped") == len(_PARTS)
    assert "0 s are left" in done.stdout


def test_a_name_that_no_part_has_is_refused() -> None:
    done = run_script("--only", "fast")
    assert done.returncode == 2
    assert "no part has 'fast' in its name" in done.stderr


def test_a_wrong_conversion_fails(tmp_path: Path) -> None:
    """One head of a group in place of the mean of all."""
    wrong = (
        "from qcqa.reduce.groups.merge import mean\n"
        "mean.mean_of_groups = lambda heads, of: heads[[group[0] for group in of.groups]]"
    )
    file = tmp_path / "figures.json"
    arguments = ("--json", str(file), "--only", "float32, sdpa")
    done = run_script(*arguments, before=wrong)
    assert done.returncode == 1, done.stdout + done.stderr
    rows = rows_of(json.loads(file.read_text()), "logits, float32, sdpa")
    assert rows.pop("dense twin")["state"] == "passed"
    assert {row["state"] for row in rows.values()} == {"failed"}


def test_what_is_missing_is_named_where_no_wheel_does(tmp_path: Path) -> None:
    done = run_script("--wheels", str(tmp_path), absent=("pydantic",))
    assert done.returncode == 2
    assert "pydantic is missing here" in done.stderr
    assert "prepare.py" in done.stderr
    assert not done.stdout


def test_wheels_alone_are_installed(
    parts_module: Any,  # noqa: ARG001  # finds the modules
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from gpu_checks import wheels

    monkeypatch.setattr(sys, "path", list(sys.path))
    assert wheels.missing(("carried_here", "json")) == ["carried_here"]
    about = "carried_here-1.0.dist-info"
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / "carried_here-1.0-py3-none-any.whl", "w") as file:
        file.writestr("carried_here.py", "value = 7\n")
        file.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: carried-here\nVersion: 1.0\n"
        )
        file.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{about}/RECORD", "")
    wheels.install(["carried-here>=1"], tmp_path / "wheels", tmp_path / "packages")
    assert not wheels.missing(("carried_here",))
    with pytest.raises(subprocess.CalledProcessError):
        wheels.install(["carried-here>=2"], tmp_path / "wheels", tmp_path / "others")


def test_a_part_that_fails_is_one_row_and_the_others_go_on(parts_module: Any) -> None:
    def part(name: str, run: Callable[[], Iterator[Any]], seconds: float = 0.0) -> Any:
        return parts_module.Part(name, seconds, run)

    def good() -> Iterator[Any]:
        yield parts_module.checked("it", True, "1", value=1.0)

    def breaks() -> Iterator[Any]:
        yield from good()
        raise RuntimeError("out of\nluck")

    def wrong() -> Iterator[Any]:
        yield parts_module.checked("it", False, "2")

    def nothing() -> Iterator[Any]:
        yield from ()

    def elsewhere() -> Iterator[Any]:
        yield parts_module.Row("", "not applicable", "not here")

    def endless() -> Iterator[Any]:
        yield from good()
        while True:
            try:
                time.sleep(0.05)
            except Exception:  # what libraries catch must not be what ends them
                continue

    seen = []
    runs = (good, breaks, wrong, nothing, elsewhere)
    chain = [part(run.__name__, run) for run in runs]
    chain += [part("too long", good, 60.0), part("endless", endless), part("late", good, 0.1)]
    outcomes = list(
        parts_module.run_parts(chain, seconds=2.0, on_row=lambda _name, row: seen.append(row))
    )
    assert {one.name: one.state for one in outcomes} == {
        "good": "passed",
        "breaks": "failed",
        "wrong": "failed",
        "nothing": "failed",
        "elsewhere": "not applicable",
        "too long": "skipped",
        "endless": "failed",
        "late": "skipped",
    }
    told = {one.name: one for one in outcomes}
    assert told["breaks"].error == "RuntimeError: out of luck"
    assert "breaks" in told["breaks"].trace
    assert [row.state for row in told["breaks"].rows] == ["passed", "failed"]
    assert "no time is left" in told["endless"].error
    assert [row for one in outcomes for row in one.rows] == seen

"""``qcqa calibrate``, and where the model runs that reads the text."""

import json
from pathlib import Path


def test_a_calibration_is_kept_and_told(qcqa, tmp_path: Path):
    called = qcqa(
        *("calibrate", "demo", "--text", "demo", "--tokens", "300"),
        *("-o", tmp_path / "kept", "--device", "cpu", "--json"),
    )
    assert called.code == 0, called.err
    about = json.loads(called.out)
    assert (about["text"], about["max_tokens"]) == ("demo", 300)
    assert (tmp_path / "kept" / "moment-000.safetensors").exists()


def test_a_device_that_is_not_there_is_one_line(qcqa, tmp_path: Path):
    called = qcqa(
        *("calibrate", "demo", "--text", "demo", "-o", tmp_path / "kept", "--device", "abacus")
    )
    assert called.code == 2
    assert "device 'abacus'" in called.err
    assert "expected cpu" in called.err
    assert len(called.err.strip().splitlines()) == 1

"""Second moments of the attention's input, and calibrations as files."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from qcqa.errors import CalibrationError
from qcqa.text.calibration_folder import CalibrationFolder
from qcqa.text.moments import second_moments


@torch.no_grad()
def test_moments_are_those_of_what_the_key_projection_reads(model, batches):
    attention = "model.decoder.layers.{}.self_attn.k_proj"
    if model.config.model_type == "llama":
        attention = "model.layers.{}.self_attn.k_proj"
    seen = {layer: [] for layer in range(3)}
    hooks = [
        model.get_submodule(attention.format(layer)).register_forward_pre_hook(
            lambda _module, args, layer=layer: seen[layer].append(args[0])
        )
        for layer in range(3)
    ]
    real = []
    for batch in batches:
        model(input_ids=batch.token_ids, use_cache=False)
        real.append(batch.is_real)
    for hook in hooks:
        hook.remove()
    for with_bias in (False, True):
        moments = list(second_moments(model, batches, with_bias=with_bias))
        assert len(moments) == 3
        for layer, moment in enumerate(moments):
            pairs = zip(seen[layer], real, strict=True)
            rows = torch.cat([x[mask] for x, mask in pairs]).double()
            if with_bias:
                rows = torch.cat([rows, torch.ones(len(rows), 1).double()], dim=1)
            torch.testing.assert_close(moment, rows.T @ rows / len(rows))


def test_a_calibration_comes_back_from_its_files(tmp_path):
    windows = [np.arange(5, dtype=np.int32), np.arange(9, dtype=np.int32)]
    folder = CalibrationFolder(tmp_path / "calibration")
    folder.save_windows(windows, "fingerprint")
    rows = torch.randn(20, 7, dtype=torch.float64)
    folder.save_moment(2, rows.T @ rows)
    assert folder.has_moment(2)
    assert not folder.has_moment(1)
    torch.testing.assert_close(folder.moment(2), rows.T @ rows)
    for found, wanted in zip(folder.windows(), windows, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert folder.is_of(windows, "fingerprint")
    assert not folder.is_of(windows, "another")
    assert not folder.is_of(windows[:1], "fingerprint")


@pytest.mark.parametrize("told", ["1", "[]", "{", "[" * 1000, '{"format": 1e999}'])
def test_what_a_calibration_tells_of_itself_is_not_trusted(tmp_path, told):
    arrays = {"token_ids": np.arange(4, dtype=np.int32), "lengths": np.array([4])}
    save_file(arrays, tmp_path / "tokens.safetensors", metadata={"qcqa": told})
    with pytest.raises(CalibrationError, match="is damaged") as error:
        CalibrationFolder(tmp_path).windows()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("lengths", [[], [3], [5], [-1, 5], [0, 4]])
def test_windows_that_are_not_of_the_tokens_are_refused(tmp_path, lengths):
    lengths = np.array(lengths, dtype=np.int64)
    arrays = {"token_ids": np.arange(4, dtype=np.int32), "lengths": lengths}
    told = {"qcqa": json.dumps({"format": "qcqa-calibration-1", "fingerprint": "0"})}
    save_file(arrays, tmp_path / "tokens.safetensors", metadata=told)
    with pytest.raises(CalibrationError, match="not cut into windows"):
        CalibrationFolder(tmp_path).windows()


def test_damaged_files_are_refused_in_one_line(tmp_path):
    folder = CalibrationFolder(tmp_path)
    with pytest.raises(CalibrationError, match="cannot be read"):
        folder.windows()
    (tmp_path / "moment-000.safetensors").write_bytes(b"nonsense")
    with pytest.raises(CalibrationError, match="calibrate the model again"):
        folder.moment(0)
    assert not folder.is_of([np.arange(3, dtype=np.int32)], "fingerprint")


def test_other_tokens_make_moments_go_away(tmp_path):
    folder = CalibrationFolder(tmp_path)
    folder.save_windows([np.arange(5, dtype=np.int32)], "fingerprint")
    folder.save_moment(0, torch.eye(3, dtype=torch.float64))
    folder.save_windows([np.arange(6, dtype=np.int32)], "fingerprint")
    assert not folder.has_moment(0)

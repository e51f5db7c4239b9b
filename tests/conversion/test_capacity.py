"""What is told of a plan's weights before anything is converted is what a conversion writes."""

from math import prod
from pathlib import Path
from typing import Any

from qcqa.conversion.folder import convert_checkpoint
from qcqa.model.safetensors_file import SafetensorsFile
from qcqa.plan.capacity import Server, weight_bytes


def test_weights_of_a_plan_are_counted_exactly(case: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert_checkpoint(str(case.folder), case.plan, out)
    files = [SafetensorsFile(path) for path in out.glob("*.safetensors")]
    written = sum(prod(tensor.shape) for file in files for tensor in file.tensors.values())
    server = Server(1, case.checkpoint.num_parameters(), "int8")
    assert weight_bytes(case.plan.model, server, case.plan.num_stored_heads) == written

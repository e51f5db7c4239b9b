"""A small model of each family that the benchmarks make, and the ground that peers stand on."""

from pathlib import Path

import pytest

from tests.benchmarks.models_apart import make
from tests.benchmarks.peers.ground import Ground


@pytest.fixture(scope="session")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds a model of each family, trained for two steps."""
    folder = tmp_path_factory.mktemp("apart")
    for family in ("llama", "opt"):
        make(family, folder / family, steps=2, root=sources(folder / "sources"))
    return folder


def sources(root: Path) -> Path:
    """Write a library of small files, enough to be split, and one that no model should see."""
    for number in range(40):
        path = root / f"package_{number % 4}" / f"module_{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"def f_{number}_{line}(x):\n    return x + {line}\n" for line in range(40)]
        path.write_text("\n".join(lines))
    hidden = root / "site-packages" / "elsewhere.py"
    hidden.parent.mkdir(exist_ok=True)
    hidden.write_text("secret = 1\n")
    return root


@pytest.fixture
def ground(apart: Path, tmp_path: Path) -> Ground:
    """Return the ground of the small Llama."""
    return Ground(str(apart / "llama"), str(apart / "llama" / "calibration.txt"), tmp_path)

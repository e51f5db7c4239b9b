"""``import qcqa``: every public name is there, and importing it is light."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import qcqa

PROJECT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", qcqa.__all__)
def test_every_public_name_is_there_with_a_docstring(name: str) -> None:
    assert getattr(qcqa, name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        qcqa.nonsense  # noqa: B018  # the access is what is tested


def test_import_loads_nothing_heavy() -> None:
    script = (
        "import sys, qcqa\n"
        "heavy = {'torch', 'transformers', 'pymoo', 'streamlit', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_readmes_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    assert qcqa.load_plan(tmp_path / "plan.json").kv_ratio <= 0.5

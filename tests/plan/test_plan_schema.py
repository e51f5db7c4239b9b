"""The shipped JSON Schema is the one that files are checked with."""

import json
from importlib import resources

from qcqa.plan.file import plan_schema

REMEDY = "write it anew: python -m qcqa.plan.file > qcqa/plan/plan.schema.json"


def test_the_shipped_schema_is_the_one_that_files_are_checked_with() -> None:
    shipped = json.loads((resources.files("qcqa.plan") / "plan.schema.json").read_text("utf-8"))
    assert shipped == plan_schema(), REMEDY

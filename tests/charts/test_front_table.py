"""The table of all plans of all fronts."""

from io import StringIO

import pandas as pd
import pytest

from qcqa.charts.fronts.front_table import front_table
from qcqa.pick.plan import plan_of_result
from qcqa.plan.budget import CacheLoad
from qcqa.search.result import SearchResult


def test_every_plan_has_its_row(with_best: SearchResult, load: CacheLoad) -> None:
    table = front_table(with_best, load)
    assert table.groupby("name").size().to_dict() == {
        name: len(front) for name, front in with_best.fronts.items()
    }
    for row in table.to_dict("records"):
        plan = plan_of_result(with_best, row["bits per token"], method=row["name"])
        assert plan.kv_bits == row["bits per token"]
        assert plan.kv_ratio == row["KV ratio"]
        assert plan.predicted.wse == pytest.approx(row["WSE"])
        heads = [
            " ".join(str(getattr(layer, kind).num_stored) for layer in plan.pictures)
            for kind in ("key", "value")
        ]
        assert [row["key heads"], row["value heads"]] == heads
        assert row["KiB per token"] == plan.kv_bytes_per_token / 1024
    best = table[table["name"] == "best"]
    assert set(best["fitness"]) == {"loss"}
    # Keys and values apart: the bound does not hold.
    assert best["lower bound of WSE"].isna().all()
    others = table[table["name"] != "best"]
    assert (others["WSE"] >= others["lower bound of WSE"] - 1e-9).all()
    assert list(table["bits per token"][:2]) == sorted(table["bits per token"][:2], reverse=True)


def test_it_survives_csv(result: SearchResult, load: CacheLoad) -> None:
    table = front_table(result, load)
    again = pd.read_csv(StringIO(table.to_csv(index=False)))
    pd.testing.assert_frame_equal(again, table, check_dtype=False)

"""A plan of groups for the model of random heads."""

import pytest

from qcqa.plan.plan import Measurement, Plan, Prediction
from qcqa.reduce.groups.grouping import Grouping, LayerGrouping


@pytest.fixture
def plan(random_grams):
    return Plan(
        model=random_grams.spec,
        fingerprint=random_grams.fingerprint,
        method="gqa",
        merge="mean",
        layers=tuple(
            grouping.choice
            for grouping in (
                LayerGrouping.shared(Grouping.contiguous(8, 2)),
                LayerGrouping(
                    Grouping.from_labels([0, 1, 1, 0, 2, 3, 3, 3]), Grouping.singletons(8)
                ),
                LayerGrouping.shared(Grouping.singletons(8)),
            )
        ),
        predicted=Prediction(wse=12.5, relative_wse=0.25, wse_lower_bound=11.0),
        measured=(Measurement("perplexity, some text", 12.3, 0.4, 100), Measurement("speed", 7.0)),
        provenance={"seed": 3, "settings": {"generations": 5}},
    )

"""The section of the config: there and back, and the same order of heads as the reader's."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from qcqa.attention.remote.section_qcqa import Section
from qcqa.attention.section import section_of
from qcqa.checkpoint import row_ranges

MakeCase = Callable[[str], Any]


@pytest.fixture(params=["llama-gqa", "gpt2", "phi3-gqa", "gpt_neox", "falcon-gqa", "falcon-mqa"])
def case(request: pytest.FixtureRequest, make_case: MakeCase) -> Any:
    return make_case(request.param)


def section(case: Any) -> Section:
    return section_of(
        case.checkpoint.architecture, case.checkpoint.config, case.plan.model, case.plan.layers
    )


def test_there_and_back(case: Any) -> None:
    before = section(case)

    assert Section.from_config(SimpleNamespace(qcqa=before.to_config())) == before


def test_groupings_are_a_line_each(case: Any) -> None:
    for layer in section(case).to_config()["layers"]:
        assert all(isinstance(text, str) for text in layer.values())


def test_heads_are_in_the_order_of_the_reader(case: Any) -> None:
    architecture, spec = case.checkpoint.architecture, case.checkpoint.spec
    if architecture.layout == "separate":
        pytest.skip("the family has a projection each, and this is about fused ones")
    order = section(case).head_order()
    for role in ("query", "key", "value"):
        starts = [
            row
            for first, last in row_ranges(architecture, spec, role)
            for row in range(first, last, spec.head_dim)
        ]
        places = [place for place, (of, _) in enumerate(order) if of == role]
        assert [place * spec.head_dim for place in places] == starts
        assert [head for of, head in order if of == role] == list(range(len(places)))


@pytest.mark.parametrize("content", [None, {}, {"version": 2}, "text"])
def test_other_content_is_refused(content: Any) -> None:
    with pytest.raises(ValueError, match="no section 'qcqa' of version 1"):
        Section.from_config(SimpleNamespace(qcqa=content))

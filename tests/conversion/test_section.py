"""The section of the config: there and back, and the same order of heads as the reader's."""

from collections.abc import Callable
from typing import Any

import pytest
from transformers import PreTrainedConfig

from qcqa.conversion.section import config_entry, section_of
from qcqa.conversion.travelling.releases_qcqa import NEWEST_TRANSFORMERS, OLDEST_TRANSFORMERS
from qcqa.conversion.travelling.section_qcqa import Section
from qcqa.model.heads import row_ranges

MakeCase = Callable[[str], Any]


@pytest.fixture(params=["llama-gqa", "gpt2", "phi3-gqa", "gpt_neox", "falcon-gqa", "falcon-mqa"])
def case(request: pytest.FixtureRequest, make_case: MakeCase) -> Any:
    return make_case(request.param)


def section(case: Any) -> Section:
    return section_of(
        case.checkpoint.architecture, case.checkpoint.config, case.plan.model, case.plan.layers
    )


def read(case: Any, content: Any) -> Section:
    case.model.config.qcqa = content
    return Section.from_config(case.model.config)


def test_there_and_back(case: Any) -> None:
    before = section(case)

    assert read(case, before.to_config()) == before


def test_config_says_who_wrote_it_and_what_it_was_tested_with(case: Any) -> None:
    entry = config_entry(section(case))

    assert entry["written_by"].startswith("qcqa-explorer ")
    assert entry["tested_with"] == f"transformers {OLDEST_TRANSFORMERS} to {NEWEST_TRANSFORMERS}"
    assert read(case, entry) == section(case)


def test_section_of_an_earlier_release_names_no_norm(case: Any) -> None:
    entry = section(case).to_config()
    del entry["key_norm"]

    assert read(case, entry).key_norm is None


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


@pytest.mark.parametrize("content", [None, {}, {"version": 4}, "text"])
def test_other_content_is_refused(content: Any) -> None:
    with pytest.raises(ValueError, match="no section 'qcqa' of version 1 or 2 or 3"):
        Section.from_config(PreTrainedConfig(qcqa=content))

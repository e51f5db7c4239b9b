"""Numbers that would fill the memory are refused before anything is made of them."""

import pytest

from qcqa.errors import SettingsError
from qcqa.search.strategy.config import SearchSettings


@pytest.mark.parametrize(
    "asked",
    [
        {"two_stage": {"population_size": 10**12}},
        {"two_stage": {"stage2_population_size": 10**12}},
        {"two_stage": {"generations": 10**12}},
        {"exact": {"restarts": 10**12}},
        {"workers": 10**9},
    ],
)
def test_more_than_any_search_takes_is_refused_in_one_line(asked: dict[str, object]) -> None:
    with pytest.raises(SettingsError) as refused:
        SearchSettings.model_validate(asked)
    assert "less than or equal to" in refused.value.one_line()

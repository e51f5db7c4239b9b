import pickle

import pytest
from pydantic import BaseModel, ValidationError

from qcqa.errors import SettingsError
from qcqa.search.strategy.config import SearchSettings


def test_settings_come_back_from_json():
    settings = SearchSettings(population_size=30, mutation_probability=0.2, seed=7, workers=3)
    assert SearchSettings.model_validate(settings.model_dump(mode="json")) == settings
    assert SearchSettings.model_validate_json(settings.model_dump_json()) == settings
    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"population_size": 3}, "population_size = 3"),
        ({"generations": 0}, "generations = 0"),
        ({"generations": "many"}, "generations = 'many'"),
        ({"crossover_probability": 1.5}, "crossover_probability = 1.5"),
        ({"mutation_probability": -0.1}, "mutation_probability"),
        ({"mutation_probability": float("nan")}, "mutation_probability"),
        ({"seed": -1}, "seed = -1"),
        ({"workers": 0}, "workers = 0"),
        ({"pop_size": 10}, "pop_size"),
    ],
)
def test_what_is_out_of_range_is_refused_in_one_line(values, says):
    with pytest.raises(SettingsError, match=says) as refusal:
        SearchSettings(**values)
    assert "\n" not in str(refusal.value)


def test_settings_inside_another_model_are_checked_too():
    class Outer(BaseModel):
        settings: SearchSettings

    with pytest.raises(SettingsError, match="seed"):
        Outer.model_validate({"settings": {"seed": -1}})


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        SearchSettings().seed = 3

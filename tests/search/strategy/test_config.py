import pickle

import pytest
from pydantic import BaseModel, ValidationError

from qcqa.errors import SettingsError
from qcqa.options import described
from qcqa.reduce.bits.options import BitsOptions
from qcqa.search.strategy.config import SearchSettings, nested
from qcqa.search.strategy.options import ExactOptions, TwoStageOptions


def test_settings_come_back_from_json():
    settings = SearchSettings(
        two_stage=TwoStageOptions(population_size=30, mutation_probability=0.2),
        bits=BitsOptions(group=64, rotate=True),
        seed=7,
        workers=3,
    )
    assert SearchSettings.model_validate(settings.model_dump(mode="json")) == settings
    assert SearchSettings.model_validate_json(settings.model_dump_json()) == settings
    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"two_stage": {"population_size": 3}}, "population_size = 3"),
        ({"two_stage": {"generations": 0}}, "generations = 0"),
        ({"two_stage": {"generations": "many"}}, "generations = 'many'"),
        ({"two_stage": {"crossover_probability": 1.5}}, "crossover_probability = 1.5"),
        ({"two_stage": {"mutation_probability": -0.1}}, "mutation_probability"),
        ({"two_stage": {"mutation_probability": float("nan")}}, "mutation_probability"),
        ({"exact": {"restarts": -1}}, "restarts = -1"),
        ({"bits": {"group": 48}}, "group = 48: Input should be 32 or 64"),
        ({"restarts": 3}, "restarts = 3: there is no such option; expected seed.* exact, bits$"),
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


def test_settings_of_older_files_go_to_those_who_read_them():
    flat = {"generations": 7, "mutation_probability": None, "restarts": 3, "seed": 2, "apart": True}
    assert SearchSettings.model_validate(nested(flat)) == SearchSettings(
        two_stage=TwoStageOptions(generations=7), exact=ExactOptions(restarts=3), seed=2, apart=True
    )
    today = SearchSettings(bits=BitsOptions(rotate=True)).model_dump(mode="json")
    assert nested(today) == today


@pytest.mark.parametrize("kind", [SearchSettings, TwoStageOptions, ExactOptions, BitsOptions])
def test_every_option_is_described(kind):
    usual = kind()
    names = [name for name, value in usual if not isinstance(value, BaseModel)]
    assert all(described(kind, name) != name for name in names)
    assert len({kind.flag(name) for name in names}) == len(names)
    assert not usual.changed()

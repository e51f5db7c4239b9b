"""What a part of the work may be told: typed, checked, and each option described once."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from inspect import cleandoc
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from qcqa.errors import SettingsError

#: Of a docstring: some names, and what is said of them.
_ENTRY = re.compile(r"^(\S.*)\n((?: +\S.*\n?)+)", re.MULTILINE)
#: Ends of names that a command line does without.
_UNSAID = ("_size", "_probability")


def described(kind: type, name: str) -> str:
    """Return what a parameter of a class is, for people: as its docstring says, without a stop."""
    found = (_parameters(base) for base in kind.__mro__)
    return next((texts[name] for texts in found if name in texts), name)


@cache
def _parameters(kind: type) -> Mapping[str, str]:
    """Return what the docstring of a class says of each of its parameters."""
    _, _, section = cleandoc(kind.__doc__ or "").partition("Parameters\n----------\n")
    return {
        name: " ".join(text.split()).removesuffix(".")
        for names, text in _ENTRY.findall(section.partition("\n\n")[0])
        for name in names.partition(" : ")[0].split(", ")
    }


class Options(BaseModel):
    """Options with bounds, the same after a round trip through JSON.

    Raises
    ------
    SettingsError
        If a value is out of range or unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def least(cls, name: str) -> int:
        """Return the least that a whole number may be."""
        limits = cls.model_fields[name].metadata
        return next(int(limit.ge) for limit in limits if hasattr(limit, "ge"))

    @classmethod
    def most(cls, name: str, default: int) -> int:
        """Return the most that a whole number may be; ``default`` where nothing bounds it."""
        limits = cls.model_fields[name].metadata
        return next((int(limit.le) for limit in limits if hasattr(limit, "le")), default)

    @classmethod
    def flag(cls, name: str) -> str:
        """Return the option's name on the command line."""
        for end in _UNSAID:
            name = name.removesuffix(end)
        return f"--{name.replace('_', '-')}"

    def changed(self) -> dict[str, Any]:
        """Return the options that are not as they are by default."""
        usual = type(self)()
        return {name: value for name, value in self if value != getattr(usual, name)}

    @model_validator(mode="wrap")
    @classmethod
    def _refuse_in_one_line(cls, values: Any, handler: Callable[[Any], Any]) -> Any:
        """Raise the project's own error instead of pydantic's many lines."""
        try:
            return handler(values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"])) or "settings"
            says, known = first["msg"], ", ".join(cls.model_fields)
            if first["type"] == "extra_forbidden":
                says = f"there is no such option; expected {known}"
            raise SettingsError(f"{name} = {first['input']!r}: {says}") from error

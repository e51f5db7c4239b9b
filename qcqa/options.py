"""What a part of the work may be told: typed, checked, and each option described once."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from qcqa.errors import SettingsError

#: Ends of names that a command line does without.
_UNSAID = ("_size", "_probability")


class Options(BaseModel):
    """Options with bounds and descriptions, which the command line and forms show as they are.

    The same after a round trip through JSON.

    Raises
    ------
    SettingsError
        If a value is out of range or unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def description(cls, name: str) -> str:
        """Return what an option is, as people read it."""
        return cls.model_fields[name].description or name

    @classmethod
    def least(cls, name: str) -> int:
        """Return the least that a whole number may be."""
        limits = cls.model_fields[name].metadata
        return next(int(limit.ge) for limit in limits if hasattr(limit, "ge"))

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
            raise SettingsError(f"{name} = {first['input']!r}: {first['msg']}") from error

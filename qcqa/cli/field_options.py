"""Options of the command line that are the fields of options: named, explained and set there."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any, Literal, get_origin

import typer

from qcqa.options import Options, described


def field_option(kind: type[Options], name: str, *, more: str = "") -> Any:
    """Return the option of a field; ``more`` follows on what its docstring says."""
    return typer.Option(kind.flag(name), help=f"{described(kind, name)}{more}.")


def help_of(kind: type, name: str) -> str:
    """Return the help of an option that is a parameter of a class."""
    return f"{described(kind, name)}."


def with_fields(command: Callable[..., None]) -> Callable[..., None]:
    """Decorate a command: each parameter that is of options becomes an option for every field."""
    shown: list[Parameter] = []
    kinds: dict[str, type[Options]] = {}
    for name, one in signature(command).parameters.items():
        if isinstance(one.annotation, type) and issubclass(one.annotation, Options):
            kinds[name] = one.annotation
            shown += [_parameter(one.annotation, field) for field in one.annotation.model_fields]
        else:
            shown.append(one)

    @wraps(command)
    def run(**told: Any) -> None:
        for name, kind in kinds.items():
            told[name] = kind(**{one: told.pop(_name(kind, one)) for one in kind.model_fields})
        command(**told)

    run.__signature__ = signature(command).replace(parameters=shown)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in shown}
    return run


def _parameter(kind: type[Options], name: str) -> Parameter:
    field = kind.model_fields[name]
    # The options themselves say which numbers there are.
    value = int if get_origin(field.annotation) is Literal else field.annotation
    return Parameter(
        _name(kind, name),
        Parameter.KEYWORD_ONLY,
        default=field.default,
        annotation=Annotated[value, field_option(kind, name)],
    )


def _name(kind: type[Options], field: str) -> str:
    return kind.flag(field).removeprefix("--").replace("-", "_")

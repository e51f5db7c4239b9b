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
    for name, parameter in signature(command).parameters.items():
        if isinstance(parameter.annotation, type) and issubclass(parameter.annotation, Options):
            kinds[name] = parameter.annotation
            shown += [
                _parameter(parameter.annotation, field)
                for field in parameter.annotation.model_fields
            ]
        else:
            shown.append(parameter)

    @wraps(command)
    def run(**values: Any) -> None:
        for name, kind in kinds.items():
            values[name] = kind(
                **{field: values.pop(_name(kind, field)) for field in kind.model_fields}
            )
        command(**values)

    signed: Any = run  # functions have a signature, which their type does not say
    signed.__signature__ = signature(command).replace(parameters=shown)
    run.__annotations__ = {option.name: option.annotation for option in shown}
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

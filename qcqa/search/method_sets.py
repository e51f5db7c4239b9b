"""Which methods a search runs, and the calibration text that they need."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from qcqa.errors import SettingsError
from qcqa.files.user_path import existing_path
from qcqa.model.spec import ModelSpec
from qcqa.reduce.registry import REDUCTIONS
from qcqa.reduce.terms import BY_WEIGHTS, name_today
from qcqa.search.methods import METHODS, wants_calibration
from qcqa.search.strategy.config import SearchSettings

#: Methods that only look up their plans: cheap, and what the others are compared with.
BASELINES = ("mha", "gqa", "mqa")
#: Methods that a search runs unless it is told otherwise, where a text is at hand.
SEARCHED_METHODS = ("optimal", "qcqa-ac", "qcqa-ec")


def all_searched() -> tuple[str, ...]:
    """Return the methods that may be asked for, in the order in which a search runs them."""
    first = (*SEARCHED_METHODS, *BY_WEIGHTS.values())
    return (*first, *(name for name in METHODS if name not in (*BASELINES, *first)))


def beyond_heads() -> tuple[str, ...]:
    """Return the methods that use other reductions than heads that share, alone or with them."""
    return tuple(name for name, method in METHODS.items() if method.reductions != ("groups",))


def by_weights(methods: Iterable[str]) -> tuple[str, ...]:
    """Return the methods that weights alone can decide in the place of these."""
    return tuple(name_today(name, "wse") for name in methods)


def usual_methods(*, has_text: bool) -> tuple[str, ...]:
    """Return the methods that a search runs unless it is told otherwise."""
    return SEARCHED_METHODS if has_text else by_weights(SEARCHED_METHODS)


def reductions_named(text: str) -> tuple[str, ...]:
    """Return the reductions of a list for people, such as ``heads,bits``.

    Raises
    ------
    SettingsError
        If there is none of some name.
    """
    names = {reduction.label: name for name, reduction in REDUCTIONS.items()}
    asked = [label.strip() for label in text.split(",")]
    for label in asked:
        if label not in names:
            raise SettingsError(f"--reduce {text}", expected=f"some of {','.join(names)}")
    return tuple(name for label, name in names.items() if label in asked)


def that_reduce(methods: Iterable[str], reductions: Iterable[str]) -> tuple[str, ...]:
    """Return what is searched where only some reductions may be used: all that there is of them.

    Parameters
    ----------
    methods : iterable of str
        Searched methods; those that use another reduction are left out.
    reductions : iterable of str
        What may be used. With others than heads, all methods of them come along.
    """
    allowed = set(reductions)
    wanted = (*methods, *beyond_heads())
    if allowed > {"groups"}:
        # What all of them make of a model is seen beside what each does.
        wanted = (*methods, "best", *beyond_heads())
    return tuple(dict.fromkeys(name for name in wanted if allowed.issuperset(_uses(name))))


def _uses(name: str) -> tuple[str, ...]:
    return METHODS[name].reductions if name in METHODS else ()


def second_stage(methods: Iterable[str], *, has_text: bool) -> Literal["loss"] | None:
    """Return what QCQA's second stage minimises in the place of WSE, unless it is told otherwise.

    It is what the baselines are judged by, too, if there is such a method.
    """
    return "loss" if has_text and not BY_WEIGHTS.keys().isdisjoint(methods) else None


def names_today(methods: Iterable[str], settings: SearchSettings) -> tuple[str, ...]:
    """Return names of methods as a search of such settings has to call them."""
    return tuple(
        name_today(name, METHODS[name].settings(settings).judged_by) if name in METHODS else name
        for name in methods
    )


def refuse_unused(methods: Iterable[str], asked: Mapping[str, Any]) -> None:
    """Raise if a setting was asked for in place of which every method has its own.

    Parameters
    ----------
    methods : iterable of str
        What is searched, without the baselines that come along.
    asked : mapping
        Values of settings by their names; None for what nobody asked for.

    Raises
    ------
    SettingsError
        Which names the first such setting.
    """
    chosen = [METHODS[name] for name in methods if name in METHODS]
    for setting, value in asked.items() if chosen else ():
        if value is None or any(method.insists.get(setting, value) == value for method in chosen):
            continue
        labels = " and ".join(method.label for method in chosen)
        published = {by_weights: name for name, by_weights in BY_WEIGHTS.items()}
        option = f"--{setting}" if value is True else f"--{setting} {value}"
        raise SettingsError(
            f"{option} with {labels}, which would not heed it",
            expected=f"a method that does, as -m {published.get(chosen[0].name, 'optimal')}, "
            f"or no --{setting}",
        )


def refuse_bits(methods: Iterable[str], settings: SearchSettings, spec: ModelSpec) -> None:
    """Raise if bits are asked for in a way that no method heeds, or that a model cannot have.

    Raises
    ------
    QCQAError
        Which says what was asked for.
    """
    if any("bits" in METHODS[name].reductions for name in methods):
        settings.bits.require(spec)
    elif changed := settings.bits.changed():
        raise SettingsError(
            f"{' and '.join(map(settings.bits.flag, changed))} without bits",
            expected="a search that may reduce bits, as --reduce bits",
        )


def refuse_other_names(methods: Iterable[str], settings: SearchSettings) -> None:
    """Raise if QCQA is asked for and would be judged by WSE: that has a name of its own.

    Raises
    ------
    SettingsError
        Which tells the name.
    """
    for name in methods:
        (called,) = names_today([name], settings)
        if called != name:
            raise SettingsError(
                f"{METHODS[name].label} judged by weights alone",
                expected="a second stage that measures the model, as published",
                remedy="give a text with --calibration FILE and leave out --fitness wse, "
                f"or take the method {called}",
            )


def refuse_without_calibration(methods: Iterable[str], settings: SearchSettings) -> None:
    """Raise if any of the methods looks at more than the weights.

    Raises
    ------
    SettingsError
        Which names the first of them.
    """
    for name in methods:
        variant = METHODS[name].settings(settings)
        if variant.judged_by != "wse" or variant.refit:
            reason = f"by {variant.judged_by}" if variant.judged_by != "wse" else "with a refit"
            raise SettingsError(
                f"{METHODS[name].label} {reason} needs a calibration text",
                remedy="give one with --calibration FILE",
            )


def calibration_of(
    model: str, calibration: str | None, *, methods: Iterable[str], settings: SearchSettings
) -> str | None:
    """Return the calibration text that a search is to use: a path, ``demo``, or None for none.

    Parameters
    ----------
    model : str
        The model; the demo model brings its own text.
    calibration : str or None
        What was asked: a file or ``demo``.
    methods, settings
        Of the search.

    Raises
    ------
    SettingsError
        If there is no such file, or one is needed and none was named; as
        :func:`refuse_other_names`.
    """
    methods = tuple(methods)
    refuse_other_names(methods, settings)
    if calibration is None:
        if model == "demo":
            return "demo"
        refuse_without_calibration(methods, settings)
        return None
    if calibration == "demo":
        return calibration
    found = existing_path(
        calibration,
        expected="a file, the folder of a calibration, or 'demo'",
    )
    return str(found.resolve())


def require_calibration(
    model: str,
    calibration: str,
    *,
    methods: Iterable[str],
    settings: SearchSettings,
    revision: str | None = None,
) -> None:
    """Refuse a calibration text that a search could not use; tokenizes it, and loads no weights.

    Parameters
    ----------
    model, revision : str
        The model.
    calibration : str
        As :func:`calibration_of` returns it.
    methods, settings
        Of the search; where they need no text, none is read.

    Raises
    ------
    QCQAError
        If it is no text, is too short, or the model has no embedding for one of its tokens.
    """
    if not wants_calibration(methods, settings):
        return
    # Here, because it loads torch: a search of the weights alone does without.
    from qcqa.text.calibrate import look_at_calibration

    look_at_calibration(model, calibration, revision=revision)


def with_baselines(methods: Iterable[str]) -> tuple[str, ...]:
    """Return the baselines and the asked methods, the quick ones first.

    Raises
    ------
    SettingsError
        If a method is unknown.
    """
    asked = set(methods)
    unknown = asked - set(METHODS)
    if unknown:
        raise SettingsError(
            f"method {sorted(unknown)[0]!r}", expected=f"one of {', '.join(all_searched())}"
        )
    return (*BASELINES, *(name for name in all_searched() if name in asked))

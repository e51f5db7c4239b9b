"""Times in the words of an estimate."""

_SECONDS = {"seconds": 1.0, "minutes": 60.0, "hours": 3600.0, "days": 86400.0}


def about(seconds: float) -> str:
    """Return a time as people say it: ``40 seconds``, ``7 minutes``, ``2.5 hours``, ``12 days``."""
    unit = _unit(seconds)
    number = _number(seconds, unit)
    return f"{number} {unit.removesuffix('s') if number == '1' else unit}"


def between(low: float, high: float) -> str:
    """Return a span of times in as few words as it takes: ``2 to 5 minutes``."""
    unit = _unit(high)
    # Half a minute is no number of minutes.
    unit_of_low = unit if low >= 0.8 * _SECONDS[unit] else _unit(low)
    first, last = _number(low, unit_of_low), _number(high, unit)
    if unit_of_low != unit:
        return f"{about(low)} to {about(high)}"
    return about(high) if first == last else f"{first} to {about(high)}"


def clock(seconds: float) -> str:
    """Return a time as a clock shows it: ``1:07``, ``2:03:04``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _unit(seconds: float) -> str:
    limits = {"seconds": 90.0, "minutes": 5400.0, "hours": 36 * 3600.0}
    return next((unit for unit, limit in limits.items() if seconds < limit), "days")


def _number(seconds: float, unit: str) -> str:
    number = max(1.0, seconds / _SECONDS[unit])
    if unit == "seconds" and number > 10:
        return f"{round(number / 5) * 5}"
    if unit == "hours" and number < 10:
        return f"{number:.1f}".removesuffix(".0")
    return f"{number:,.0f}"

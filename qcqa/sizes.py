"""Numbers of bytes as people read them."""


def bytes_text(size: float) -> str:
    """Return a number of bytes with three digits, in the unit that fits: ``4.2 MiB``."""
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        number = size / 2**power
        if number >= 1:
            return f"{number:,.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"
    return f"{size:.0f} bytes"

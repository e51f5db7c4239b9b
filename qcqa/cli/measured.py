"""Measured figures as a table."""

from collections.abc import Sequence

from qcqa.cli.output import console, print_table
from qcqa.evaluated import Evaluated
from qcqa.report.palette import method_style


def print_measured(rows: Sequence[Evaluated]) -> None:
    """Print the models' own figures, a model per line; differences are for programs."""
    if not rows:
        console.print("Nothing is measured yet.")
        return
    names = [
        name
        for name in dict.fromkeys(one.metric for row in rows for one in row.measured)
        if not name.endswith(("_difference", "_ratio"))
    ]
    print_table([_shown(row, names) for row in rows])


def _shown(row: Evaluated, names: Sequence[str]) -> dict[str, str]:
    cells = {"method": method_style(row.method).label, "KV ratio": f"{row.kv_ratio:.3f}"}
    for name in names:
        figure = row.figure(name)
        if figure is None:
            cells[name] = "—"
            continue
        error = f" ±{figure.standard_error:.2g}" if figure.standard_error else ""
        cells[name] = f"{figure.value:.4g}{error}"
    return cells

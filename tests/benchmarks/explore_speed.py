"""How long the server takes to redraw Explore when the budget moves, for large models.

On made-up runs, moves the slider of the whole page in AppTest: no browser, no network, which
``slider_speed.py`` has. The time is of the processor, so that other work on the machine does not
count.

The requirement: 0.3 s at 32 layers x 32 heads and 0.6 s at 80 x 64, each the median; and figures
of less than a megabyte. Exits with 1 where not.

    python tests/benchmarks/explore_speed.py [--repeats N] [--json]
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from time import process_time

sys.path.insert(0, str(Path(__file__).parent))

from made_up import made_up_run
from streamlit.testing.v1 import AppTest

from qcqa.jobs.run import Run
from qcqa.packaged import app_folder

MAX_SECONDS = {(32, 32): 0.3, (80, 64): 0.6}
MAX_FIGURE_BYTES = 1_000_000


def redraws(run: Run, repeats: int) -> tuple[list[float], int]:
    """Return the seconds of each redraw, and the bytes of the largest figure."""
    app = AppTest.from_file(str(app_folder() / "main.py"), default_timeout=120)
    app.query_params["run"] = run.id
    app.run()
    times = []
    for place in range(repeats):
        app.slider(key="budget").set_value(40.0 + place)
        began = process_time()
        app.run()
        times.append(process_time() - began)
        if app.exception:
            raise SystemExit(str(app.exception))
    largest = max(len(chart.proto.spec) for chart in app.get("plotly_chart"))
    return times, largest


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=7, help="redraws of each model")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    options = parser.parse_args()
    sys.path.insert(0, str(app_folder()))
    measured = {}
    with tempfile.TemporaryDirectory() as home:
        os.environ["QCQA_HOME"] = home
        for (layers, heads), limit in MAX_SECONDS.items():
            times, largest = redraws(made_up_run(layers, heads), options.repeats)
            measured[f"{layers} x {heads}"] = {
                "redraw_seconds": statistics.median(times),
                "redraw_worst_seconds": max(times),
                "largest_figure_bytes": largest,
                "is_met": statistics.median(times) <= limit and largest <= MAX_FIGURE_BYTES,
            }
    is_met = all(one["is_met"] for one in measured.values())
    if options.json:
        print(json.dumps(measured | {"is_met": is_met}, indent=2))
    else:
        for name, one in measured.items():
            print(
                f"{name:<10}{one['redraw_seconds']:8.3f} s (worst {one['redraw_worst_seconds']:.3f}"
                f" s), largest figure {one['largest_figure_bytes'] / 1000:.0f} kB"
            )
        print("requirement met" if is_met else "requirement NOT met")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())

"""How soon the server has redrawn the page of groupings after a move of the budget's slider.

A made-up model of 80 layers x 64 heads, four plans side by side, keys and values apart in the
selected one. Measured without a browser, whose own work comes on top: ``slider_speed.py`` has both.
Exits with 1 where a redraw takes more than 0.6 s of CPU: on a busy machine the time by the clock
says little.

    python tests/benchmarks/groupings_speed.py [--repeats N] [--json]
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time

sys.path.insert(0, str(Path(__file__).parent))

from made_up import made_up_run
from streamlit.testing.v1 import AppTest

from qcqa.packaged import app_folder

MAX_REDRAW_CPU_SECONDS = 0.6


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=5, help="moves of the slider")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    options = parser.parse_args()
    sys.path.insert(0, str(app_folder()))
    wall, cpu = [], []
    with tempfile.TemporaryDirectory() as home:
        os.environ["QCQA_HOME"] = home
        run = made_up_run(80, 64)
        app = AppTest.from_file(str(app_folder() / "main.py"), default_timeout=120)
        app.query_params.update(
            {"run": run.id, "method": "best", "compare": "best,optimal,gqa,mqa"}
        )
        app.switch_page("views/groupings/groupings.py")
        app.run()
        for move in range(options.repeats):
            wall_before, cpu_before = perf_counter(), process_time()
            app.slider(key="budget").set_value(60.0 - move).run()
            wall.append(perf_counter() - wall_before)
            cpu.append(process_time() - cpu_before)
        sent = sum(len(chart.proto.spec) for chart in app.get("plotly_chart"))
    measured = {
        "redraw_cpu_seconds": statistics.median(cpu),
        "redraw_wall_seconds": statistics.median(wall),
        "figures_megabytes": sent / 1e6,
    }
    is_met = not app.exception and measured["redraw_cpu_seconds"] <= MAX_REDRAW_CPU_SECONDS
    if options.json:
        print(json.dumps(measured | {"is_met": is_met}, indent=2))
    else:
        for name, value in measured.items():
            print(f"{name:<30}{value:8.2f}")
        print("requirement met" if is_met else "requirement NOT met")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())

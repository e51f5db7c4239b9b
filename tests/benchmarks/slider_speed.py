"""How soon the charts of Explore and of Groupings follow the budget's slider, in Chromium.

Explore on the demo, and both pages on made-up runs of large models; on Groupings four plans stand
side by side, with keys and values apart in the selected one. For every press of an arrow key:

    seen      from the press until the last chart in the window has been drawn anew
    all       the same, with those further down the page
    server    the part of it until all of the server's answer has come
    kB        size of that answer

The requirement: the median of ``seen`` within 0.3 s on the demo and at 32 layers x 32 heads, and
within 0.6 s at 80 x 64. Exits with 1 where not. Other work on the machine counts: the load is told.

    python tests/benchmarks/slider_speed.py [--repeats N] [--json]
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from app_speed import PATIENCE_MS, chromium, dashboard
from made_up import made_up_run
from playwright.sync_api import Browser, Page

#: Layers and heads of made-up runs, and what a move may take on their pages.
MAX_SECONDS = {(32, 32): 0.3, (80, 64): 0.6}
MAX_DEMO_SECONDS = 0.3

#: Keeps the times at which charts were drawn and messages came, and the bytes of these.
WATCH = """(() => {
    const seen = window.seen = {drawn: [], came: [], bytes: 0};
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
        if (!this.isWatched) {
            this.isWatched = true;
            this.addEventListener("message", event => {
                seen.came.push(performance.now());
                seen.bytes += event.data.byteLength ?? event.data.size;
            });
        }
        return send.call(this, data);
    };
    new MutationObserver(records => {
        const charts = new Set(records.filter(({addedNodes}) => addedNodes.length)
            .map(({target}) => target.closest?.(".stPlotlyChart")).filter(Boolean));
        requestAnimationFrame(() => {
            for (const chart of charts)
                // Streamlit has each drawn once more, as it is: that changes nothing to see.
                if (!seen.drawn.some(one => one.chart === chart)
                    && chart.querySelector(":is(.hm, .trace)"))
                    seen.drawn.push({chart, at: performance.now()});
        });
    }).observe(document, {subtree: true, childList: true});
    document.addEventListener("keydown", () => {
        Object.assign(seen, {pressed: performance.now(), drawn: [], came: [], bytes: 0});
    }, {capture: true});
})()"""

#: Resolves when nothing has been drawn for some time after the press.
SETTLED = """() => new Promise((resolve, reject) => {
    const look = () => {
        const {pressed, drawn, came, bytes} = seen;
        const last = Math.max(pressed, ...drawn.map(({at}) => at));
        if (performance.now() - last < 1000) return setTimeout(look, 50);
        const inWindow = drawn.filter(({chart}) => chart.getBoundingClientRect().top < innerHeight);
        if (!inWindow.length) return reject("no chart in the window was drawn anew");
        resolve({
            seen: Math.max(...inWindow.map(({at}) => at)) - pressed,
            all: last - pressed,
            server: came.filter(at => at <= last).at(-1) - pressed,
            bytes,
        });
    };
    look();
})"""


@dataclass(frozen=True)
class Moves:
    """What was measured on one page: medians over the presses, and the worst."""

    seen_seconds: float
    seen_worst_seconds: float
    all_seconds: float
    server_seconds: float
    answer_kilobytes: float
    is_met: bool


def moves(page: Page, presses: int, limit: float) -> Moves:
    """Press a key on the slider of the budget again and again, and measure."""
    slider = page.get_by_role("slider").first
    slider.focus()
    found = []
    for _ in range(presses + 1):
        slider.press("ArrowLeft")
        found.append(page.evaluate(SETTLED))
    # The first move meets code that the browser has not compiled yet.
    found = found[1:]
    seen = [one["seen"] / 1000 for one in found]
    return Moves(
        seen_seconds=statistics.median(seen),
        seen_worst_seconds=max(seen),
        all_seconds=statistics.median(one["all"] for one in found) / 1000,
        server_seconds=statistics.median(one["server"] for one in found) / 1000,
        answer_kilobytes=statistics.median(one["bytes"] for one in found) / 1000,
        is_met=statistics.median(seen) <= limit,
    )


def measure(browser: Browser, url: str, presses: int, limit: float) -> Moves:
    """Open a page, wait until it stands still, and move its slider."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script(WATCH)
    page.goto(url)
    page.wait_for_selector(".st-key-grouping_chart .main-svg", timeout=PATIENCE_MS)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(2000)
    measured = moves(page, presses, limit)
    page.close()
    return measured


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=10, help="moves of each slider")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    options = parser.parse_args()
    found: dict[str, Moves] = {}
    with tempfile.TemporaryDirectory() as home:
        os.environ["QCQA_HOME"] = home
        pages = {"Explore, demo": ("?run=demo", MAX_DEMO_SECONDS)}
        for (layers, heads), limit in MAX_SECONDS.items():
            query = f"?run={made_up_run(layers, heads).id}"
            beside = "&method=best&compare=best,optimal,gqa,mqa"
            # Of few heads the plan has a number in every cell.
            pages[f"Explore, {layers} x {heads}"] = (f"{query}&method=optimal", limit)
            pages[f"Groupings, {layers} x {heads}"] = (f"groupings{query}{beside}", limit)
        with dashboard(Path(home)) as address, chromium() as browser:
            for name, (path, limit) in pages.items():
                found[name] = measure(browser, f"{address}/{path}", options.repeats, limit)
    load, is_met = os.getloadavg()[0], all(one.is_met for one in found.values())
    if options.json:
        rows = {name: asdict(one) for name, one in found.items()}
        print(json.dumps(rows | {"load": load, "is_met": is_met}, indent=2))
    else:
        print(f"{'':<24}{'seen':>8}{'worst':>8}{'all':>8}{'server':>8}{'kB':>8}")
        for name, one in found.items():
            print(
                f"{name:<24}{one.seen_seconds:8.2f}{one.seen_worst_seconds:8.2f}"
                f"{one.all_seconds:8.2f}{one.server_seconds:8.2f}{one.answer_kilobytes:8.0f}"
                f"{'' if one.is_met else '  too slow'}"
            )
        print(f"load {load:.1f}; requirement {'met' if is_met else 'NOT met'}")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())

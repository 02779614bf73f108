"""How long a report of 200 runs takes in headless Chromium: `python tests/report_speed.py [PAGE ...]`.

Without pages it writes two studies of 200 runs and their reports first. Each page is opened afresh,
then scrolled to its first figure and to all of them. docs/performance.md has the figures."""

import subprocess
import sys
import tempfile
from pathlib import Path

from browser import FLAGS, WAIT, find_chromium
from playwright.sync_api import sync_playwright
from simulated import stepping, write_study

STUDIES = {
    "200-runs-two-axes": ({"depth": [2, 4, 8, 16, 32], "width": [16, 32, 64, 128]}, 10),
    "200-runs-three-axes": (
        {"depth": [2, 4, 8, 16, 32], "width": [16, 64], "batch_size": [32, 64, 128, 256]},
        5,
    ),
}
# the end of the last task that kept the page from answering for 50 ms or longer
BUSY = """
window.busy = 0;
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) busy = Math.max(busy, task.startTime + task.duration);
}).observe({ type: "longtask", buffered: true });
"""
REST = "html[data-shown]"


def write_reports(results: Path) -> list[Path]:
    pages = []
    for name, (axes, seeds) in STUDIES.items():
        folder = write_study(results, axes, stepping, seeds=seeds, name=name)
        command = [sys.executable, "-m", "crlscale", "report", name, "--results", str(results)]
        subprocess.run(command, check=True, capture_output=True)
        pages.append(folder / "report.html")
    return pages


def measure(browser, page: Path) -> dict[str, float]:
    """Seconds since the navigation began, but `scroll`, those since the scrolling to each began."""
    tab = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    tab.add_init_script(BUSY)
    tab.goto(f"file://{page.resolve()}")
    tab.wait_for_selector(REST, state="attached", timeout=WAIT)
    painted = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    opened = tab.evaluate("performance.now()")
    tab.wait_for_timeout(1000)
    seen = {"painted": painted, "answers": max(opened, tab.evaluate("busy"))}
    began = tab.evaluate("performance.now()")
    for index, figure in enumerate(tab.locator("figure").all()):
        figure.evaluate("figure => figure.scrollIntoView({ behavior: 'instant' })")
        tab.wait_for_function("figure => 'drawn' in figure.dataset", arg=figure.element_handle())
        if index == 0:
            seen["scroll to the first"] = tab.evaluate("performance.now()") - began
    seen["scroll to all"] = tab.evaluate("performance.now()") - began
    tab.context.close()
    return {name: milliseconds / 1000 for name, milliseconds in seen.items()}


def main(pages: list[str]) -> None:
    chromium, why = find_chromium()
    if chromium is None:
        sys.exit(why)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for page in map(Path, pages or write_reports(Path(folder))):
            for _ in range(3):
                said = ", ".join(
                    f"{name} {value:.2f} s" for name, value in measure(browser, page).items()
                )
                print(f"{page.parent.name}: {page.stat().st_size / 1e6:.2f} MB, {said}", flush=True)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])

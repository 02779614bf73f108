"""Looks at pages in headless Chromium, in a process of its own: `python tests/browser.py CHROMIUM
PAGE FOLDER` prints what it saw as JSON and leaves a PDF in FOLDER.

Playwright starts threads and processes, which a pytest worker that holds jax must not fork from."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
INSTALL_SECONDS = 300
WAIT = 120_000  # ms


def find_chromium() -> tuple[str | None, str]:
    """Path of a Chromium, and why there is none. On a Debian machine for tests only (CI is set, we
    are root) it is installed if it is missing; a worker waits for the other."""
    if found := _installed():
        return found, ""
    if not os.environ.get("CI"):
        return None, "no chromium on the path"
    if os.geteuid() or not shutil.which("apt-get"):
        return None, "no chromium on the path, and it cannot be installed here (no root or no apt-get)"
    with open(Path(tempfile.gettempdir(), "crlscale-chromium.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return (_installed(), "") if _installed() else _install()


def _installed() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _install() -> tuple[str | None, str]:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    get = ["apt-get", "-q", "-y", "-o", "Acquire::Retries=1"]
    for words in (["update"], ["install", "--no-install-recommends", "chromium"]):
        try:
            done = subprocess.run(
                [*get, *words], env=environment, capture_output=True, text=True, timeout=INSTALL_SECONDS
            )
        except subprocess.TimeoutExpired:
            return None, f"apt-get {words[0]} took over {INSTALL_SECONDS} s"
        if done.returncode:
            return None, f"apt-get {words[0]} failed: {done.stderr.strip()[-200:]}"
    return _installed(), "apt-get installed no chromium"


def look(chromium: str, page: Path, folder: Path) -> dict:
    """What a browser says of `page`, from a process of its own."""
    command = [sys.executable, __file__, chromium, str(page), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _main(chromium: str, page: str, folder: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        seen = {
            "desktop": _visit(browser, page, _desktop, width=1280, folder=folder),
            "keyboard": _visit(browser, page, _keyboard, width=1280, folder=folder),
            "phone": _visit(browser, page, _widths, width=375, folder=folder),
            "dark": _visit(browser, page, _colours, width=1280, folder=folder, color_scheme="dark"),
            "silent": _visit(
                browser, page, _static, width=1280, folder=folder, java_script_enabled=False
            ),
        }
        browser.close()
    print(json.dumps(seen))


def _visit(browser, page: str, see, *, width: int, folder: str, **context) -> dict:
    """Open the page, wait until the plots in view are there, and `see`; with everything that went
    wrong."""
    opened = browser.new_context(viewport={"width": width, "height": 900}, **context)
    tab = opened.new_page()
    wrong, fetched = [], []
    tab.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("request", lambda r: fetched.append(r.url) if r.url.startswith(("http", "ws")) else None)
    tab.goto(f"file://{page}")
    if context.get("java_script_enabled", True):
        _rest(tab)
    seen = see(tab, folder)
    tab.screenshot(path=str(Path(folder, f"{see.__name__.strip('_')}.png")), full_page=True)
    opened.close()
    return {**seen, "wrong": wrong, "fetched": fetched}


def _rest(tab) -> None:
    """Wait until nothing is being drawn."""
    tab.wait_for_selector("html[data-shown]", state="attached", timeout=WAIT)


def _desktop(tab, folder: str) -> dict:
    """Figures as the page opens, on paper, after scrolling, and when the theme changes just before the
    reader scrolls on."""
    near = tab.evaluate(_NEAR)
    opened = tab.evaluate(_DRAWN)
    static = tab.locator(".static img:visible").count()
    tab.emulate_media(media="print")
    printed = [tab.locator(f"{part}:visible").count() for part in (".static img", ".interactive")]
    tab.pdf(path=str(Path(folder, "page.pdf")), format="A4", print_background=True)
    tab.emulate_media(media="screen")
    height = tab.evaluate(_HEIGHT)
    for figure in tab.locator("figure").all():
        figure.scroll_into_view_if_needed()
        tab.wait_for_function("figure => 'drawn' in figure.dataset", arg=figure.element_handle())
    scrolled = tab.evaluate(_DRAWN)
    _rest(tab)
    documents = tab.evaluate("Bokeh.documents.length")
    tab.emulate_media(color_scheme="dark")
    tab.evaluate("scrollTo(0, 0)")  # while they are drawn again
    tab.wait_for_function(f"Bokeh.documents.length >= {2 * documents}", timeout=WAIT)
    _rest(tab)
    return {
        "near": near,
        "opened": opened,
        "static": static,
        "printed": printed,
        "scrolled": scrolled,
        "moved": tab.evaluate(_HEIGHT) - height,
        "plots": tab.locator(".plot canvas").count(),
    }


_HEIGHT = "document.documentElement.scrollHeight"
_DRAWN = "[...document.querySelectorAll('figure')].map(figure => 'drawn' in figure.dataset)"
_NEAR = """[...document.querySelectorAll('figure')].map(figure => {
  const { top, bottom } = figure.getBoundingClientRect();
  return bottom > 0 && top < 1.5 * innerHeight;
})"""


def _keyboard(tab, folder: str) -> dict:
    """What the keyboard alone reaches: every plot's tools and its points."""
    tab.locator("body").press("Tab")
    first = tab.evaluate("document.activeElement.textContent")
    reached, points = [], []
    for _ in range(1000):
        name = tab.evaluate(_FOCUSED)
        if name in reached and name.startswith("link:"):
            break
        reached.append(name)
        if name == "button:Next point" and not points:
            tab.keyboard.press("Enter")
            points.append(tab.locator("output").first.inner_text())
            tab.keyboard.press("ArrowRight")
            points.append(tab.locator("output").first.inner_text())
        _rest(tab)
        tab.keyboard.press("Tab")
    return {"first": first, "reached": reached, "points": points}


# what has the focus, also inside the shadow roots of Bokeh
_FOCUSED = """() => {
  let at = document.activeElement;
  while (at && at.shadowRoot && at.shadowRoot.activeElement) at = at.shadowRoot.activeElement;
  const kind = {A: "link", BUTTON: "button", SUMMARY: "summary"}[at.tagName] ?? "other";
  return kind + ":" + (at.textContent.trim() || at.title || at.getAttribute("aria-label") || at.className);
}"""


def _widths(tab, folder: str) -> dict:
    sizes = "[document.documentElement.scrollWidth, innerWidth]"
    small = "[...document.querySelectorAll('p, td, figcaption, li')].map(e => parseFloat(getComputedStyle(e).fontSize))"
    return {"widths": tab.evaluate(sizes), "smallest_font": min(tab.evaluate(small))}


def _colours(tab, folder: str) -> dict:
    return {"paper": tab.evaluate("getComputedStyle(document.body).backgroundColor")}


def _static(tab, folder: str) -> dict:
    shown = tab.locator(".static img:visible").count()
    drawn = tab.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    return {"static": shown, "drawn": drawn}


if __name__ == "__main__":
    _main(*sys.argv[1:])

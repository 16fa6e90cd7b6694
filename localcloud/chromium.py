"""A real browser: the Chromium of this machine, led to the simulated Microsoft, with a person's eye for faults."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ABSENT = f"no browser: none of {', '.join(NAMES)} is on PATH (on Debian: apt-get install chromium)"
PHONE = 360
TALL = 800
DESK = 1200
WAIT_MILLISECONDS = 15_000
SERIOUS = ("serious", "critical")
_AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"


def find_chromium() -> str | None:
    """Return the path of the first browser on PATH that Playwright can drive, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Visit:
    """One person's browser window; *complaints* are what pages wrote to the console as errors, and what they threw."""

    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)

    def hear(self, message: ConsoleMessage) -> None:
        """Note what a page complains of; browsers ask every host for an icon, which none of ours has."""
        if message.type == "error" and not message.location["url"].endswith("/favicon.ico"):
            self.complaints.append(message.text)

    def faults(self) -> list[str]:
        """Return what axe-core finds seriously wrong for people with disabilities, one line for each element."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(_AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run({resultTypes: ['violations'], preload: false})")
        return [
            f"{rule['id']}: {rule['help']}: {node['html'][:200]}"
            for rule in found["violations"]
            if rule["impact"] in SERIOUS
            for node in rule["nodes"]
        ]

    def too_wide(self) -> int:
        """Return by how many pixels the page is wider than its window, so that a person would scroll sideways."""
        width: int = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        return max(0, width)


@dataclass
class Chromium:
    """A running browser; each `visit` has cookies and storage of its own."""

    browser: Browser

    @contextmanager
    def visit(self, width: int = DESK, **options: Any) -> Iterator[Visit]:
        """Open a window *width* pixels wide; *options* are Playwright's for a context."""
        # The simulated cloud's authority is made anew at each start, and no browser is taught it.
        viewport = {"width": width, "height": TALL}
        context = self.browser.new_context(viewport=viewport, ignore_https_errors=True, **options)  # type: ignore[arg-type]
        try:
            context.set_default_timeout(WAIT_MILLISECONDS)
            visit = Visit(context, context.new_page())
            visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
            visit.page.on("console", visit.hear)
            yield visit
        finally:
            context.close()


@contextmanager
def chromium(proxy: str) -> Iterator[Chromium]:
    """
    Start the browser of this machine; *proxy* leads to the simulated cloud, and loopback is called directly.

    Raises FileNotFoundError where the machine has none.
    """
    expect.set_options(timeout=WAIT_MILLISECONDS)
    path = find_chromium()
    if path is None:
        raise FileNotFoundError(ABSENT)
    with sync_playwright() as playwright:
        browser = _launch(playwright, path, proxy)
        try:
            yield Chromium(browser)
        finally:
            browser.close()


def _launch(playwright: Playwright, path: str, proxy: str) -> Browser:
    # Playwright's own option would send loopback through the proxy as well.
    arguments = [f"--proxy-server={proxy}"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium refuses to run as root with it
    return playwright.chromium.launch(executable_path=path, args=arguments)

"""A person at the console: signs in with the key, and goes from view to view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from playwright.sync_api import Page, expect

if TYPE_CHECKING:
    from localcloud.chromium import Visit


@dataclass
class ConsoleVisit:
    """A window on the console of the host at *url*."""

    visit: Visit
    url: str

    @property
    def page(self) -> Page:
        """The window's page."""
        return self.visit.page

    def sign_in(self, key: str) -> None:
        """Open the console and enter the function key, as a person who has only a keyboard may."""
        self.page.goto(f"{self.url}/api/console")
        self.page.get_by_label("Function key").fill(key)
        self.page.keyboard.press("Enter")
        self.arrived("Overview")

    def go(self, path: str) -> None:
        """Go to a view by its address and wait until it has loaded; the one before is taken away, not taken for it."""
        self.page.evaluate("document.getElementById('main').replaceChildren()")
        if self.page.evaluate("location.hash") == f"#/{path}":
            self.page.reload()
        else:
            self.page.evaluate("path => { location.hash = path; }", f"#/{path}")
        self.settled()

    def area(self, name: str) -> None:
        """Choose an area of the navigation, which a narrow window hides behind a button."""
        menu = self.page.get_by_role("button", name="Menu")
        if menu.is_visible():
            menu.click()
        self.page.get_by_role("navigation", name="Areas").get_by_role("link", name=name).click()
        self.arrived(name)

    def arrived(self, heading: str) -> None:
        """Wait for the view with this heading."""
        expect(self.page.get_by_role("heading", level=1)).to_have_text(heading)
        self.settled()

    def settled(self) -> None:
        """Wait until the view shows what it has loaded."""
        expect(self.page.locator("main h1")).to_be_visible()
        expect(self.page.locator("main [aria-busy=true]")).to_have_count(0)

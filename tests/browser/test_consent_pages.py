"""The pages that a tenant's administrator sees, in a real browser, by keyboard, on a phone, and by axe-core."""

import pytest
from playwright.sync_api import expect

from localcloud.chromium import PHONE, Chromium, Visit
from localcloud.story import Organisation, Story

pytestmark = pytest.mark.enable_socket


def test_consent_by_keyboard_on_a_phone(story: Story, organisation: Organisation, windows: Chromium) -> None:
    """From the link over Microsoft's page to the result; each page of ours has no serious fault and fits."""
    with windows.visit(PHONE, color_scheme="dark") as visit:
        page = visit.page
        page.goto(story.consent_link(organisation))
        assert ([], 0) == (visit.faults(), visit.too_wide())

        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Continue to Microsoft")).to_be_focused()
        page.keyboard.press("Enter")
        page.wait_for_url("https://login.microsoftonline.com/**")
        page.get_by_role("button", name="Accept").press("Enter")

        expect(page.get_by_role("heading", level=1)).to_have_text("Authorized successfully")
        assert ([], 0) == (visit.faults(), visit.too_wide())
        assert "active" == story.await_status(organisation, "active")["status"]
        assert [] == visit.complaints


def test_a_refused_consent(story: Story, organisation: Organisation, visit: Visit) -> None:
    """Whoever cancels at Microsoft is told so, and what to do next."""
    visit.page.goto(story.consent_link(organisation))
    visit.page.get_by_role("button", name="Continue to Microsoft").click()
    visit.page.get_by_role("button", name="Cancel").click()

    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Consent was cancelled")
    assert [] == visit.faults()


def test_a_link_that_nobody_knows(story: Story, visit: Visit) -> None:
    """A problem is a page as well."""
    answer = visit.page.goto(f"{story.stack.host.url}/api/consent/start/abc")

    assert answer is not None
    assert 400 <= answer.status < 500
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("We do not know this link")
    assert ([], 0) == (visit.faults(), visit.too_wide())

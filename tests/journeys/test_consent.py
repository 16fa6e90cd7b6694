"""Consent as an administrator meets it, and as an attacker would like it to be."""

import httpx
import pytest

from localcloud.story import Organisation, Story

pytestmark = pytest.mark.enable_socket


def test_the_first_consent_ends_in_authorized_successfully(story: Story, organisation: Organisation) -> None:
    """Accepting at Microsoft's page makes the grant active with all roles."""
    story.accept(organisation)
    grant = story.await_status(organisation, "active")

    assert ["Mail.ReadWrite", "Mail.Send", "User.Read.All"] == sorted(grant["roles"]["granted"])
    assert [] == grant["roles"]["missing"]


def test_a_scanner_that_opens_the_link_first_changes_nothing(story: Story, organisation: Organisation) -> None:
    """GET and HEAD of a link may be repeated; the administrator after them succeeds."""
    link = story.consent_link(organisation)
    scanner = story.stack.browser()
    assert [200, 200] == [scanner.open(link, method="HEAD").status, scanner.open(link).status]
    scanner.close()

    browser = story.stack.browser()
    page = browser.submit(browser.submit(browser.open(link), "Continue to Microsoft"), "Accept")
    browser.close()

    assert 200 == page.status
    story.await_status(organisation, "active")


@pytest.mark.parametrize("shape", ["access_denied", "consent_required", "permission_denied"])
def test_a_cancelled_consent_grants_nothing(story: Story, organisation: Organisation, shape: str) -> None:
    """In each of Microsoft's three error shapes the error decides, even beside admin_consent=True or without state."""
    browser = story.stack.browser()
    microsoft = browser.submit(browser.open(story.consent_link(organisation)), "Continue to Microsoft")
    page = browser.submit(microsoft, "Cancel", cancel_as=shape)
    browser.close()

    assert "/api/consent/" in page.url
    assert "not" in page.text.lower()
    assert "successfully" not in page.text.lower()
    assert story.grant_of(organisation) in (None, {}) or story.grant_of(organisation)["status"] == "denied"  # type: ignore[index]


def test_roles_that_appear_late_are_awaited(story: Story, organisation: Organisation) -> None:
    """A grant whose roles are not visible yet propagates, and becomes active by itself."""
    story.stack.control.set_modes(**{f"propagation_seconds:{organisation.tenant}": 2})
    story.accept(organisation)
    first = story.grant_of(organisation)

    assert first is not None
    assert first["status"] in ("pending", "propagating", "active")
    story.await_status(organisation, "active")


def _callback(story: Story, organisation: Organisation) -> tuple[str, str]:
    """Return Microsoft's way back for an accepted consent without following it, and the cookie that belongs to it."""
    browser = story.stack.browser()
    microsoft = browser.submit(browser.open(story.consent_link(organisation)), "Continue to Microsoft")
    browser._client.follow_redirects = False
    back = browser.submit(microsoft, "Accept").headers["location"]
    cookie = "; ".join(f"{item.name}={item.value}" for item in browser.cookies.jar if item.name.startswith("mg-"))
    browser.close()
    return back, cookie


def _open(url: str, cookie: str = "") -> httpx.Response:
    return httpx.get(url, headers={"Cookie": cookie} if cookie else {}, trust_env=False, timeout=30)


def test_a_callback_from_another_browser_is_refused(story: Story, organisation: Organisation) -> None:
    """Without the cookie of the browser that started, nothing happens, and the page says what to do."""
    back, cookie = _callback(story, organisation)

    refused = _open(back)

    assert 400 <= refused.status_code < 500
    assert story.grant_of(organisation) is None
    assert 303 == _open(back, cookie).status_code


def test_a_replayed_callback_does_nothing_and_leads_to_the_same_page(story: Story, organisation: Organisation) -> None:
    """The same answer in the same browser gets the same result page, however often."""
    back, cookie = _callback(story, organisation)

    first, second = _open(back, cookie), _open(back, cookie)

    assert 303 == first.status_code == second.status_code
    assert first.headers["location"] == second.headers["location"]


def test_a_forged_tenant_is_refused(story: Story, organisation: Organisation, consented: Organisation) -> None:
    """A victim's tenant in an attacker's callback makes no grant."""
    attacker = story.found("attacker.example", "Attacker")
    story.register(attacker)
    back, cookie = _callback(story, attacker)

    answer = _open(back.replace(attacker.tenant, consented.tenant), cookie)

    assert 303 == answer.status_code
    page = _open(answer.headers["location"])
    assert "tenant" in page.text.lower()
    assert story.grant_of(attacker) is None


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?state=nonsense&tenant=x&admin_consent=True",
        "?admin_consent=True&error=access_denied",
        "?error=access_denied",
    ],
)
def test_a_callback_out_of_nowhere_shows_a_page_that_helps(story: Story, query: str) -> None:
    """Unknown or missing state: an error page in words, nothing changed, no server error."""
    answer = _open(f"{story.stack.host.url}/api/consent/callback{query}")

    assert 400 == answer.status_code
    assert "text/html" in answer.headers["content-type"]
    assert "link" in answer.text.lower()

"""Consent where any organisation may answer: who signs in decides, and nobody can answer for a stranger's tenant."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from localcloud.administrator import RefusedError
from localcloud.browser import Browser, Page
from localcloud.story import Organisation, Story

pytestmark = pytest.mark.enable_socket

_numbers = itertools.count(1)
ROLES = ["Mail.ReadWrite", "Mail.Send", "User.Read.All"]


@pytest.fixture
def customer(story: Story) -> Organisation:
    """Return a tenant with an administrator and people, and a multitenant app that asks for its consent."""
    organisation = story.found(f"customer{next(_numbers)}.example", "Customer")
    story.register_multitenant(organisation)
    return organisation


@contextmanager
def browsing(story: Story) -> Iterator[Browser]:
    """Lend a browser."""
    browser = story.stack.browser()
    try:
        yield browser
    finally:
        browser.close()


def to_sign_in(story: Story, browser: Browser, customer: Organisation, **link: Any) -> Page:
    """Walk a link and accept as the customer's administrator; return Microsoft's sign-in page."""
    microsoft = browser.submit(browser.open(story.consent_link(customer, **link)), "Continue to Microsoft")
    return browser.submit(microsoft, "Accept", user=customer.address("admin"))


def actions(story: Story, customer: Organisation) -> list[tuple[str, str]]:
    """Return what was audited of the customer's callbacks."""
    lines = story.stack.admin.get("audit", limit=200)["data"]
    mine = [line for line in lines if line["targets"].get("credential_id") == customer.credential["id"]]
    return [(line["action"], line["outcome"]) for line in mine if line["actor"] == "browser"]


def test_an_administrator_consents_and_signs_in(story: Story, customer: Organisation) -> None:
    """Accept, sign in as the same administrator: the grant is active and confirmed, and its connections may be made."""
    with browsing(story) as browser:
        page = browser.submit(to_sign_in(story, browser, customer), "Sign in", user=customer.address("admin"))
        assert "/api/consent/result/" in page.url
    grant = story.await_status(customer, "active")

    assert (True, None) == (grant["confirmed"], grant["signed_in_as"])
    assert ROLES == grant["roles"]["granted"]
    assert [("consent.sign_in", "signed_in"), ("consent.callback", "consented")] == actions(story, customer)
    story.connect_outgoing(customer, "box")


def test_somebody_else_of_the_tenant_signs_in(story: Story, customer: Organisation) -> None:
    """Who is no administrator leaves an unconfirmed grant, useless until the operator has seen whose it is."""
    with browsing(story) as browser:
        browser.submit(to_sign_in(story, browser, customer), "Sign in", user=customer.address("bob"))
    grant = story.await_status(customer, "unconfirmed")

    assert (customer.tenant, customer.domain, customer.address("bob")) == (
        grant["tenant"],
        grant["tenant_domain"],
        grant["signed_in_as"],
    )
    with pytest.raises(RefusedError) as refused:
        story.connect_outgoing(customer, "box")
    assert "grant_not_usable" == refused.value.problem["code"]
    confirmed = story.stack.admin.post(f"grants/{grant['id']}/confirm")
    assert ("active", customer.address("bob")) == (confirmed["status"], confirmed["signed_in_as"])
    story.connect_outgoing(customer, "box")


def test_who_knows_the_tenant_beforehand_needs_no_confirmation(story: Story, customer: Organisation) -> None:
    """A link for one tenant, named by its domain, is proven by any member's sign-in."""
    with browsing(story) as browser:
        signing_in = to_sign_in(story, browser, customer, expected_tenant=customer.domain)
        browser.submit(signing_in, "Sign in", user=customer.address("bob"))

    assert story.await_status(customer, "active")["confirmed"]


def test_a_forged_tenant_ends_at_the_sign_in(story: Story, customer: Organisation) -> None:
    """An attacker puts a tenant that consented long ago into the callback, and can sign in only at home."""
    with browsing(story) as browser:
        browser.submit(to_sign_in(story, browser, customer), "Sign in", user=customer.address("admin"))
    victim = story.await_status(customer, "active")["tenant"]
    attacker = story.found(f"attacker{next(_numbers)}.example", "Attacker")
    attacker.credential = customer.credential
    with browsing(story) as browser:
        start = browser.open(story.consent_link(customer))
        state = parse_qs(urlsplit(browser.submit(start, "Continue to Microsoft").url).query)["state"][0]
        forged = urlencode({"admin_consent": "True", "tenant": victim, "state": state})
        signing_in = browser.open(f"{story.stack.host.url}/api/consent/callback?{forged}")
        page = browser.submit(signing_in, "Sign in", user=attacker.address("admin"))

    assert "another organisation" in page.text
    assert ("consent.sign_in", "wrong_tenant") == actions(story, customer)[0]
    assert [victim] == [grant["tenant"] for grant in grants_of(story, customer)]


def grants_of(story: Story, customer: Organisation) -> list[dict[str, Any]]:
    """Return the grants of the customer's credential."""
    grants = story.stack.admin.get("grants", limit=200)["data"]
    return [grant for grant in grants if grant["credential_id"] == customer.credential["id"]]


def test_a_sign_in_elsewhere_is_refused_and_the_link_stays_good(story: Story, customer: Organisation) -> None:
    """With the wrong account the page says so; the same link then works with the right one."""
    other = story.found(f"elsewhere{next(_numbers)}.example", "Elsewhere")
    link = story.consent_link(customer)
    pages = []
    for user in (other.address("admin"), customer.address("admin")):
        with browsing(story) as browser:
            microsoft = browser.submit(browser.open(link), "Continue to Microsoft")
            signing_in = browser.submit(microsoft, "Accept", user=customer.address("admin"))
            pages.append(browser.submit(signing_in, "Sign in", user=user).text)

    assert "Another organisation answered" in pages[0]
    story.await_status(customer, "active")


def test_a_cancelled_sign_in_grants_nothing(story: Story, customer: Organisation) -> None:
    """The consent stands at Microsoft, and nothing is used here."""
    with browsing(story) as browser:
        page = browser.submit(to_sign_in(story, browser, customer), "Cancel")

    assert "cancelled" in page.text
    assert [] == grants_of(story, customer)


def test_a_cancelled_consent_leads_to_no_sign_in(story: Story, customer: Organisation) -> None:
    """With state it leads to a page that says so; without state, by the cookie, to one that says what to do."""
    for shape, words in (("access_denied", "was cancelled"), ("permission_denied", "cancelled or refused")):
        with browsing(story) as browser:
            microsoft = browser.submit(browser.open(story.consent_link(customer)), "Continue to Microsoft")
            page = browser.submit(microsoft, "Cancel", cancel_as=shape)
        assert words in page.text
    assert [] == grants_of(story, customer)


def test_a_scanner_opens_the_link_first(story: Story, customer: Organisation) -> None:
    """What a scanner may open is the page; the way on needs the button, and the way back the cookie."""
    link = story.consent_link(customer)
    for method in ("HEAD", "GET"):
        assert 200 == httpx.request(method, link, trust_env=False, timeout=30).status_code
    with browsing(story) as browser:
        microsoft = browser.submit(browser.open(link), "Continue to Microsoft")
        signing_in = browser.submit(microsoft, "Accept", user=customer.address("admin"))
        state = parse_qs(urlsplit(signing_in.url).query)["state"][0]
        back = f"{story.stack.host.url}/api/consent/callback?{urlencode({'state': state, 'code': 'guessed'})}"
        assert 403 == httpx.get(back, trust_env=False, timeout=30).status_code
        browser.submit(signing_in, "Sign in", user=customer.address("admin"))

    story.await_status(customer, "active")


def test_a_link_is_withdrawn_while_the_administrator_signs_in(story: Story, customer: Organisation) -> None:
    """Withdrawing works until the sign-in came back."""
    links = f"credentials/{customer.credential['id']}/consent-links"
    with browsing(story) as browser:
        signing_in = to_sign_in(story, browser, customer)
        story.stack.admin.delete(f"{links}/{story.stack.admin.get(links)['data'][0]['id']}")
        page = browser.submit(signing_in, "Sign in", user=customer.address("admin"))

    assert 410 == page.status
    assert "withdrawn" in page.text
    assert [] == grants_of(story, customer)
    assert ("consent.sign_in", "withdrawn") == actions(story, customer)[0]


def test_a_permission_is_added_and_consented_again(story: Story, customer: Organisation) -> None:
    """What was granted works on as it was; the new right appears after another consent, on the same grant."""
    control, more = story.stack.control, "Calendars.Read"
    with browsing(story) as browser:
        browser.submit(to_sign_in(story, browser, customer), "Sign in", user=customer.address("admin"))
    first = story.await_status(customer, "active")
    story.connect_outgoing(customer, "box")

    control.change_registration(customer.client_id, required_roles=[*ROLES, more])
    checked = story.stack.admin.post(f"grants/{first['id']}/verify")
    assert ("active", ROLES, []) == (checked["status"], checked["roles"]["granted"], checked["roles"]["excess"])
    with browsing(story) as browser:
        browser.submit(to_sign_in(story, browser, customer), "Sign in", user=customer.address("admin"))
    again = story.stack.admin.post(f"grants/{first['id']}/verify")

    assert ("active", ROLES, [more]) == (again["status"], again["roles"]["granted"], again["roles"]["excess"])
    assert [first["id"]] == [grant["id"] for grant in grants_of(story, customer)]


@pytest.mark.parametrize("tenant", ["common", "consumers", "9188040d-6c67-4c5b-b112-36a304b66dad"])
def test_personal_accounts_are_refused_by_name(story: Story, customer: Organisation, tenant: str) -> None:
    """For a link and for a check, with the code that the documentation names."""
    path = f"credentials/{customer.credential['id']}"
    for ask, body in ((f"{path}/consent-links", {"expected_tenant": tenant}), (f"{path}/verify", {"tenant": tenant})):
        with pytest.raises(RefusedError) as refused:
            story.stack.admin.post(ask, body)
        assert (422, "personal_accounts_unsupported") == (refused.value.status, refused.value.problem["code"])

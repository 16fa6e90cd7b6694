"""The consent pages as a browser meets them: words, cookies, redirects, headers, nothing that a scanner could do."""

from html.parser import HTMLParser
from urllib.parse import parse_qs, urlencode, urlsplit

import azure.functions as func
import pytest

from functions import consent_http
from shared.credentials import Credential
from tests.fakes.entra import ALL_ROLES
from tests.scenes.administration import CLIENT_ID, CONTOSO, FABRIKAM, Administration
from tests.scenes.calls import Caller

HOST = {"Host": "mail.example"}


@pytest.fixture
def admin() -> Administration:
    """Return an administration in which Contoso would grant everything."""
    made = Administration()
    made.entra.grants[CONTOSO] = ALL_ROLES
    return made


@pytest.fixture
def caller(admin: Administration) -> Caller:
    """Return the pages."""
    return Caller(consent_http.blueprint(admin.consent, admin.settings))


@pytest.fixture
def link(admin: Administration) -> str:
    """Return a consent link of Contoso."""
    return urlsplit(admin.links.create(admin.credential().id).url).path


class Words(HTMLParser):
    """The words of a page, and whether its elements are closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember what must be closed."""
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost element, which must be this one."""
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.words += data.split()


def text_of(page: func.HttpResponse) -> str:
    """Return the words of a page whose elements are all closed."""
    parsed = Words(page.get_body().decode())
    assert [] == parsed.open
    return " ".join(parsed.words)


def go(caller: Caller, link: str) -> tuple[str, dict[str, str]]:
    """Press the button; return the state that goes to Microsoft and the headers of the browser that comes back."""
    answer = caller.call("POST", link, b"", HOST)
    assert 303 == answer.status_code
    state = parse_qs(urlsplit(answer.headers["Location"]).query)["state"][0]
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    return state, {**HOST, "Cookie": f"theme=dark; {cookie}"}


def test_the_first_page_says_who_asks_for_what(caller: Caller, link: str) -> None:
    """Name, tenant, each right in plain words, the role needed, how to limit and how to revoke; one button."""
    page = caller.call("GET", link, headers=HOST)
    text = text_of(page)

    assert 200 == page.status_code
    for words in ("Contoso", CONTOSO, *ALL_ROLES, "Privileged Role Administrator", "Enterprise applications"):
        assert words in text
    assert "RBAC for Applications" in text
    assert b'method="post"' in page.get_body()


def test_get_and_head_change_nothing(admin: Administration, caller: Caller, link: str) -> None:
    """Mail scanners open links."""
    before = admin.tables.tickets.everything()
    for method in ("GET", "HEAD", "GET"):
        assert 200 == caller.call(method, link, headers=HOST).status_code

    assert before == admin.tables.tickets.everything()


def test_every_page_is_kept_by_nobody_and_framed_by_nobody(caller: Caller, link: str) -> None:
    """No cache, no referrer, no frame, no script; the style sheet is our own."""
    for page in (caller.call("GET", link, headers=HOST), caller.call("GET", "consent/start/nonsense", headers=HOST)):
        assert "no-store" == page.headers["Cache-Control"]
        assert "no-referrer" == page.headers["Referrer-Policy"]
        assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
        assert "script" not in page.get_body().decode()
        assert page.headers["X-Request-Id"].startswith("req_")


def test_the_cookie_is_bound_to_host_https_and_a_quarter_of_an_hour(caller: Caller, link: str) -> None:
    """HttpOnly, Lax (Strict would not come back), Secure with the prefix that browsers enforce."""
    cookie = caller.call("POST", link, b"", HOST).headers["Set-Cookie"]

    assert cookie.startswith("__Host-mg-")
    assert ["Max-Age=900", "Path=/", "HttpOnly", "SameSite=Lax", "Secure"] == cookie.split("; ")[1:]


def test_on_loopback_the_cookie_does_without_https() -> None:
    """Plain http is for 127.0.0.1 only, where neither prefix nor Secure would work."""
    admin = Administration("http://127.0.0.1:7071")
    caller = Caller(consent_http.blueprint(admin.consent, admin.settings))
    link = urlsplit(admin.links.create(admin.credential().id).url).path
    cookie = caller.call("POST", link, b"", {"Host": "127.0.0.1:7071"}).headers["Set-Cookie"]

    assert cookie.startswith("mg-")
    assert "Secure" not in cookie


def test_another_host_is_redirected_before_anything_happens(admin: Administration, caller: Caller, link: str) -> None:
    """A cookie for the wrong host would not come back; a proxy's own host beside the public one is fine."""
    elsewhere = {"Host": "app.azurewebsites.net"}
    shown, pressed = caller.call("GET", link, headers=elsewhere), caller.call("POST", link, b"", elsewhere)

    assert (307, 303) == (shown.status_code, pressed.status_code)
    assert f"https://mail.example{link}" == shown.headers["Location"] == pressed.headers["Location"]
    assert "Set-Cookie" not in pressed.headers
    behind = {**elsewhere, "X-Forwarded-Host": "mail.example"}
    assert 200 == caller.call("GET", link, headers=behind).status_code


def test_the_whole_way_ends_in_authorized_successfully(admin: Administration, caller: Caller, link: str) -> None:
    """The result page looks again by itself until there is nothing to wait for."""
    state, browser = go(caller, link)
    back = caller.call("GET", f"consent/callback?admin_consent=True&tenant={CONTOSO}&state={state}", headers=browser)
    result = urlsplit(back.headers["Location"]).path
    waiting = caller.call("GET", result, headers=HOST)
    admin.work()
    done = caller.call("GET", result, headers=HOST)

    assert (303, 200, "3") == (back.status_code, waiting.status_code, waiting.headers["Refresh"])
    assert "being checked" in text_of(waiting)
    assert "Authorized successfully" in text_of(done)
    assert "Refresh" not in done.headers


def test_a_tenant_that_grants_nothing_is_told_what_is_missing(admin: Administration, caller: Caller, link: str) -> None:
    """While rights spread the page names those not visible yet."""
    admin.entra.grants[CONTOSO] = ()
    state, browser = go(caller, link)
    back = caller.call("GET", f"consent/callback?admin_consent=True&tenant={CONTOSO}&state={state}", headers=browser)
    admin.work()
    page = caller.call("GET", urlsplit(back.headers["Location"]).path, headers=HOST)

    assert "Mail.Send not visible yet" in text_of(page)
    assert "Refresh" in page.headers


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("error=access_denied&error_subcode=cancel", "Consent was cancelled"),
        ("admin_consent=True&error=consent_required&error_description=AADSTS65004%3A+no", "AADSTS65004"),
        (f"admin_consent=True&tenant={FABRIKAM}", "Another organisation answered"),
        ("admin_consent=True", "incomplete"),
    ],
)
def test_a_refusal_is_a_page_that_says_what_to_do(
    admin: Administration, caller: Caller, link: str, query: str, words: str
) -> None:
    """What happened, what to do, nothing changed; and a number that the audit log knows, which is no secret."""
    state, browser = go(caller, link)
    back = caller.call("GET", f"consent/callback?{query}&state={state}", headers=browser)
    page = text_of(caller.call("GET", urlsplit(back.headers["Location"]).path, headers=HOST))
    now = admin.clock().strftime("%Y%m")
    known = [row.values.get("state_id") for row in admin.tables.audit.read(now, "0", "~", 99).rows]

    assert words in page
    assert "Nothing was changed" in page
    assert page.partition(" Attempt ")[2].split()[0] in known
    assert state not in page


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("consent/callback", 400),
        ("consent/callback?state=nonsense&tenant=x&admin_consent=True", 400),
        ("consent/callback?error=access_denied", 400),
        ("consent/start/nonsense", 404),
        ("consent/result/nonsense", 404),
    ],
)
def test_whatever_is_unknown_is_a_page_not_a_problem(caller: Caller, url: str, status: int) -> None:
    """Browsers get words."""
    page = caller.call("GET", url, headers=HOST)

    assert (status, "text/html") == (page.status_code, page.mimetype)
    assert "link" in text_of(page).lower()


def test_another_browser_is_refused(admin: Administration, caller: Caller, link: str) -> None:
    """Without the cookie the answer is somebody else's."""
    state, _ = go(caller, link)
    page = caller.call("GET", f"consent/callback?admin_consent=True&tenant={CONTOSO}&state={state}", headers=HOST)

    assert (403, []) == (page.status_code, admin.grants.all())
    assert "another browser" in text_of(page)


def test_words_of_others_are_text(admin: Administration, caller: Caller) -> None:
    """A name with markup in it is shown as it was typed."""
    credential: Credential = admin.credential(name="<script>alert(1)</script>")
    page = caller.call("GET", urlsplit(admin.links.create(credential.id).url).path, headers=HOST)

    assert b"<script>" not in page.get_body()
    assert "<script>alert(1)</script>" in text_of(page)


def test_a_failure_of_ours_is_a_page_without_details(admin: Administration, caller: Caller, link: str) -> None:
    """Storage trouble is 503, anything unforeseen 500; neither shows what went wrong inside."""
    admin.tables.tickets.failures.plan("get")
    admin.tables.tickets.failures.plan("get", RuntimeError("secret inside"))

    first, second = caller.call("GET", link, headers=HOST), caller.call("GET", link, headers=HOST)

    assert (503, 500) == (first.status_code, second.status_code)
    assert b"secret inside" not in second.get_body()


def test_the_style_sheet_is_public_and_cached(caller: Caller) -> None:
    """All pages share one sheet from our own host."""
    sheet = caller.call("GET", "consent/style.css", headers=HOST)

    assert (200, "text/css") == (sheet.status_code, sheet.mimetype)
    assert "public" in sheet.headers["Cache-Control"]


def test_consent_pages_are_open_to_everyone(caller: Caller) -> None:
    """Their protection is the ticket, the state and the cookie."""
    assert {"anonymous"} == {level.lower() for level in caller.levels().values()}


def back_from(caller: Caller, link: str, query: str = f"admin_consent=True&tenant={CONTOSO}") -> str:
    """Walk the whole way; return the path of the result page."""
    state, browser = go(caller, link)
    back = caller.call("GET", f"consent/callback?{query}&state={state}", headers=browser)
    return str(urlsplit(back.headers["Location"]).path)


def test_limiting_to_mailboxes_is_described_as_it_works(caller: Caller, link: str) -> None:
    """A policy narrows what is accepted; RBAC for Applications only adds, so the rights must then be removed."""
    text = text_of(caller.call("GET", link, headers=HOST))

    assert "New-ApplicationAccessPolicy" in text
    assert "only adds rights and does not narrow" in text


def test_consent_given_again_waits_for_its_own_check(admin: Administration, caller: Caller) -> None:
    """What was missing before is not said to be missing after: the rights are looked at first."""
    credential = admin.credential()
    grant = admin.consented(credential, roles=ALL_ROLES[:2])
    admin.clock.advance(60)
    admin.tick.run()
    admin.clock.advance(3600)
    admin.entra.grants[CONTOSO] = ALL_ROLES
    result = back_from(caller, urlsplit(admin.links.create(credential.id).url).path)
    waiting = caller.call("GET", result, headers=HOST)
    admin.work()

    assert grant.id == admin.grants.all()[0].id
    assert "Refresh" in waiting.headers
    assert "being checked" in text_of(waiting)
    assert "Authorized successfully" in text_of(caller.call("GET", result, headers=HOST))


def test_a_consent_ends_in_a_receipt_to_keep(admin: Administration, caller: Caller, link: str) -> None:
    """What, when, which tenant and rights, how to limit it, how to take it back; none while nothing is settled."""
    result = back_from(caller, link)
    waiting = text_of(caller.call("GET", result, headers=HOST))
    admin.work()
    grant = admin.grants.all()[0]
    text = text_of(caller.call("GET", result, headers=HOST))

    assert "Receipt" not in waiting
    told = (CLIENT_ID, CONTOSO, f"{grant.since[:16].replace('T', ' ')} UTC", ", ".join(ALL_ROLES), grant.id)
    assert [] == [part for part in told if part not in text]
    assert "New-ManagementRoleAssignment" in text
    assert "Enterprise applications" in text


def test_a_consent_that_gave_nothing_has_no_receipt(admin: Administration, caller: Caller, link: str) -> None:
    """There is nothing to keep of a refusal."""
    result = back_from(caller, link, "error=access_denied&error_description=AADSTS65004")

    assert "Receipt" not in text_of(caller.call("GET", result, headers=HOST))


def test_a_grant_that_was_deleted_is_not_waited_for(admin: Administration, caller: Caller, link: str) -> None:
    """The page ends, and says whom to ask."""
    result = back_from(caller, link)
    admin.work()
    admin.grants.delete(admin.grants.all()[0].id)
    page = caller.call("GET", result, headers=HOST)

    assert "Refresh" not in page.headers
    assert "Ask whoever sent you the link for a new one" in text_of(page)


def test_a_secret_that_is_wrong_is_not_the_tenants_to_mend(admin: Administration, caller: Caller) -> None:
    """The tenant's administrator has done their part and is told so."""
    credential = admin.credential(client_secret="wrong-secret~of-contoso")
    result = back_from(caller, urlsplit(admin.links.create(credential.id).url).path)
    admin.work()
    text = text_of(caller.call("GET", result, headers=HOST))

    assert "You have done your part" in text


def test_an_unconfirmed_tenant_need_do_nothing(admin: Administration, caller: Caller) -> None:
    """It is the operator who confirms; the page says so in the tenant's terms."""
    credential = admin.credential(tenant="organizations")
    state, headers = go(caller, urlsplit(admin.links.create(credential.id).url).path)
    consented = urlencode({"admin_consent": "True", "tenant": CONTOSO, "state": state})
    to_sign_in = caller.call("GET", f"/api/consent/callback?{consented}", headers=headers)
    answer = urlencode(admin.sign_in.at_page(to_sign_in.headers["Location"], CONTOSO))
    headers = {**HOST, "Cookie": to_sign_in.headers["Set-Cookie"].partition(";")[0]}
    result = caller.call("GET", f"/api/consent/callback?{answer}", headers=headers).headers["Location"]
    admin.work()
    text = text_of(caller.call("GET", result, headers=HOST))

    assert "HttpOnly; SameSite=Lax; Secure" in to_sign_in.headers["Set-Cookie"]
    assert "waiting for confirmation" in text
    assert "You need not do anything more" in text


def test_a_link_that_led_to_a_grant_says_so(admin: Administration, caller: Caller, link: str) -> None:
    """In words, and not as a conflict."""
    back_from(caller, link)
    page = caller.call("GET", link, headers=HOST)

    assert 409 == page.status_code
    assert "This link has done its work" in text_of(page)


def test_an_outage_is_a_page_that_can_be_loaded_again(admin: Administration, caller: Caller, link: str) -> None:
    """It says so, and when; a program that asks reads Retry-After."""
    admin.tables.tickets.failures.plan("get")
    page = caller.call("GET", link, headers=HOST)

    assert (503, "10") == (page.status_code, page.headers["Retry-After"])
    assert "load this page again" in text_of(page)


def test_nothing_of_a_ticket_gets_into_a_header_unquoted(caller: Caller) -> None:
    """A redirect to the public host carries what anybody wrote into the address."""
    shown = caller.call("GET", 'consent/start/x" é', headers={"Host": "other.example"})

    assert "https://mail.example/api/consent/start/x%22%20%C3%A9" == shown.headers["Location"]


def test_every_page_and_sheet_bears_its_request_id(caller: Caller, link: str) -> None:
    """Whoever asks for help can name it."""
    for path in (link, "consent/style.css", "consent/result/x", "consent/callback"):
        assert caller.call("GET", path, headers=HOST).headers["X-Request-Id"].startswith("req_")

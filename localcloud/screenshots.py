"""`make screenshots`: every page of the console and of consent as a picture, from a product with real mail in it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localcloud.administrator import wait_until
from localcloud.children import PROJECT
from localcloud.chromium import DESK, PHONE, chromium
from localcloud.console_visit import ConsoleVisit
from localcloud.stack import Stack
from localcloud.story import Organisation, Story, letter

if TYPE_CHECKING:
    import argparse

    from localcloud.chromium import Chromium

FOLDER = PROJECT / "docs" / "screenshots"
MAILS = 12
_TEMPLATE = {
    "to": "{{ payload.customer.email }}",
    "subject": "Order {{ payload.number }} is on its way",
    "text": "Hello {{ payload.customer.name }}, your order {{ payload.number }} left us today.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pictures go (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Start everything, fill it, take the pictures, and name them."""
    args.folder.mkdir(parents=True, exist_ok=True)
    with Stack(say=_say) as stack, chromium(stack.cloud["HTTPS_PROXY"]) as browser:
        story = Story(stack)
        contoso = story.found("contoso.example", "Contoso")
        story.register(contoso)
        _consent(browser, story, contoso, args.folder)
        places = _fill(story, contoso)
        _console(browser, stack, places, args.folder)
    _index(args.folder)
    return 0


def _index(folder: Path) -> None:
    """Write a page that shows every picture."""
    pictures = [f"## {path.stem}\n\n![{path.stem}]({path.name})\n" for path in sorted(folder.glob("*.png"))]
    words = "`make screenshots` takes these pictures from a running product with real mail in it."
    (folder / "README.md").write_text("\n".join(["# Every page\n", f"{words}\n", *pictures]), encoding="utf-8")


def _consent(browser: Chromium, story: Story, organisation: Organisation, folder: Path) -> None:
    with browser.visit(DESK) as visit:
        page = visit.page
        page.goto(story.consent_link(organisation))
        page.screenshot(path=folder / "consent-start.png", full_page=True)
        page.get_by_role("button", name="Continue to Microsoft").click()
        page.get_by_role("button", name="Accept").click()
        page.get_by_role("heading", name="Authorized successfully").wait_for()
        page.screenshot(path=folder / "consent-result.png", full_page=True)
        page.goto(story.consent_link(organisation))
        page.get_by_role("button", name="Continue to Microsoft").click()
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("heading", name="Consent was cancelled").wait_for()
        page.screenshot(path=folder / "consent-refused.png", full_page=True)
        page.goto(f"{story.stack.host.url}/api/consent/start/unknown")
        page.screenshot(path=folder / "consent-problem.png", full_page=True)
        page.goto(f"{story.stack.host.url}/api/reference")
        page.screenshot(path=folder / "reference.png")
    story.await_status(organisation, "active")


def _fill(story: Story, organisation: Organisation) -> dict[str, str]:
    """Let mail come and go; return the addresses of the console's views by the names of their pictures."""
    admin = story.stack.admin
    story.fill(organisation.address("box"), MAILS)
    reader = story.connect_incoming(organisation, "box")["id"]
    connection, token = story.connect_outgoing(organisation, "ann", recipient_allow_list=["@contoso.example"])
    sender = connection["id"]
    for number in range(3):
        story.post_message(token, letter(number, organisation.address("bob"))).raise_for_status()
    admin.put(f"connections/{sender}/templates/order", _TEMPLATE)
    admin.post(f"connections/{sender}/hooks", {"template": "order"})

    def settled(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [entry for entry in entries if entry["status"] not in ("queued", "sending")]

    def mail() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = admin.get(f"connections/{reader}/received", status="delivered")["data"]
        return found if len(found) == MAILS else []

    received = wait_until("the mail is delivered", mail)
    sent = wait_until("a mail is sent", lambda: settled(admin.get(f"connections/{sender}/outbox")["data"]))
    return {
        "overview": "",
        "guide": "guide",
        "credentials": "credentials",
        "credential": f"credentials/{organisation.credential['id']}",
        "credential-new": "credentials/new",
        "grants": "grants",
        "grant": f"grants/{organisation.grant['id']}",
        "connections": "connections",
        "connection-new": "connections/new",
        "connection": f"connections/{reader}",
        "connection-outgoing": f"connections/{sender}",
        "received": f"connections/{reader}/received",
        "message": f"received/{received[0]['id']}",
        "log": f"connections/{reader}/log",
        "outbox": f"connections/{sender}/outbox",
        "outbox-message": f"outbox/{sent[0]['id']}",
        "tokens": f"connections/{sender}/tokens",
        "templates": f"connections/{sender}/templates",
        "template": f"connections/{sender}/templates/order",
        "hooks": f"connections/{sender}/hooks",
        "activity": "activity",
        "audit": "audit",
    }


def _console(browser: Chromium, stack: Stack, places: dict[str, str], folder: Path) -> None:
    """Take a picture of each view that there is, and of some on a phone in the dark."""
    with browser.visit(DESK) as visit, browser.visit(PHONE, color_scheme="dark") as phone:
        persons = [("", ConsoleVisit(visit, stack.host.url)), ("-phone", ConsoleVisit(phone, stack.host.url))]
        persons[0][1].page.goto(f"{stack.host.url}/api/console")
        persons[0][1].settled()
        persons[0][1].page.screenshot(path=folder / "sign-in.png", full_page=True)
        for suffix, person in persons:
            person.sign_in(stack.host.host_key)
            for name, path in places.items():
                if suffix and name not in ("overview", "connection", "message"):
                    continue
                person.go(path)
                if person.page.get_by_role("heading", level=1).inner_text() == "This cannot be shown":
                    _say(f"{name}: no such view")
                    continue
                if name == "message":
                    person.page.get_by_role("button", name="Open the message").click()
                    person.page.frame_locator("iframe.mail").locator("body > *").first.wait_for()
                person.page.screenshot(path=folder / f"{name}{suffix}.png", full_page=True)
                _say(f"{name}{suffix}.png")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

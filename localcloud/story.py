"""The steps of the product's main story, each with its proof at the receiving end."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from localcloud.administrator import wait_until
from localcloud.corpus import mails
from localcloud.downloads import pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localcloud.stack import Stack

LARGE_BYTES = 5 * 1024 * 1024


@dataclass
class Organisation:
    """A simulated tenant, its app registration, and what the product knows of both."""

    domain: str
    name: str
    tenant: str = ""
    client_id: str = ""
    credential: dict[str, Any] = field(default_factory=dict)
    grant: dict[str, Any] = field(default_factory=dict)

    def address(self, person: str) -> str:
        """Return a person's address."""
        return f"{person}@{self.domain}"


@dataclass
class Story:
    """What an administrator, a tenant admin and a sender do; runs against a started stack."""

    stack: Stack

    def found(self, domain: str, name: str, people: Sequence[str] = ("box", "ann", "bob")) -> Organisation:
        """Create a tenant with an administrator and *people*."""
        organisation = Organisation(domain, name)
        control = self.stack.control
        organisation.tenant = str(control.add_tenant(domain, name)["id"])
        control.add_user(
            domain, organisation.address("admin"), "Ada Admin", administrator_roles=["global_administrator"]
        )
        for person in people:
            control.add_user(domain, organisation.address(person), f"{person.capitalize()} of {name}")
        return organisation

    def register(self, organisation: Organisation, **details: Any) -> dict[str, Any]:
        """Register the app in Entra and create the credential; return it."""
        admin = self.stack.admin
        redirect_uri = admin.get("system")["redirect_uri"]
        app = self.stack.control.add_registration(
            organisation.tenant, f"Mailgrant for {organisation.name}", [redirect_uri], multitenant=False
        )
        organisation.client_id = app["client_id"]
        organisation.credential = admin.post(
            "credentials",
            {
                "name": organisation.name,
                "client_id": app["client_id"],
                "grant_type": "admin_consent",
                "auth_method": "secret",
                "cloud": "global",
                "tenant": organisation.tenant,
                "client_secret": app["secret"]["value"],
                **details,
            },
        )
        return organisation.credential

    def register_multitenant(self, organisation: Organisation) -> dict[str, Any]:
        """Register an app that any organisation may consent to, and create its credential; return it."""
        admin, name = self.stack.admin, f"Mailgrant for {organisation.name} and others"
        home = organisation.tenant
        app = self.stack.control.add_registration(home, name, [admin.get("system")["redirect_uri"]], multitenant=True)
        organisation.client_id = app["client_id"]
        organisation.credential = admin.post(
            "credentials",
            {
                "name": name,
                "client_id": app["client_id"],
                "grant_type": "admin_consent",
                "auth_method": "secret",
                "cloud": "global",
                "tenant": "organizations",
                "client_secret": app["secret"]["value"],
            },
        )
        return organisation.credential

    def consent_link(self, organisation: Organisation, **details: Any) -> str:
        """Create a consent link and return its address."""
        path = f"credentials/{organisation.credential['id']}/consent-links"
        return str(self.stack.admin.post(path, {"label": organisation.name, **details})["url"])

    def accept(self, organisation: Organisation) -> str:
        """Walk the consent link as the tenant's administrator and accept; return the words of the result page."""
        browser = self.stack.browser()
        try:
            start = browser.open(self.consent_link(organisation))
            microsoft = browser.submit(start, "Continue to Microsoft")
            return browser.submit(microsoft, "Accept").text
        finally:
            browser.close()

    def grant_of(self, organisation: Organisation) -> dict[str, Any] | None:
        """Return the tenant's grant, or None."""
        grants = self.stack.admin.get("grants")["data"]
        mine = [grant for grant in grants if grant["credential_id"] == organisation.credential["id"]]
        organisation.grant = mine[0] if mine else {}
        return mine[0] if mine else None

    def await_status(self, organisation: Organisation, status: str, seconds: float = 60) -> dict[str, Any]:
        """Wait until the tenant's grant has *status*; return the grant."""

        def reached() -> dict[str, Any] | None:
            grant = self.grant_of(organisation)
            return grant if grant and grant["status"] == status else None

        found: dict[str, Any] = wait_until(f"{organisation.name}'s grant is {status}", reached, seconds)
        return found

    def fill(self, address: str, count: int, start: int = 0) -> None:
        """Put *count* real mails into a mailbox."""
        self.stack.control.deliver_many(address, list(mails(count, start)))

    def connect_incoming(self, organisation: Organisation, person: str, **details: Any) -> dict[str, Any]:
        """Create an incoming connection whose mail goes to the receiver; return it."""
        path = f"{organisation.domain}-{person}"
        connection: dict[str, Any] = self.stack.admin.post(
            "connections",
            {
                "direction": "incoming",
                "grant_id": organisation.grant["id"],
                "mailbox": organisation.address(person),
                "name": f"{organisation.name} {person}",
                "folder": "inbox",
                "interval_minutes": 1,
                "start": "all",
                "after_fetch": {"action": "read"},
                "destination": {"type": "webhook", "url": self.stack.receiver.url(path)},
                **details,
            },
        )
        self.stack.receiver.secrets[path] = connection["signing_secret"]
        return connection

    def connect_outgoing(self, organisation: Organisation, person: str, **details: Any) -> tuple[dict[str, Any], str]:
        """Create an outgoing connection and a send token; return both."""
        connection = self.stack.admin.post(
            "connections",
            {
                "direction": "outgoing",
                "grant_id": organisation.grant["id"],
                "mailbox": organisation.address(person),
                "name": f"{organisation.name} {person} sends",
                **details,
            },
        )
        token = self.stack.admin.post(f"connections/{connection['id']}/tokens", {"scope": "send"})
        return connection, str(token["token"])

    def post_message(self, token: str, message: dict[str, Any], key: str = "") -> httpx.Response:
        """Ask for a send, as a webhook does; *key* is the idempotency key."""
        headers = {"Authorization": f"Bearer {token}"} | ({"Idempotency-Key": key} if key else {})
        return httpx.post(
            f"{self.stack.host.url}/api/messages", json=message, headers=headers, trust_env=False, timeout=30
        )

    def upload(self, token: str, name: str, content: bytes) -> str:
        """Put a large file into storage and return its upload id."""
        body = {"name": name, "content_type": "application/octet-stream", "size": len(content)}
        answer = httpx.post(
            f"{self.stack.host.url}/api/uploads",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            timeout=30,
        )
        upload = answer.raise_for_status().json()
        put = httpx.put(
            upload["put_url"], content=content, headers={"x-ms-blob-type": "BlockBlob"}, trust_env=False, timeout=60
        )
        put.raise_for_status()
        return str(upload["upload_id"])

    def fetched_bytes(self, addresses: Sequence[str]) -> Counter[str]:
        """Download the originals of mail delivered for *addresses*; return how often each SHA-256 was served."""
        events = [
            event
            for event in self.stack.receiver.of_type("mailgrant.message.received")
            if event["data"]["mailbox"]["address"] in addresses
        ]
        with httpx.Client(trust_env=False, timeout=30) as client, ThreadPoolExecutor(4) as pool:

            def digest(event: dict[str, Any]) -> str:
                raw = event["data"]["raw"]
                content = b"".join(pieces(client, raw["link"]))
                found = hashlib.sha256(content).hexdigest()
                return found if found == raw["sha256"] else f"differs from the announced hash of {event['id']}"

            return Counter(pool.map(digest, events))

    def mailbox_bytes(self, addresses: Sequence[str]) -> Counter[str]:
        """Return how often each SHA-256 stands in the inboxes of *addresses*, by what the mailbox itself serves."""
        found: Counter[str] = Counter()
        for address in addresses:
            found.update(message["sha256"] for message in self.inbox(address))
        return found

    def inbox(self, address: str) -> list[dict[str, Any]]:
        """Return the messages of an inbox as the mailbox holds them."""
        messages = self.stack.control.mailbox(address)["messages"]
        return [message for message in messages if message["folder"] == "inbox"]

    def unread(self, address: str) -> int:
        """Return how many mails of an inbox are not marked read; raises LookupError where the inbox is empty."""
        messages = self.inbox(address)
        if not messages:
            message = "the inbox is empty: nothing could be marked"
            raise LookupError(message)
        return sum(1 for message in messages if not message["is_read"])

    def copies(self, prefix: str) -> Counter[str]:
        """Return how many copies of each mail whose subject begins with *prefix* arrived, over all recipients."""
        found: Counter[str] = Counter()
        for copy in self.stack.control.all_received():
            if str(copy["subject"]).startswith(prefix):
                found[f"{copy['subject']} → {copy['address']}"] += 1
        return found


def letter(number: int, to: str, prefix: str = "Order", **details: Any) -> dict[str, Any]:
    """Return a message to send, recognisable by its subject."""
    return {
        "to": [to],
        "subject": f"{prefix} {number}",
        "text": f"Your order {number} is on its way.",
        "html": f"<p>Your order <b>{number}</b> is on its way.</p>",
        "headers": {"X-Order": str(number)},
        **details,
    }


def small_file(number: int) -> dict[str, Any]:
    """Return an attachment of a few bytes."""
    content = base64.b64encode(f"receipt {number}".encode()).decode()
    return {"name": f"receipt-{number}.txt", "content_type": "text/plain", "content": content}


def large_content() -> bytes:
    """Return 5 MB that do not compress and are the same each time."""
    block = hashlib.shake_256(b"large attachment").digest(64 * 1024)
    return block * (LARGE_BYTES // len(block))

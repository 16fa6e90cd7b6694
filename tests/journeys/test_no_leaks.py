"""Canaries through the whole product: what is secret stands nowhere, what is private in no log and no queue."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from azure.data.tables import TableServiceClient
from azure.storage.queue import QueueServiceClient

from localcloud.administrator import wait_until
from localcloud.story import Organisation, Story

pytestmark = pytest.mark.enable_socket

SENDER = "canary-sender@canaries.example"
RECIPIENT = "canary-recipient@canaries.example"
COPIED = "canary-copied@canaries.example"
SUBJECT_IN, SUBJECT_OUT = "canarysubjectin 4711", "canarysubjectout 4712"
BODY_IN, BODY_OUT = "canarybodyin-5813", "canarybodyout-5814"
KEY = "canary-idempotency-key-2718"
# Where the design lets an operator find a mail again; everything of it goes with the mail.
MAY_HOLD = {
    SENDER: {"receipts"},
    SUBJECT_IN: {"receipts"},
    RECIPIENT: {"outbox"},
    COPIED: {"outbox"},
    SUBJECT_OUT: {"outbox"},
}


@dataclass
class Canaries:
    """What was planted: *secret* may stand nowhere, *private* in no log and no queue; and the *answers* to refusals."""

    secret: dict[str, str] = field(default_factory=dict)
    private: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)


@pytest.fixture
def canaries(story: Story, organisation: Organisation) -> Canaries:
    """Return what was planted from a consent link to a delivered and a sent mail, with trouble on the way."""
    planted = Canaries()
    plant_secret(story, organisation, planted)
    consent(story, organisation, planted)
    receive(story, organisation, planted)
    send(story, organisation, planted)
    return planted


def plant_secret(story: Story, organisation: Organisation, planted: Canaries) -> None:
    """Rotate to a secret that is known here, after one that is wrong."""
    path = f"credentials/{organisation.credential['id']}/secret"
    planted.secret["new client secret"] = story.stack.control.add_secret(organisation.client_id)["value"]
    planted.secret["wrong client secret"] = "canary-wrong-secret-8Q~abcdefgh"
    for secret in ("wrong client secret", "new client secret"):
        body = json.dumps({"client_secret": planted.secret[secret]})
        planted.answers.append(call(story, "POST", path, body[:-1]).text)  # no JSON
        planted.answers.append(call(story, "POST", path, body).text)


def consent(story: Story, organisation: Organisation, planted: Canaries) -> None:
    """Walk the link, keeping what stands in URLs and cookies."""
    browser = story.stack.browser()
    link = story.consent_link(organisation)
    microsoft = browser.submit(browser.open(link), "Continue to Microsoft")
    planted.secret["ticket"] = link.rpartition("/")[2]
    planted.secret["state"] = parse_qs(urlsplit(microsoft.url).query)["state"][0]
    cookies = [cookie.value for cookie in browser.cookies.jar if cookie.name.startswith("mg-")]
    planted.secret["cookie"] = str(cookies[0])
    result = browser.submit(microsoft, "Accept")
    planted.secret["result"] = result.url.rpartition("/")[2]
    browser.close()
    story.await_status(organisation, "active")
    query = {"state": planted.secret["state"], "admin_consent": "True", "error_description": RECIPIENT}
    planted.answers.append(call(story, "GET", "consent/callback", params=query).text)
    planted.answers.append(call(story, "GET", f"consent/start/{planted.secret['ticket']}").text)


def receive(story: Story, organisation: Organisation, planted: Canaries) -> None:
    """Receive a mail; the first delivery is refused."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = f"Canary <{SENDER}>", organisation.address("box"), SUBJECT_IN
    mail.set_content(BODY_IN)
    story.stack.control.deliver_mime(organisation.address("box"), mail.as_bytes())
    story.stack.receiver.status = 500
    connection = story.connect_incoming(organisation, "box")
    planted.secret["signing secret"] = connection["signing_secret"]
    planted.secret["receive token"] = str(
        story.stack.admin.post(f"connections/{connection['id']}/tokens", {"scope": "receive"})["token"]
    )

    def items() -> list[Any]:
        return list(story.stack.admin.get(f"connections/{connection['id']}/received")["data"])

    wait_until("a delivery is refused", lambda: any(item["attempts"] for item in items()))
    story.stack.receiver.status = 204
    wait_until("the mail is delivered", lambda: [item for item in items() if item["status"] == "delivered"])
    link = story.stack.receiver.events[items()[0]["id"]]["data"]["raw"]["link"]
    planted.secret["content link"] = link.rpartition("/")[2]
    planted.private |= {"sender": SENDER, "subject in": SUBJECT_IN, "body in": BODY_IN}


def send(story: Story, organisation: Organisation, planted: Canaries) -> None:
    """Send a mail after a refusal by Graph that names its recipient; then ask for what is refused."""
    _, token = story.connect_outgoing(organisation, "ann")
    planted.secret["send token"] = token
    planted.private |= {"recipient": RECIPIENT, "copied": COPIED, "subject out": SUBJECT_OUT, "body out": BODY_OUT}
    planted.private["idempotency key"] = KEY
    error = {"error": {"code": "ErrorInternalServerError", "message": f"Cannot send {SUBJECT_OUT} to {RECIPIENT}"}}
    effect = {"kind": "status", "status": 500, "body": error, "when": "before"}
    story.stack.control.add_fault("graph", "messages.send", effect, key=organisation.address("ann"))
    mail = {"to": [RECIPIENT], "bcc": [COPIED], "subject": SUBJECT_OUT, "text": BODY_OUT}
    entry = story.post_message(token, mail, KEY).json()["id"]

    def status() -> str:
        return str(story.stack.admin.get(f"outbox/{entry}")["status"])

    wait_until("the mail is accepted", lambda: status() in ("accepted", "sent"))
    other = {**mail, "text": "other"}
    planted.answers.append(story.post_message(token, other, KEY).text)  # the key means another mail
    planted.answers.append(story.post_message(token, {**mail, "from": "no address"}).text)
    for wrong in (token[:-1] + "x", planted.secret["receive token"]):
        planted.answers.append(story.post_message(wrong, mail).text)


def call(story: Story, method: str, path: str, body: str = "", **more: Any) -> httpx.Response:
    """Make a request with the administrator's key that is expected to be refused, or not."""
    host = story.stack.host
    headers = {"x-functions-key": host.host_key, "X-Mailgrant-Request": "1", "Content-Type": "application/json"}
    url = f"{host.url}/api/{path}"
    return httpx.request(method, url, content=body, headers=headers, trust_env=False, timeout=30, **more)


def rows(story: Story) -> Iterator[tuple[str, str]]:
    """Return the name of each table and the text of each of its rows."""
    with TableServiceClient.from_connection_string(story.stack.storage) as service:
        for table in service.list_tables():
            for entity in service.get_table_client(table.name).list_entities():
                yield table.name, repr(dict(entity))


def messages(story: Story) -> Iterator[str]:
    """Return the text of each message that waits in a queue."""
    with QueueServiceClient.from_connection_string(story.stack.storage) as service:
        for queue in service.list_queues():
            for message in service.get_queue_client(queue.name).peek_messages(max_messages=32):
                yield f"{queue.name} {message.content}"


def found(values: dict[str, str], texts: Iterable[str]) -> set[str]:
    """Return the names of those *values* that stand in any of *texts*."""
    return {name for text in texts for name, value in values.items() if value in text}


def test_canaries_stay_where_they_belong(story: Story, canaries: Canaries) -> None:
    """Secrets, tickets, states, cookies, tokens, links: in no row, log, queue or error. Mail: in no log, no queue."""
    assert len(set(canaries.secret.values())) == len(canaries.secret) == 10
    assert set() == found(canaries.secret, (text for _, text in rows(story)))
    assert set() == found(canaries.secret, [story.stack.host.log.read_text()])
    assert set() == found(canaries.secret, messages(story))
    assert set() == found(canaries.secret, canaries.answers)

    # What is private lies only where an operator must find a mail, and in no log and no queue.
    log = story.stack.host.log.read_text()
    assert "fetch.done" in log
    assert set() == found(canaries.private, [log])
    assert set() == found(canaries.private, messages(story))
    places: dict[str, set[str]] = {}
    for table, text in rows(story):
        for name in found(canaries.private, [text]):
            places.setdefault(canaries.private[name], set()).add(table)
    assert MAY_HOLD == places

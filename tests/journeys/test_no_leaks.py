"""Canaries through the whole product: what is secret stands nowhere, what is private only where a mail is kept."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from localcloud.administrator import wait_until
from localcloud.browser import Browser, Page
from localcloud.story import Organisation, Story
from shared.adapters.entra_sign_in import nonce_claim
from shared.consent.sign_in import hkdf
from shared.identifiers import parse_token
from tests.scenes import certificates
from tests.scenes.remains import Text, blobs, places, queues_watched, rows, shapes

pytestmark = pytest.mark.enable_socket

SENDER = "canary-sender@canaries.example"
RECIPIENT = "canary-recipient@canaries.example"
COPIED = "canary-copied@canaries.example"
SUBJECT_IN, SUBJECT_OUT = "canarysubjectin 4711", "canarysubjectout 4712"
BODY_IN, BODY_OUT = "canarybodyin-5813", "canarybodyout-5814"
PASSPHRASE = "canary-passphrase-3141"
# Where the design lets an operator find a mail again, and the receiver its content; everything goes with the mail.
MAY_HOLD = {
    "sender": {"table receipts", "blob received", "event"},
    "subject in": {"table receipts", "blob received", "event"},
    "body in": {"blob received", "event"},
    "content link": {"event"},
    "recipient": {"table outbox", "blob outbox"},
    "copied": {"table outbox", "blob outbox"},
    "subject out": {"table outbox", "blob outbox"},
    "body out": {"blob outbox"},
}


@dataclass
class Canaries:
    """What was planted: what is *secret*, what is *private*, and the answers, pages and messages *seen* on the way."""

    secret: dict[str, str] = field(default_factory=dict)
    private: dict[str, str] = field(default_factory=dict)
    seen: set[Text] = field(default_factory=set)

    def answered(self, answer: httpx.Response) -> None:
        """Keep the answer to a request; its headers too."""
        self.seen.add(("answer", f"{answer.status_code} {dict(answer.headers)} {answer.text}"))

    def shown(self, page: Page) -> Page:
        """Keep a page of ours, and return it."""
        assert "/api/consent/" in page.url
        self.seen.add(("page", page.html))
        return page


@pytest.fixture
def canaries(story: Story, organisation: Organisation) -> Canaries:
    """Return what was planted from credential and consent to a delivered and a sent mail, with trouble on the way."""
    planted = Canaries()
    with queues_watched(story.stack.storage) as messages:
        rotate_secret(story, organisation, planted)
        rotate_to_identity(story, organisation, planted)
        rotate_to_certificate(story, organisation, planted)
        consent(story, organisation, planted)
        with ThreadPoolExecutor() as pool:
            steps = [pool.submit(step, story, organisation, planted) for step in (receive, send)]
            sign_in(story, planted)
            for step in steps:
                step.result()
        wait_until("a wake-up is seen in its queue", lambda: wakeup_seen(story, organisation, messages.copy()))
    planted.seen |= messages
    return planted


def wakeup_seen(story: Story, organisation: Organisation, messages: set[Text]) -> bool:
    """Tell whether the watcher saw a wake-up, else ask for another: the host may take one before anybody looks."""
    seen = {place for place, text in messages if text.startswith("{")}
    if seen & {"queue mail-fetch", "queue consent-check"}:
        return True
    box = organisation.address("box")
    for connection in story.stack.admin.get("connections")["data"]:
        if connection["mailbox"]["address"] == box:
            story.stack.admin.post(f"connections/{connection['id']}/fetch")
    return False


def rotate_secret(story: Story, organisation: Organisation, planted: Canaries) -> None:
    """Rotate to a wrong secret, then to a good one."""
    planted.secret["new client secret"] = story.stack.control.add_secret(organisation.client_id)["value"]
    planted.secret["wrong client secret"] = "canary-wrong-secret-8Q~abcdefgh"
    for secret in ("wrong client secret", "new client secret"):
        rotate(story, organisation, planted, {"client_secret": planted.secret[secret]})


def rotate_to_identity(story: Story, organisation: Organisation, planted: Canaries) -> None:
    """Rotate to a managed identity that is not trusted yet, then trust it."""
    control = story.stack.control
    planted.secret["identity header"] = story.stack.cloud["IDENTITY_HEADER"]
    identity = control.add_identity(organisation.domain, "canary")
    body = {"auth_method": "federated", "managed_identity_client_id": identity["client_id"]}
    rotate(story, organisation, planted, body)
    issuer = f"https://login.microsoftonline.com/{organisation.tenant}/v2.0"
    subject = {"issuer": issuer, "subject": identity["principal_id"], "audience": "api://AzureADTokenExchange"}
    control.change_registration(organisation.client_id, federated_subjects=[subject])
    assert "federated" == rotate(story, organisation, planted, body).json()["auth_method"]


def rotate_to_certificate(story: Story, organisation: Organisation, planted: Canaries) -> None:
    """Rotate to a certificate in every wrong form, then to a good one that is in use from here on."""
    key = certificates.rsa_key()
    made = certificates.certificate(key, datetime.now(UTC) - timedelta(days=1))
    pem, pfx = certificates.certificate_pem(made), certificates.pfx(key, made, PASSPHRASE)
    # A line from the middle stands for the whole, however line ends are written.
    planted.secret |= {"private key line": certificates.key_pem(key).splitlines()[9], "pfx": pfx[200:260]}
    planted.secret |= {"passphrase": PASSPHRASE, "wrong passphrase": "canary-passphrase-wrong"}
    wrong = [
        {"certificate": pfx, "certificate_passphrase": planted.secret["wrong passphrase"]},
        {"certificate": certificates.key_pem(key)},
        {"certificate": pfx, "certificate_passphrase": PASSPHRASE, "no such field": PASSPHRASE},
        {"certificate": pfx, "certificate_passphrase": PASSPHRASE},  # nobody has uploaded it
    ]
    for body in wrong:
        assert rotate(story, organisation, planted, {"auth_method": "certificate", **body}).is_error
    story.stack.control.add_certificate(organisation.client_id, pem)
    done = rotate(story, organisation, planted, {"auth_method": "certificate", **wrong[-1]})
    assert "certificate" == done.json()["auth_method"]


def rotate(story: Story, organisation: Organisation, planted: Canaries, proof: dict[str, str]) -> httpx.Response:
    """Rotate to *proof*, first in JSON that breaks off; keep and return the answer."""
    path, body = f"credentials/{organisation.credential['id']}/secret", json.dumps(proof)
    planted.answered(call(story, "POST", path, body[:-1]))
    answer = call(story, "POST", path, body)
    planted.answered(answer)
    return answer


def consent(story: Story, organisation: Organisation, planted: Canaries) -> None:
    """Walk the link, keeping what stands in URLs and cookies; come back as another browser."""
    browser = story.stack.browser()
    link = story.consent_link(organisation)
    microsoft = browser.submit(planted.shown(browser.open(link)), "Continue to Microsoft")
    planted.secret["ticket"], planted.secret["state"] = secret_of(link), parameter(microsoft.url, "state")
    planted.secret["cookie"] = cookies_of(browser)[0]
    result = planted.shown(browser.submit(microsoft, "Accept"))
    planted.secret["result"] = secret_of(result.url)
    story.await_status(organisation, "active")
    planted.shown(browser.open(result.url))
    query = {"state": planted.secret["state"], "admin_consent": "True", "error_description": RECIPIENT}
    planted.answered(call(story, "GET", "consent/callback", params=query))
    planted.answered(call(story, "GET", f"consent/start/{planted.secret['ticket']}"))
    browser.close()


def sign_in(story: Story, planted: Canaries) -> None:
    """Consent for any organisation, and sign in: with a code that Microsoft does not know, then with a good one."""
    customer = story.found("canary-customer.example", "Customer")
    story.register_multitenant(customer)
    link = story.consent_link(customer)
    for leg in ("refused", "good"):
        browser = story.stack.browser()
        microsoft = browser.submit(planted.shown(browser.open(link)), "Continue to Microsoft")
        signing_in = browser.submit(microsoft, "Accept", user=customer.address("admin"))
        keep_sign_in(planted, leg, signing_in, browser)
        if leg == "refused":
            planted.secret["code refused"] = "canary-code-1618"
            query = f"state={parameter(signing_in.url, 'state')}&code={planted.secret['code refused']}"
            page = browser.open(f"{story.stack.host.url}/api/consent/callback?{query}")
            assert "sign_in_refused" in page.html
        else:
            page = browser.submit(signing_in, "Sign in", user=customer.address("bob"))
            planted.secret["code"] = next(parameter(url, "code") for url in page.trail if "code=" in url)
            story.await_status(customer, "unconfirmed")
        planted.shown(page)
        planted.secret[f"result {leg}"] = secret_of(page.url)
        used = {"state": parameter(signing_in.url, "state"), "code": "canary-code-1618"}
        planted.answered(call(story, "GET", "consent/callback", params=used))
        browser.close()


def keep_sign_in(planted: Canaries, leg: str, signing_in: Page, browser: Browser) -> None:
    """Keep the second state and cookie, and what Microsoft alone is told: verifier and nonce, and their hashes."""
    cookies = cookies_of(browser)
    cookie = parse_token(cookies[1], "cookie")
    assert cookie is not None
    made = {
        name: hkdf(cookie.secret.encode(), cookie.id.encode(), name.encode()) for name in ("pkce verifier", "nonce")
    }
    texts = {name: base64url(value) for name, value in made.items()}
    claim = parameter(signing_in.url, "nonce")
    assert nonce_claim(texts["nonce"]) == claim  # or the canary is none
    assert base64url(sha256(texts["pkce verifier"].encode()).digest()) == parameter(signing_in.url, "code_challenge")
    texts |= {"nonce claim": claim, "state": parameter(signing_in.url, "state"), "first cookie": cookies[0]}
    texts["cookie"] = cookies[1]
    planted.secret |= {f"{name} {leg}": text for name, text in texts.items()}


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
    planted.answered(story.post_message(planted.secret["receive token"], {"to": [RECIPIENT]}))

    def items() -> list[Any]:
        return list(story.stack.admin.get(f"connections/{connection['id']}/received")["data"])

    wait_until("a delivery is refused", lambda: any(item["attempts"] for item in items()))
    story.stack.receiver.status = 204
    wait_until("the mail is delivered", lambda: [item for item in items() if item["status"] == "delivered"])
    link = story.stack.receiver.events[items()[0]["id"]]["data"]["raw"]["link"]
    planted.private |= {"sender": SENDER, "subject in": SUBJECT_IN, "body in": BODY_IN}
    planted.private["content link"] = link.rpartition("/")[2]


def send(story: Story, organisation: Organisation, planted: Canaries) -> None:
    """Send a mail after a refusal by Graph that names its recipient; then ask for what is refused."""
    _, token = story.connect_outgoing(organisation, "ann")
    planted.secret["send token"] = token
    planted.private |= {"recipient": RECIPIENT, "copied": COPIED, "subject out": SUBJECT_OUT, "body out": BODY_OUT}
    key = planted.private["idempotency key"] = "canary-idempotency-key-2718"
    error = {"error": {"code": "ErrorInternalServerError", "message": f"Cannot send {SUBJECT_OUT} to {RECIPIENT}"}}
    effect = {"kind": "status", "status": 500, "body": error, "when": "before"}
    story.stack.control.add_fault("graph", "messages.send", effect, key=organisation.address("ann"))
    mail = {"to": [RECIPIENT], "bcc": [COPIED], "subject": SUBJECT_OUT, "text": BODY_OUT}
    entry = story.post_message(token, mail, key).json()["id"]

    def status() -> str:
        return str(story.stack.admin.get(f"outbox/{entry}")["status"])

    wait_until("the mail is accepted", lambda: status() in ("accepted", "sent"))
    planted.answered(story.post_message(token, {**mail, "text": "other"}, key))  # the key means another mail
    planted.answered(story.post_message(token, {**mail, "from": "no address"}))
    planted.answered(story.post_message(token[:-1] + "x", mail))


def call(story: Story, method: str, path: str, body: str = "", **more: Any) -> httpx.Response:
    """Make a request with the administrator's key that is expected to be refused, or not."""
    host = story.stack.host
    headers = {"x-functions-key": host.host_key, "X-Mailgrant-Request": "1", "Content-Type": "application/json"}
    url = f"{host.url}/api/{path}"
    return httpx.request(method, url, content=body, headers=headers, trust_env=False, timeout=30, **more)


def parameter(url: str, name: str) -> str:
    """Return a parameter of a URL."""
    return parse_qs(urlsplit(url).query)[name][0]


def secret_of(url: str) -> str:
    """Return the token at the end of a URL."""
    return urlsplit(url).path.rpartition("/")[2]


def cookies_of(browser: Browser) -> list[str]:
    """Return the values of the product's cookies, the oldest first."""
    return [str(cookie.value) for cookie in browser.cookies.jar if cookie.name.startswith("mg-")]


def base64url(content: bytes) -> str:
    """Return *content* as URLs carry it."""
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def left_behind(story: Story, canaries: Canaries) -> Iterator[Text]:
    """Return every text that a stranger, an operator, a receiver or a thief of the storage account could read."""
    storage, receiver = story.stack.storage, story.stack.receiver
    yield from rows(storage)
    yield from blobs(storage)
    yield "log", story.stack.host.log.read_text()
    yield from (("event", body.decode()) for bodies in receiver.bodies.values() for body in bodies)
    yield from canaries.seen
    for path in ("system", "health", "credentials", "grants", "connections", "audit"):
        yield f"list {path}", json.dumps(story.stack.admin.get(path))


def test_canaries_stay_where_they_belong(story: Story, organisation: Organisation, canaries: Canaries) -> None:
    """Secrets, keys, tickets, states, cookies, codes, verifiers, tokens: nowhere. Mail: where a mail is kept."""
    texts = list(left_behind(story, canaries))
    assert len(set(canaries.secret.values())) == len(canaries.secret) == 30
    assert {} == places(canaries.secret, texts)
    assert set() == shapes(texts)
    assert MAY_HOLD == places(canaries.private, texts)

    # What may be read is found in each of these places, or nothing was searched there.
    plain = {"credential": organisation.credential["id"], "application": organisation.client_id, "code": '"code"'}
    plain |= {"page": "Allow access to mailboxes", "problem": "sign_in_refused"}
    found = places(plain, texts)
    assert {"table credentials", "log", "list audit", "table audit"} <= found["credential"]
    assert {"page", "list credentials"} <= found["application"]
    assert "answer" in found["code"]
    assert {"page"} == found["page"]
    assert "page" in found["problem"]
    token = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJjYW5hcnkifQ.c2ln"
    assert {("token", "x"), ("private key", "y")} == shapes([("x", token), ("y", "-----BEGIN PRIVATE KEY-----")])

"""Every HTTP function of the product, over storage and Microsoft in memory, against requests made to break it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from functools import cache, lru_cache
from random import Random
from unittest.mock import patch
from urllib.parse import quote

from functions.app import build
from localcloud.fuzz import mutations
from localcloud.fuzz.sent import BODIES, CONNECTION, MESSAGES
from localcloud.fuzz.targets import MB, Target
from shared import composition
from shared.ports import Answer
from shared.receipts import Receipt, ReceiptStatus, hash_of, insertion, public_id
from shared.settings import Settings
from shared.times import now_utc, to_text

# The fakes hold the rules of storage, and belong to the tests.
from tests.fakes import MemoryBlobStore, MemoryTables, MemoryVault, MemoryWakeups
from tests.fakes.entra import ALL_ROLES, MemoryEntra
from tests.fakes.graph_directory import MemoryDirectory
from tests.fakes.links import MemoryLinks
from tests.fakes.sign_in import MemorySignIn
from tests.scenes.administration import ANN, BOX, CLIENT_ID, CONTOSO, SECRET, AllowedWebhooks, Drafts
from tests.scenes.calls import ADMIN, Caller

REQUESTS_OF_A_WORLD = 300
TYPED = "typed-secret~of-the-fuzzer"
"""Stands in bodies as a secret, and may stand in no answer."""
MIME = (
    b"From: a@b.example\r\nSubject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n"
    b"<p>x\r\n--b\r\nContent-Type: a/b; name=a.bin\r\n\r\n0123456789\r\n--b--\r\n"
)
_SETTINGS = Settings.from_environment(
    {
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        "MAIL_STORAGE": "UseDevelopmentStorage=true",
        "KEY_VAULT_URL": "https://vault.example",
        "PUBLIC_BASE_URL": "https://mail.example",
    }
)
CREDENTIAL = {
    "name": "Contoso",
    "client_id": CLIENT_ID,
    "grant_type": "admin_consent",
    "auth_method": "secret",
    "client_secret": SECRET,
    "cloud": "global",
    "tenant": CONTOSO,
}
TEMPLATE = {
    "to": "ops@example.com",
    "subject": "{{ payload.a }}",
    "text": "{% for x in payload.b %}{{ x }}{% endfor %}",
    "html": "<p>",
}


WRITTEN: dict[str, list[object]] = {
    "POST credentials": [CREDENTIAL, CREDENTIAL | {"auth_method": "certificate", "client_secret": "", "certificate": "x"}],
    "PATCH credentials/(cred)": [{"name": "y", "auth_method": "secret", "client_secret": TYPED, "secret_expires_at": "2027-01-31T00:00:00Z"}],
    "POST credentials/(cred)/secret": [{"client_secret": SECRET, "secret_expires_at": "9999-12-31T23:59:59Z"}],
    "POST credentials/(cred)/verify": [{"tenant": CONTOSO, "mailbox": "box@contoso.example"}],
    "POST credentials/(cred)/consent-links": [{"expected_tenant": CONTOSO, "label": "x", "expires_in_hours": 2.5}],
    "POST grants/(grant)/verify": [{"mailbox": "box@contoso.example"}],
    "POST grants/(grant)/confirm": [{}],
    "POST connections": [CONNECTION | {"grant_id": "(grant)"}, CONNECTION | {"grant_id": "(grant)", "direction": "outgoing"}],
    "PATCH connections/(in)": [BODIES[1], {"destination": {"type": "queue", "name": "mine"}}, {"after_fetch": {"action": "move", "folder": "x"}}],
    "PATCH connections/(out)": [{"recipient_allow_list": ["@example.com", "c@d.example", "@y.example", "@münchen.example"], "send_rate": 5, "hold_hours": 4}],
    "POST connections/bulk": [{"operations": [{"op": "patch", "id": "(in)", "connection": {"name": "y"}}], "dry_run": True}],
    "POST connections/(in)/test": [{"unreachable_mailbox": "ann@contoso.example"}],
    "POST connections/(in)/fetch": [{}],
    "POST connections/(in)/destination/test": [{}],
    "POST connections/(in)/signing-secret/rotate": [{"overlap_hours": 5}],
    "POST connections/(in)/redeliver": [{"status": "failed", "since": "2026-01-01T00:00:00Z", "dry_run": True}],
    "POST connections/(out)/tokens": [{"scope": "send"}],
    "POST connections/(out)/hooks": [{"template": "alarm", "verify": {"type": "hmac_sha256", "header": "X-S", "secret": TYPED}, "dedupe_key": "{{ payload.id }}"}],
    "PUT connections/(out)/templates/x": [TEMPLATE | {"cc": "a@b.example", "reply_to": "c@d.example"}],
    "POST connections/(out)/templates/alarm/preview": [{"payload": {"a": 1, "b": [2]}, "template": TEMPLATE}],
    "POST hooks/(hook)": [{"a": "x", "b": [1, 2], "id": 7}],
    "POST received/(mail)/retry": [{}],
    "POST received/(mail)/redeliver": [{}],
    "POST outbox/(message)/resend": [{}],
    "POST outbox/(message)/cancel": [{}],
}  # fmt: skip


READ = (
    *(
        "credentials",
        "credentials/(cred)",
        "credentials/(cred)/consent-links",
        "grants",
        "grants/(grant)",
        "grants/(grant)/purge",
    ),
    *(
        "connections?status=active",
        "connections/(in)",
        "connections/(in)/log",
        "connections/(out)/outbox",
        "connections/(in)/received",
    ),
    *(
        "connections/(in)/tokens",
        "connections/(out)/hooks",
        "connections/(out)/templates",
        "connections/(out)/templates/alarm",
    ),
    *(
        "mailboxes?grant_id=(grant)&search=bo",
        "folders?grant_id=(grant)&mailbox=box@contoso.example",
        "outbox/(message)",
        "received/(mail)",
    ),
    *(
        "received/(mail)/raw",
        "received/(mail)/attachments/0",
        "received/(mail)/attempts",
        "content/(page)",
        "content/(page)/page",
    ),
    *(
        "audit?since=2026-01-01T00:00:00Z",
        "consent/start/(ticket)",
        "consent/callback?state=x&admin_consent=True",
        "consent/result/x",
    ),
    *("console", "console/x/app.js", "health", "openapi.json", "messages/(message)"),
)


class World:
    """The product with one credential, grant, connection of each direction, mail, hook, message and upload."""

    def __init__(self) -> None:
        tables, vault, blobs, drafts = MemoryTables(now_utc), MemoryVault(now_utc), MemoryBlobStore(now_utc), Drafts()
        entra = MemoryEntra(domains={"contoso.example": CONTOSO}, good={SECRET})
        entra.grants[CONTOSO] = tuple(ALL_ROLES)
        webhooks = AllowedWebhooks()
        webhooks.answer = Answer(204)
        out = composition._Outside(  # noqa: SLF001 - the one place where the product is put together
            *(tables, blobs, MemoryWakeups(now_utc), vault, entra, MemorySignIn(good=entra.good)),  # type: ignore[arg-type]
            *(MemoryDirectory([BOX, ANN]), drafts, drafts, drafts, webhooks, MemoryLinks(blobs.uploads)),  # type: ignore[arg-type]
        )
        with patch.object(composition._Outside, "of", lambda _: out):  # noqa: SLF001 - see above
            services = composition.compose(_SETTINGS)
        self.caller = Caller.of(build(services))
        self.ids = {"cred": self._made("credentials", CREDENTIAL)["id"]}
        link = self._made(f"credentials/{self.ids['cred']}/consent-links", {"label": "x"})
        self.ids["ticket"] = link["url"].rpartition("/")[2]
        self._consent(services, self.ids["ticket"])
        grant = self.caller.json("GET", "grants")["data"][0]["id"]
        self.caller.json("POST", f"grants/{grant}/verify", {})
        self.ids["grant"] = self.caller.json("GET", "grants")["data"][0]["id"]
        for name, direction in (("in", "incoming"), ("out", "outgoing")):
            asked = {"direction": direction, "grant_id": self.ids["grant"], "mailbox": BOX.address, "name": "Box"}
            extra = {"destination": {"type": "webhook", "url": "https://hooks.example/in"}} if name == "in" else {}
            self.ids[name] = self._made("connections", asked | extra)["id"]
        for name, scope in (("in", "receive"), ("out", "send")):
            self.ids[f"token_{name}"] = self._made(f"connections/{self.ids[name]}/tokens", {"scope": scope})["token"]
        self.caller.call("PUT", f"connections/{self.ids['out']}/templates/alarm", TEMPLATE)
        self.ids["hook"] = self._made(f"connections/{self.ids['out']}/hooks", {"template": "alarm"})["url"].rpartition(
            "/"
        )[2]
        receipt = Receipt(hash_of("a"), "a", ReceiptStatus.STORED, to_text(now_utc()), blob="a", size=len(MIME))
        blobs.received.put("a", MIME)
        tables.receipts.commit(self.ids["in"], insertion(receipt, []))
        self.ids["mail"] = public_id(self.ids["in"], receipt.hash)
        page = self._made(f"received/{self.ids['mail']}/page", {})
        self.ids["page"] = str(page["url"]).rpartition("/content/")[2].partition("/")[0]
        sender = {"X-Mailgrant-Token": self.ids["token_out"]}
        self.ids["message"] = json.loads(self.caller.call("POST", "messages", MESSAGES[1], sender).get_body())["id"]
        upload = self.caller.call("POST", "uploads", {"name": "a.bin", "size": 3}, sender).get_body()
        self.ids["upload"] = json.loads(upload)["upload_id"]

    def _made(self, path: str, body: object) -> dict[str, str]:
        made: dict[str, str] = self.caller.json("POST", path, body)
        return made

    @staticmethod
    def _consent(services: composition.Services, ticket: str) -> None:
        from urllib.parse import parse_qs, urlsplit  # noqa: PLC0415

        trip = services.consent.start(ticket)
        state = parse_qs(urlsplit(trip.location).query)["state"][0]
        answer = {"admin_consent": "True", "tenant": CONTOSO, "state": state}
        after = services.consent.callback(answer, {trip.cookie_name: trip.cookie})
        if after.cookie:
            sign_in = services.consent.signing_in.sign_in
            params = sign_in.at_page(after.location, CONTOSO)  # type: ignore[attr-defined]
            services.consent.callback(params, {after.cookie_name: after.cookie})


@lru_cache(maxsize=1)
def _world(_number: int) -> World:
    return World()


_asked = [0]


def request(data: bytes) -> None:
    """No request is answered by 500, each answer is as the API's description says, and none holds a typed secret."""
    _asked[0] += 1
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        _request(data)
    finally:
        logging.disable(before)


def _request(data: bytes) -> None:
    world = _world(_asked[0] // REQUESTS_OF_A_WORLD)
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.decode("utf-8", "replace").split("\n")
    method, _, url = first.partition(" ")
    for name, value in world.ids.items():
        url, body = url.replace(f"({name})", value), body.replace(f"({name})".encode(), value.encode())
        lines = [line.replace(f"({name})", value) for line in lines]
    headers = dict(ADMIN) | {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in lines}
    try:
        answer = world.caller.call(method, url, body, headers)
    except LookupError:
        return  # no such route: the host answers
    except ValueError as error:
        if "IPv6" in str(error) or "netloc" in str(error):
            return  # no URL: the host answers
        raise
    content = answer.get_body()
    assert answer.status_code < 500 or answer.status_code in (502, 503), f"{answer.status_code} for {method}"
    assert b"Traceback" not in content, "an answer shows code"
    assert TYPED.encode() not in content, "an answer holds a secret"


def mutate(random: Random, data: bytes, other: bytes) -> bytes:
    """Change the body, or the query, the path or the headers of a request."""
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    choice = random.random()
    if choice < 0.65 and body:
        return head + b"\n\n" + mutations.body(random, body, other.partition(b"\n\n")[2] or b"{}")
    if choice < 0.8:
        name = random.choice(
            ("limit", "cursor", "status", "since", "until", "q", "type", "state", "code", "error", "tenant")
        )
        value = quote(random.choice((*mutations.TEXTS[4:], "1", "200", "MTIz", "fHw=")), errors="replace")[:4000]
        sign = b"&" if b"?" in first else b"?"
        return b"\n".join([first + sign + f"{name}={value}".encode(), *lines]) + b"\n\n" + body
    if choice < 0.9:
        parts = first.split(b"/")
        at = random.randrange(len(parts) - 1) + 1 if len(parts) > 1 else 0
        parts[at] = mutations.text(random, parts[at], b"x|y")[:2000].replace(b"\n", b"").replace(b"?", b"")
        return b"\n".join([b"/".join(parts), *lines]) + b"\n\n" + body
    added = random.choice((b"Range: bytes=", b"If-Match: ", b"If-None-Match: ", b"Idempotency-Key: ", b"Authorization: Basic ",
                            b"Content-Type: ", b"X-Mailgrant-Token: ", b"Cookie: ", b"webhook-id: ", b"If-Range: "))  # fmt: skip
    content = random.choice((b"0-", b"-1", b"5-2", b"9" * 30 + b"-", b"0-0,2-3", b'W/"1"', b"*", b'"', b"\xff", b"text/plain; charset=x",
                           b"application/x-www-form-urlencoded", b"OnB3", b"a=b; c", "é²".encode(), b"x" * 5000))  # fmt: skip
    return b"\n".join([first, *lines, added + content]) + b"\n\n" + body


@cache
def seeds() -> tuple[bytes, ...]:
    """Return a good request for nearly each route."""
    return tuple(_seeds())


def _seeds() -> Iterator[bytes]:
    for line, bodies in WRITTEN.items():
        yield from (f"{line}\n\n{json.dumps(body)}".encode() for body in bodies)
    sent = [("messages", body) for body in MESSAGES] + [("uploads", BODIES[3])]
    yield from (f"POST {path}\nX-Mailgrant-Token: (token_out)\n\n{json.dumps(body)}".encode() for path, body in sent)
    yield b"PUT uploads/(upload)/parts/1\nX-Mailgrant-Token: (token_out)\n\nabc"
    for path in ("inbox", "inbox/(mail)", "inbox/(mail)/raw", "inbox/(mail)/attachments/0"):
        yield f"GET {path}?limit=2\nX-Mailgrant-Token: (token_in)\nRange: bytes=0-4\n\n".encode()
    for path in READ:
        yield f"GET {path}\n\n".encode()


TARGETS = (Target("http", request, seeds, mutate, most_bytes=512 * 1024, seconds=10, memory=128 * MB, per_byte=300),)

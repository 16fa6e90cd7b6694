"""Hooks and templates: any webhook becomes the one mail that its template says, once, and to nobody else."""

import base64
import email.policy
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import azure.functions as func
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions import hooks_http
from shared.adapters.webhooks import signature, verified
from shared.audit import Audit
from shared.codes import Code
from shared.compose.message import Outgoing
from shared.connections import Direction
from shared.errors import CredentialFault, RowChanged
from shared.hooks.hooks import Hooks
from shared.hooks.templates import MailTemplates
from shared.outbox.work import Status
from shared.send.loops import LOOP_MAILS
from shared.settings import Settings
from shared.signing import Signing
from shared.times import now_utc
from tests.scenes.calls import ADMIN, Caller
from tests.scenes.sending import Sending

SETTINGS = Settings.from_environment(
    {
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        "MAIL_STORAGE": "UseDevelopmentStorage=true",
        "KEY_VAULT_URL": "https://v.vault.azure.net",
        "PUBLIC_BASE_URL": "https://mail.example",
    }
)
ALARM = {
    "to": "ops@example.com",
    "subject": "{{ payload.level|upper }}: {{ payload.title }}",
    "text": "{% for line in payload.lines %}- {{ line }}\n{% endfor %}",
    "html": "<p>{{ payload.title }}</p>",
}
PAYLOAD = {"level": "high", "title": "Disk <full>\r\nBcc: eve@evil.example", "lines": ["one", "two"]}


class Site:
    """The functions of hooks on memory, with the template `alarm`."""

    def __init__(self, allowed: tuple[str, ...] = ()) -> None:
        self.scene = Sending(recipient_allow_list=allowed)
        self.id = self.scene.connection.id
        self.vault = self.scene.vault
        tables, clock = self.scene.tables, self.scene.clock
        templates = MailTemplates(tables, Audit(tables.audit, clock), clock)
        signing = Signing(tables, self.vault)
        self.hooks = Hooks(tables, templates, self.vault, signing, verified, Audit(tables.audit, clock), clock)
        self.caller = Caller(hooks_http.blueprint(self.hooks, templates, self.scene.acceptance, SETTINGS))
        self.place = f"connections/{self.id}"
        self.put("alarm", ALARM)

    def put(self, name: str, template: Mapping[str, str], **headers: str) -> func.HttpResponse:
        """Store a template."""
        return self.caller.call("PUT", f"{self.place}/templates/{name}", template, {**ADMIN, **headers})

    def hook(self, **asked: Any) -> dict[str, Any]:
        """Make a hook and return what its maker is shown."""
        made: dict[str, Any] = self.caller.json("POST", f"{self.place}/hooks", {"template": "alarm", **asked})
        return made

    def call(self, hook: Mapping[str, Any], body: Any = None, **headers: str) -> func.HttpResponse:
        """Call a hook as its source does, with JSON unless *body* is bytes."""
        content = body if isinstance(body, bytes) else json.dumps(PAYLOAD if body is None else body).encode()
        path = str(hook["url"]).partition("/api/")[2]
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.caller.call("POST", path, content, {"Content-Type": "application/json", **named})

    def mails(self) -> list[str]:
        """Send what was accepted and return it, as the mailbox got it."""
        self.scene.run(60)
        return [mime.decode() for mime in self.scene.exchange.mimes]


def read(answer: func.HttpResponse) -> dict[str, Any]:
    """Return an answer's JSON with its status."""
    found: dict[str, Any] = json.loads(answer.get_body() or b"{}")
    return {"http": answer.status_code, **found}


@pytest.fixture
def site() -> Site:
    """Return the routes."""
    return Site()


def test_a_webhook_becomes_the_mail_of_its_template(site: Site) -> None:
    """Rendered from the payload, to the template's recipient, marked so that no machine answers it."""
    answer = read(site.call(site.hook()))
    (mail,) = site.mails()

    assert (202, "queued", False) == (answer["http"], answer["status"], answer["deduplicated"])
    head, _, body = mail.partition("\r\n\r\n")
    assert "To: ops@example.com\r\n" in head
    assert "X-Auto-Response-Suppress: All\r\n" in head
    assert f"X-Mailgrant-Connection: {site.id}\r\n" in head
    assert "\nBcc:" not in head
    assert "Disk &lt;full&gt;" in body
    assert site.hooks.of(site.id)[0].id == site.scene.entry(answer["id"]).hook_id


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json", b'{"title": "t"}', "t"),
        ("application/vnd.x+json; charset=utf-8", b'{"title": "t"}', "t"),
        ("application/x-www-form-urlencoded", b"title=a+b&x=1&x=2", "a b"),
        ("text/plain; charset=iso-8859-1", b"gr\xfc\xdfe", "grüße"),
        ("", b"plain", "plain"),
    ],
)
def test_json_forms_and_text_are_understood(site: Site, content_type: str, body: bytes, expected: str) -> None:
    """Each source says it in its own way."""
    subject = "{{ payload if payload is string else payload.title }}"
    site.put("alarm", {"to": "ops@example.com", "subject": subject, "text": "x"})
    answer = read(site.call(site.hook(), body, Content_Type=content_type))

    assert expected == site.scene.entry(answer["id"]).subject


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json", b"{", (422, "invalid_json")),
        ("application/json", b"[" * 100_000, (422, "invalid_json")),
        ("application/json", b'{"title": NaN}', (422, "invalid_json")),
        ("application/json", b'{"title": [-Infinity]}', (422, "invalid_json")),
        ("application/json", b'{"title": 1e999}', (422, "invalid_json")),
        ("image/png", b"x", (415, "unsupported_media_type")),
        ("application/json", b'{"x": 1}', (422, "invalid_request")),
        ("application/json", b'"' + b"x" * 1_100_000 + b'"', (413, "body_too_large")),
        ("application/x-www-form-urlencoded", b"&".join(b"a=1" for _ in range(2000)), (422, "invalid_request")),
    ],
)
def test_a_body_that_cannot_be_used_is_refused(
    site: Site, content_type: str, body: bytes, expected: tuple[int, str]
) -> None:
    """The answer says what is wrong, and nothing is sent."""
    answer = read(site.call(site.hook(), body, Content_Type=content_type))
    status = 400 if expected[1] == "invalid_json" else expected[0]

    assert (status, expected[1]) == (answer["http"], answer["code"])
    assert [] == site.mails()


def test_what_a_source_repeats_is_sent_once(site: Site) -> None:
    """By its own key, by `webhook-id`, or by what the hook takes for the same thing."""
    plain, keyed = site.hook(), site.hook(dedupe_key="{{ payload.title }}")
    first = [
        read(site.call(plain, idempotency_key="a")),
        read(site.call(plain, webhook_id="b")),
        read(site.call(keyed)),
    ]
    changed = {**PAYLOAD, "level": "low"}
    second = [
        *(read(site.call(plain, idempotency_key="a")), read(site.call(plain, webhook_id="b"))),
        read(site.call(keyed, changed)),
    ]

    assert [item["id"] for item in first] == [item["id"] for item in second]
    assert [True] * 3 == [item["deduplicated"] for item in second]
    assert "idempotency_key_reused" == read(site.call(plain, changed, idempotency_key="a"))["code"]
    assert 3 == len(site.mails())


def test_two_hooks_that_hear_of_one_event_each_send_their_mail(site: Site) -> None:
    """A source gives the same id to everyone whom it tells; a key of one hook is not another's, nor a sender's own."""
    hooks = [site.hook(), site.hook()]
    site.scene.accept(key="evt_1")
    answers = [read(site.call(hook, webhook_id="evt_1")) for hook in hooks]

    assert [(202, False)] * 2 == [(answer["http"], answer["deduplicated"]) for answer in answers]
    assert 3 == len(site.mails())


def test_a_deleted_connection_leaves_no_secret_of_its_hooks(site: Site) -> None:
    """The source's secret goes before the row that names it; an unreachable vault leaves both, for a repeat."""
    verify = {"type": "hmac_sha256", "header": "X-Signature", "secret": "theirs"}
    hook, changes = site.hook(verify=verify), site.scene.changes()
    site.vault.failures.plan("delete", CredentialFault("The vault does not answer.", Code.VAULT_REFUSED))
    with pytest.raises(CredentialFault):
        changes.delete(site.id)
    assert [hook["id"]] == [known.id for known in site.hooks.of(site.id)]
    assert 202 == site.call(site.hook()).status_code

    changes.delete(site.id, discard=True)
    assert {f"hook-{hook['id'].lower()}"} == site.vault.deleted


def test_without_a_key_each_call_is_a_mail(site: Site) -> None:
    """Nothing is guessed."""
    hook = site.hook()
    for _ in range(2):
        site.call(hook)

    assert 2 == len(site.mails())


def test_signatures_of_standard_webhooks(site: Site) -> None:
    """By the secret that was shown once; missing, wrong, foreign and old ones are refused."""
    hook = site.hook(verify={"type": "standard_webhooks"})
    body, secret, now = json.dumps(PAYLOAD).encode(), hook["verify_secret"], now_utc()
    signed = {name: signature(key, "id-1", at, body) for name, key, at in (
        ("good", secret, now), ("old", secret, now - timedelta(minutes=6)), ("foreign", "whsec_" + "A" * 32, now)
    )}  # fmt: skip
    signed["changed"] = {**signed["good"], "webhook-id": "id-2"}
    signed["broken"] = {**signed["good"], "webhook-signature": "v1,é"}
    signed["none"] = {}
    outcomes = {name: read(site.call(hook, body, **headers))["http"] for name, headers in signed.items()}

    assert {"good": 202, "old": 401, "foreign": 401, "changed": 401, "broken": 401, "none": 401} == outcomes
    assert 1 == len(site.mails())


@pytest.mark.parametrize("form", ["sha256={hex}", "{hex}", "{base64}"])
def test_signatures_by_hmac(site: Site, form: str) -> None:
    """In the header that the source uses, by a secret that is its own and lies in Key Vault."""
    hook = site.hook(verify={"type": "hmac_sha256", "header": "X-Hub-Signature-256", "secret": "theirs"})
    body = json.dumps(PAYLOAD).encode()
    digest = hmac.digest(b"theirs", body, hashlib.sha256)
    text = form.format(hex=digest.hex(), base64=base64.b64encode(digest).decode())

    assert "verify_secret" not in hook
    assert 202 == site.call(hook, body, X_Hub_Signature_256=text).status_code
    assert [401, 401] == [
        site.call(hook, changed, X_Hub_Signature_256=sent).status_code
        for changed, sent in ((body + b" ", text), (body, ""))
    ]
    assert "theirs" not in str(site.scene.tables.connections.everything())
    site.caller.call("DELETE", f"{site.place}/hooks/{hook['id']}", headers=ADMIN)
    assert {f"hook-{hook['id'].lower()}"} == site.vault.deleted


def test_recipients_from_a_payload_need_an_allow_list(site: Site) -> None:
    """Without one a hook would be an open relay; with one, strangers are refused."""
    open_relay = {**ALARM, "to": "{{ payload.email }}"}
    refused = read(site.put("open", open_relay))
    assert (422, "needs_allow_list") == (refused["http"], refused["errors"][0]["code"])

    listed = Site(("@example.com", "bob@example.org"))
    assert 200 == listed.put("open", open_relay).status_code
    hook = listed.hook(template="open")
    emails = (
        "Ann@Example.com",
        "bob@example.org, ann@example.com",
        "eve@example.org",
        "ann@example.com, eve@evil.example",
    )
    answers = [read(listed.call(hook, {**PAYLOAD, "email": email})) for email in emails]

    assert [202, 202, 422, 422] == [answer["http"] for answer in answers]
    assert ["recipient_not_allowed"] * 2 == [answer["code"] for answer in answers[2:]]
    assert 2 == len(listed.mails())


def test_a_hook_that_loops_is_stopped(site: Site) -> None:
    """The twenty-first mail of an hour to one address is held, shown as failed, and the next hour goes on."""
    hook = site.hook()
    for _ in range(LOOP_MAILS):
        assert "queued" == read(site.call(hook))["status"]
        site.scene.clock.advance(60)
    held = read(site.call(hook))
    entry = site.scene.entry(held["id"])

    assert (Status.FAILED, "loop_suspected") == (entry.status, entry.fault.code if entry.fault else "")
    assert 202 == held["http"]
    assert LOOP_MAILS == len(site.mails())
    assert "queued" == read(site.call(site.hook()))["status"]  # another hook is another story
    site.scene.clock.advance(3600)
    assert "queued" == read(site.call(hook))["status"]


def test_mails_counted_at_once_are_all_counted(site: Site) -> None:
    """Whoever counts while another does counts again."""
    hook = site.hook()
    site.call(hook)
    site.scene.tables.outbox.failures.plan("commit", RowChanged("l|"))
    first = site.scene.tables.outbox.calls["commit"]

    assert 202 == site.call(hook).status_code
    assert 2 == site.scene.tables.outbox.calls["commit"] - first


@pytest.mark.parametrize("name", ["\x18", "a/b", "Alarm", "a" * 65, "ä"])
def test_a_template_that_cannot_be_is_removed_without_asking_storage(site: Site, name: str) -> None:
    """No key of a row may hold every character, so such a name must not get there."""
    before = dict(site.scene.tables.outbox.calls)

    site.hooks.templates.delete(site.id, name)
    site.hooks.templates.delete("conn_\x18", "alarm")

    assert before == site.scene.tables.outbox.calls


def test_a_template_is_read_changed_and_removed(site: Site) -> None:
    """With its version as ETag; a stale change is refused, and so is removing what a hook uses."""
    hook = site.hook()
    assert ["alarm"] == [item["name"] for item in site.caller.json("GET", f"{site.place}/templates")["data"]]
    assert 412 == site.put("alarm", ALARM, **{"If-Match": '"7"'}).status_code
    assert '"2"' == site.put("alarm", {**ALARM, "subject": "new"}, **{"If-Match": '"1"'}).headers["ETag"]
    assert "new" == site.caller.json("GET", f"{site.place}/templates/alarm")["subject"]
    assert 409 == site.caller.call("DELETE", f"{site.place}/templates/alarm", headers=ADMIN).status_code
    site.caller.call("DELETE", f"{site.place}/hooks/{hook['id']}", headers=ADMIN)
    assert [204, 204] == [
        site.caller.call("DELETE", f"{site.place}/templates/alarm", headers=ADMIN).status_code for _ in range(2)
    ]
    assert 404 == site.call(hook).status_code


def test_a_large_template_is_kept_whole(site: Site) -> None:
    """Longer than a table property, in any script."""
    text = "ä😀" * 8_000
    assert 200 == site.put("large", {"to": "a@example.com", "text": text, "html": text}).status_code
    assert (text, text) == tuple(
        site.caller.json("GET", f"{site.place}/templates/large")[part] for part in ("text", "html")
    )


@pytest.mark.parametrize(
    ("template", "pointer"),
    [
        ({"to": "a@example.com"}, "/text"),
        ({"text": "x"}, "/to"),
        ({"to": "a@example.com", "text": "{{ payload.x() }}"}, "/text"),
        ({"to": "a@example.com", "text": "x", "attachments": "y"}, "/attachments"),
        ({"to": "a@example.com", "text": "x" * 70_000}, "/text"),
    ],
)
def test_what_is_wrong_with_a_template_is_named(site: Site, template: dict[str, str], pointer: str) -> None:
    """Before it is stored."""
    answer = read(site.put("wrong", template))
    assert (422, [pointer]) == (answer["http"], [error["pointer"] for error in answer["errors"]])


def test_a_preview_shows_the_mail(site: Site) -> None:
    """Of what is stored, or of what is being written; nothing is sent."""
    stored = site.caller.json("POST", f"{site.place}/templates/alarm/preview", {"payload": PAYLOAD})
    asked = {"payload": {"a": 1}, "template": {"to": "{{ payload.a }}@example.com", "text": "{{ payload.a }}"}}
    tried = site.caller.json("POST", f"{site.place}/templates/new/preview", asked)

    assert "HIGH: Disk <full> Bcc: eve@evil.example" == stored["subject"]
    assert {"to": ["1@example.com"], "text": "1"} == tried
    assert [] == site.mails()


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"template": "none"}, "/template"),
        ({"verify": {"type": "hmac_sha256"}}, "/verify/header"),
        ({"verify": {"type": "standard_webhooks", "secret": "é"}}, "/verify/secret"),
        ({"dedupe_key": "{{ x() }}"}, "/dedupe_key"),
    ],
)
def test_what_is_wrong_with_a_hook_is_named(site: Site, asked: dict[str, Any], pointer: str) -> None:
    """Before it is made."""
    answer = read(site.caller.call("POST", f"{site.place}/hooks", {"template": "alarm", **asked}))
    assert (422, [pointer]) == (answer["http"], [error["pointer"] for error in answer["errors"]])


def test_a_hook_is_no_token_and_knows_one_connection(site: Site) -> None:
    """It lists without its secret, ends when revoked, and malformed ones cost no storage call."""
    hook = site.hook()
    (listed,) = site.caller.json("GET", f"{site.place}/hooks")["data"]
    token = str(hook["url"]).rpartition("/")[2]
    before = site.scene.tables.connections.calls["get"]

    assert token not in str(listed)
    assert token not in str(site.scene.tables.connections.everything())
    for text in ("x", token[:-1], token.replace("mg_hook", "mg_send")):
        assert 404 == site.call({"url": f"https://mail.example/api/hooks/{text}"}).status_code
    assert before == site.scene.tables.connections.calls["get"]


def test_an_incoming_connection_has_no_templates(site: Site) -> None:
    """It does not send."""
    incoming = site.scene.make(Direction.INCOMING)
    assert 409 == site.caller.call("PUT", f"connections/{incoming.id}/templates/x", ALARM).status_code


TEXTS = st.text(max_size=40) | st.sampled_from(
    [
        "\r\nBcc: eve@evil.example\r\n\r\n<script>",
        "=?utf-8?q?=0d=0aBcc:_eve@evil.example?=",
        "\u2028Bcc: x@y.z",
        "\x00",
        "\ud800",
    ]
)


@settings(max_examples=30, deadline=None)
@given(title=TEXTS, line=TEXTS, level=TEXTS)
def test_no_payload_gets_into_headers_or_recipients(title: str, line: str, level: str) -> None:
    """Whatever a payload says, the mail has the template's recipients and headers, and one text and one html part."""
    site = Site()
    answer = site.call(site.hook(), {"title": title, "lines": [line], "level": level})
    assert 202 == answer.status_code
    site.scene.work()
    (mime,) = site.scene.exchange.mimes
    mail = email.message_from_bytes(mime, policy=email.policy.default)

    assert ["ops@example.com"] == [address.addr_spec for address in mail["To"].addresses]
    assert (None, None) == (mail["Cc"], mail["Bcc"])
    assert ["multipart/alternative", "text/plain", "text/html"] == [part.get_content_type() for part in mail.walk()]
    assert "<script>" not in list(mail.walk())[-1].get_content()


def test_an_outgoing_mail_reads_back_with_its_mark() -> None:
    """The payload blob keeps that a machine wrote the mail."""
    assert Outgoing.from_bytes(Outgoing(automatic=True).to_bytes()).automatic


def test_a_template_that_no_row_could_hold_is_refused() -> None:
    """Each part is short enough, but control characters take six characters each where they are kept."""
    part = "{# " + "\x01" * 60_000 + " #}a"
    answer = Site().put("alarm", dict.fromkeys(("subject", "text"), part) | {"to": "ops@example.com"})

    assert (422, "too_long") == (answer.status_code, read(answer)["errors"][0]["code"])


@pytest.mark.parametrize("connection", ["(", "x" * 600, "conn_%00"])
def test_templates_of_what_is_no_connection_are_not_found(connection: str) -> None:
    """Characters that no key of a row may hold are no fault of ours."""
    assert 404 == Site().caller.call("GET", f"connections/{connection}/templates/alarm").status_code

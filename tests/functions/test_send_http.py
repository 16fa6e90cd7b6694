"""What callers with a send token, and administrators, see of sending."""

import base64
import json
from typing import Any

import azure.functions as func
import pytest

from functions import outbox_http, send_http, send_queue
from shared.audit import Audit
from shared.codes import Code
from shared.compose.message import Outgoing
from shared.errors import ItemFault, StorageUnavailable
from shared.outbox.work import Status
from shared.send.replying import Replying
from shared.send.resending import Resending
from shared.settings import Settings
from tests.scenes.sending import QUEUE, Sending

SETTINGS = Settings.from_environment(
    {
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        "MAIL_STORAGE": "UseDevelopmentStorage=true",
        "KEY_VAULT_URL": "https://v.vault.azure.net",
        "PUBLIC_BASE_URL": "https://mail.contoso.example",
    }
)
MAIL = {"to": ["ann@example.com"], "subject": "Hello", "text": "Hi"}


class Site:
    """The functions of sending on memory."""

    def __init__(self) -> None:
        scene = self.scene = Sending()
        replying = Replying(scene.tables, scene.blobs.received)
        resending = Resending(scene.tables, scene.blobs, scene.entries, scene.acceptance)
        app = func.FunctionApp()
        app.register_functions(
            send_http.blueprint(scene.rights, scene.acceptance, replying, scene.entries, scene.uploads, SETTINGS)
        )
        app.register_functions(
            outbox_http.blueprint(scene.entries, resending, Audit(scene.tables.audit, scene.clock), SETTINGS)
        )
        app.register_functions(send_queue.blueprint(scene.drain))
        self.functions = {str(function.get_function_name()): function for function in app.get_functions()}

    def call(
        self,
        name: str,
        body: Any = None,
        *,
        token: str | None = None,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        **route: str,
    ) -> func.HttpResponse:
        """Call a function as the worker does; the token is the connection's unless a test gives another."""
        bearer = self.scene.connection.id if token is None else token
        sent = {"authorization": f"Bearer {bearer}", "host": "mail.contoso.example", **(headers or {})}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = func.HttpRequest("POST", "/", headers=sent, params=params or {}, route_params=route, body=content)
        response: func.HttpResponse = self.functions[name].get_user_function()(request)
        return response

    def admin(self, name: str, **details: Any) -> dict[str, Any]:
        """Call an administrator's function and return its JSON."""
        headers = {"content-type": "application/json", "x-mailgrant-request": "1"}
        return read(self.call(name, {}, headers=headers, **details))


def read(response: func.HttpResponse) -> dict[str, Any]:
    """Return an answer's JSON with its status."""
    found: dict[str, Any] = json.loads(response.get_body())
    return {"http": response.status_code, **found}


@pytest.fixture
def site() -> Site:
    """Return an outgoing connection's routes."""
    return Site()


def test_the_surface_is_as_documented(site: Site) -> None:
    """Routes, methods and callers: a token is checked in code, a function key by the host."""
    found = {}
    for name, function in site.functions.items():
        trigger = function.get_trigger()
        assert trigger is not None
        shape = trigger.get_dict_repr()
        methods = ",".join(str(getattr(method, "value", method)) for method in shape.get("methods", []))
        found[name] = (shape.get("route") or shape.get("queueName"), methods, str(shape.get("authLevel", "")))

    assert {
        "messages_send": ("messages", "POST", "ANONYMOUS"),
        "messages_get": ("messages/{id}", "GET", "ANONYMOUS"),
        "uploads_create": ("uploads", "POST", "ANONYMOUS"),
        "uploads_part": ("uploads/{id}/parts/{n}", "PUT", "ANONYMOUS"),
        "outbox_list": ("connections/{id}/outbox", "GET", "FUNCTION"),
        "outbox_get": ("outbox/{id}", "GET", "FUNCTION"),
        "outbox_cancel": ("outbox/{id}/cancel", "POST", "FUNCTION"),
        "outbox_resend": ("outbox/{id}/resend", "POST", "FUNCTION"),
        "send_drain": (QUEUE, "", ""),
    } == found


def test_a_mail_is_accepted_and_its_state_can_be_followed(site: Site) -> None:
    """202 with id, state and where to ask; after the queue's work it is accepted by Graph."""
    answer = site.call("messages_send", MAIL)
    accepted = read(answer)
    place = f"https://mail.contoso.example/api/messages/{accepted['id']}"
    assert (202, "queued", place, False) == (
        accepted["http"],
        accepted["status"],
        accepted["status_url"],
        accepted["deduplicated"],
    )
    assert place == answer.headers["Location"]

    for body in site.scene.wakeups.take(QUEUE):
        message = func.QueueMessage(body=json.dumps(body).encode())
        site.functions["send_drain"].get_user_function()(message)
    shown = read(site.call("messages_get", id=accepted["id"]))
    assert (200, "accepted", 1, None) == (shown["http"], shown["status"], shown["attempts"], shown["fault"])
    assert b"Subject: Hello\r\n" in site.scene.exchange.mimes[0]


def test_every_field_of_a_mail_reaches_the_message(site: Site) -> None:
    """What the caller says is what is composed."""
    content = base64.b64encode(b"%PDF").decode()
    body = {
        "to": ["ann@example.com", {"address": "bob@müller.example", "name": "Bob"}],
        "cc": ["c@example.com"],
        "bcc": ["d@example.com"],
        "reply_to": [{"address": "r@example.com"}],
        "from": "alias@contoso.example",
        "subject": "Ünï",
        "text": "  text ",
        "html": "<p>",
        "importance": "high",
        "headers": {"X-Ticket": "42"},
        "attachments": [
            {"name": "a.pdf", "content": content},
            {"name": "l.png", "content_type": "image/png", "content": content, "content_id": "logo", "inline": True},
        ],
        "in_reply_to": "a@b.c",
        "references": ["<a@b.c>"],
        "save_to_sent_items": True,
        "send_at": "2026-03-02T12:00:00+01:00",
        "metadata": {"order": 42},
    }
    accepted = read(site.call("messages_send", body))
    assert 202 == accepted["http"], accepted
    entry = site.scene.entry(accepted["id"])
    mail = Outgoing.from_bytes(site.scene.blobs.outbox.get(entry.payload) or b"")

    assert ("bob@xn--mller-kva.example", "Bob") == (mail.to[1].address, mail.to[1].name)
    assert ("alias@contoso.example", "Ünï", "  text ", "high") == (
        mail.sender and mail.sender.address,
        mail.subject,
        mail.text,
        mail.importance,
    )
    assert [("application/pdf", 4), ("image/png", 4)] == [(file.content_type, file.size) for file in mail.files]
    assert ("<a@b.c>", (("X-Ticket", "42"),)) == (mail.in_reply_to, mail.headers)
    assert ({"order": 42}, "2026-03-02T11:00:00.000Z") == (entry.metadata, entry.not_before)


def test_every_fault_of_a_mail_is_named(site: Site) -> None:
    """One answer lists them all, each with its pointer, and nothing is stored."""
    body = {
        "to": ["ann", {"address": "b@c.de", "nick": "B"}, 7],
        "cc": "x@y.zz",
        "subject": "a\r\nBcc: evil@example.com",
        "text": 5,
        "importance": "urgent",
        "headers": {"Subject": "x"},
        "attachments": [{"name": "a", "content": "%%%"}, {"name": "b"}, {"content": "QQ==", "upload_id": "u"}],
        "in_reply_to": "no id",
        "send_at": "tomorrow",
        "color": "red",
    }
    answer = read(site.call("messages_send", body))

    pointers = {fault["pointer"].removesuffix("/[key]") for fault in answer["errors"]}
    assert (422, "invalid_request") == (answer["http"], answer["code"])
    assert {
        "/to/0",
        "/to/1",
        "/to/2",
        "/cc",
        "/subject",
        "/text",
        "/importance",
        "/headers/Subject",
        "/attachments/0/content",
        "/attachments/1",
        "/attachments/2",
        "/in_reply_to",
        "/send_at",
        "/color",
    } == pointers
    assert [] == site.scene.stored()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"to": []}, "recipients"),
        ({"text": None}, "text, html or both"),
        ({"metadata": {"x": "y" * 5000}}, "metadata"),
        ({"to": ["a@b.cd"] * 501}, "500"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "twice"),
        ({"headers": {"X-Mailgrant-Entry": "m"}}, "ours"),
        ({"text": "a\x00"}, "NUL"),
        ({"attachments": [{"name": "a", "content": "QQ==", "inline": True}]}, "content_id"),
        ({"to": [{"address": "a@b.cd", "name": "x\ny"}]}, "line breaks"),
    ],
)
def test_each_limit_has_its_sentence(site: Site, change: dict[str, Any], words: str) -> None:
    """The answer says what to do about it."""
    answer = read(site.call("messages_send", {**MAIL, **change}))

    assert 422 == answer["http"]
    assert words in json.dumps(answer["errors"])


def test_what_is_no_json_is_a_400(site: Site) -> None:
    """And a lone surrogate is no text."""
    broken = read(site.call("messages_send", b"{"))
    assert (400, "invalid_json") == (broken["http"], broken["code"])
    assert 422 == read(site.call("messages_send", b'{"to":["a@b.cd"],"text":"\\ud800"}'))["http"]
    assert 422 == read(site.call("messages_send", []))["http"]


def test_a_replayed_request_is_answered_as_the_first_one(site: Site) -> None:
    """By Idempotency-Key, else by webhook-id; the same body in another order is the same."""
    for name in ("idempotency-key", "webhook-id"):
        first = read(site.call("messages_send", MAIL, headers={name: f"k-{name}"}))
        again = site.call("messages_send", dict(reversed(MAIL.items())), headers={name: f"k-{name}"})
        assert (202, first["id"], True) == (again.status_code, read(again)["id"], read(again)["deduplicated"])
        assert "true" == again.headers["Idempotent-Replayed"]

    other = read(site.call("messages_send", {**MAIL, "text": "Ho"}, headers={"idempotency-key": "k-idempotency-key"}))
    assert (409, "idempotency_key_reused") == (other["http"], other["code"])
    assert 422 == read(site.call("messages_send", MAIL, headers={"idempotency-key": "k" * 256}))["http"]


def test_a_foreign_token_or_id_finds_nothing(site: Site) -> None:
    """404 for whatever is not the caller's."""
    accepted = read(site.call("messages_send", MAIL))
    stranger = site.scene.make().id

    assert [404, 404, 404] == [
        site.call("messages_send", MAIL, token="mg_send_x").status_code,
        site.call("messages_get", token=stranger, id=accepted["id"]).status_code,
        site.call("messages_get", id="msg_1").status_code,
    ]


def test_a_body_over_8_mb_names_uploads(site: Site) -> None:
    """Large files go straight into storage."""
    answer = read(site.call("messages_send", b" " * (8 * 1024 * 1024 + 1)))

    assert (413, "body_too_large") == (answer["http"], answer["code"])
    assert "uploads" in answer["detail"]


def test_a_large_file_is_announced_put_and_sent() -> None:
    """By parts here; the answer names the link as well."""
    site = Site()
    announced = site.call("uploads_create", {"name": "b.bin", "size": 5_000_000})
    made = read(announced)
    assert (201, True) == (made["http"], made["put_url"].startswith("https://storage.invalid/uploads/"))
    assert f"https://mail.contoso.example/api/uploads/{made['upload_id']}" == announced.headers["Location"]

    for number in (1, 2):
        part = site.call("uploads_part", bytes(2_500_000), id=made["upload_id"], n=str(number))
        assert 204 == part.status_code
    mail = {**MAIL, "attachments": [{"upload_id": made["upload_id"]}]}
    accepted = read(site.call("messages_send", mail))
    assert 202 == accepted["http"], accepted
    assert Status.ACCEPTED == site.scene.finish(accepted["id"]).status
    assert 1 == site.scene.exchange.calls["attach_large"]


def test_uploads_that_cannot_be_are_refused(site: Site) -> None:
    """Sizes, names and part numbers are checked; another connection's upload is not found."""
    for body in ({"name": "a", "size": 0}, {"name": "a", "size": 10**9}, {"name": "a\nb", "size": 1}, {"size": 1}):
        assert 422 == site.call("uploads_create", body).status_code, body
    too_big = read(site.call("uploads_create", {"name": "a", "size": 40_000_000}))
    assert (413, "message_exceeds_mailbox_limit") == (too_big["http"], too_big["code"])

    upload = read(site.call("uploads_create", {"name": "a", "size": 5}))["upload_id"]
    assert 422 == site.call("uploads_part", b"x", id=upload, n="one").status_code
    assert 404 == site.call("uploads_part", b"x", token=site.scene.make().id, id=upload, n="1").status_code


def test_an_administrator_sees_the_outbox_and_cancels(site: Site) -> None:
    """Newest first with every move; a cancelled mail says so, and stays cancelled."""
    first, second = (read(site.call("messages_send", MAIL))["id"] for _ in range(2))
    cancelled = site.admin("outbox_cancel", id=first)
    assert (200, "cancelled", ["accept", "cancel"]) == (
        cancelled["http"],
        cancelled["status"],
        [move["name"] for move in cancelled["moves"]],
    )

    listed = site.admin("outbox_list", id=site.scene.connection.id)
    assert ({first, second}, None) == ({entry["id"] for entry in listed["data"]}, listed["next_cursor"])
    some = site.admin("outbox_list", id=site.scene.connection.id, params={"status": "cancelled", "limit": "1"})
    assert [first] == [entry["id"] for entry in some["data"]]
    site.scene.work()
    shown = site.admin("outbox_get", id=second)
    assert ("accepted", site.scene.connection.id) == (shown["status"], shown["connection_id"])
    assert (409, "not_cancellable") == tuple(site.admin("outbox_cancel", id=second)[key] for key in ("http", "code"))


def test_an_administrators_write_must_be_marked(site: Site) -> None:
    """A web page could post to localhost."""
    accepted = read(site.call("messages_send", MAIL))

    assert 415 == site.call("outbox_cancel", {}, id=accepted["id"]).status_code
    assert Status.QUEUED == site.scene.entry(accepted["id"]).status


@pytest.mark.parametrize("params", [{"status": "lost"}, {"since": "yesterday"}, {"limit": "0"}, {"cursor": "x"}])
def test_a_list_refuses_what_it_does_not_understand(site: Site, params: dict[str, str]) -> None:
    """And says which part of the query that is."""
    assert 422 == site.admin("outbox_list", id=site.scene.connection.id, params=params)["http"]


def test_trouble_with_storage_is_a_503_and_the_queue_tries_again(site: Site) -> None:
    """The caller repeats with the same key, the host repeats the message."""
    site.scene.tables.outbox.failures.plan("commit")
    answer = site.call("messages_send", MAIL)
    assert (503, "10") == (answer.status_code, answer.headers["Retry-After"])

    site.call("messages_send", MAIL)
    message = func.QueueMessage(body=json.dumps(site.scene.wakeups.take(QUEUE)[0]).encode())
    site.scene.tables.connections.failures.plan("read")
    with pytest.raises(StorageUnavailable):
        site.functions["send_drain"].get_user_function()(message)


def test_a_message_that_is_no_wakeup_is_not_swallowed(site: Site) -> None:
    """It goes to the poison queue, where it is logged."""
    with pytest.raises(ValueError, match="wake-up"):
        site.functions["send_drain"].get_user_function()(func.QueueMessage(body=b'{"kind":"x"}'))


def test_a_failed_mail_is_sent_again_by_hand(site: Site) -> None:
    """A new entry that names the old one; a repeat of the request makes no third."""
    scene = site.scene
    scene.exchange.script = lambda name: (
        (ItemFault("bad", Code.MESSAGE_REFUSED), False) if name == "create_draft" else (None, True)
    )
    first = read(site.call("messages_send", MAIL))["id"]
    scene.run(30)
    scene.exchange.script = lambda _: (None, True)
    headers = {"content-type": "application/json", "x-mailgrant-request": "1", "idempotency-key": "k"}
    again = [read(site.call("outbox_resend", {}, headers=headers, id=first)) for _ in range(2)]
    scene.run(30)

    assert [(202, first)] * 2 == [(answer["http"], answer["resend_of"]) for answer in again]
    assert again[0]["id"] == again[1]["id"]
    assert (0, 1) == (scene.exchange.copies[first], scene.exchange.copies[again[0]["id"]])


def test_a_mail_that_may_have_arrived_is_sent_again_only_on_demand(site: Site) -> None:
    """A second copy is a person's decision; while it is open it is nobody's."""
    scene = site.scene
    entry_id = read(site.call("messages_send", MAIL))["id"]
    headers = {"content-type": "application/json", "x-mailgrant-request": "1"}
    still = read(site.call("outbox_resend", {"accept_duplicate": True}, headers=headers, id=entry_id))
    scene.run(30)
    refused = read(site.call("outbox_resend", {}, headers=headers, id=entry_id))
    demanded = read(site.call("outbox_resend", {"accept_duplicate": True}, headers=headers, id=entry_id))
    scene.run(30)

    assert [(409, "not_resendable")] * 2 == [(answer["http"], answer["code"]) for answer in (still, refused)]
    assert (1, 1) == (scene.exchange.copies[entry_id], scene.exchange.copies[demanded["id"]])
    scene.blobs.outbox.delete(scene.entry(demanded["id"]).payload)
    gone = read(site.call("outbox_resend", {"accept_duplicate": True}, headers=headers, id=demanded["id"]))
    assert (410, "content_expired") == (gone["http"], gone["code"])

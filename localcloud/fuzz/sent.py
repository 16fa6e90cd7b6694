"""What software posts to have mail sent: bodies of messages, payloads of hooks, and certificates as pasted."""

from __future__ import annotations

import base64
import email
import json
from contextlib import suppress
from datetime import UTC, datetime
from email import policy

from functions.connections_bodies import BulkBody, ChangeConnection, CreateConnection
from functions.requests import check
from functions.send_bodies import MessageBody, UploadBody
from localcloud.fuzz import mutations
from localcloud.fuzz.targets import MB, Target
from shared.compose.message import Address, Outgoing
from shared.compose.mime import Envelope, compose
from shared.errors import InvalidRequest, TooLarge
from shared.hooks.payloads import payload_of
from shared.mail.parsing import parse
from shared.proofs import AuthMethod, TypedProof, examine_proof

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ENVELOPE = Envelope("msg_0.X", "<01X@contoso.example>", Address("box@contoso.example", "Box"), NOW)
SECRET = "fuzz-secret-value"

MESSAGES = (
    {
        "to": ["ann@example.com", {"address": "jörg@münchen.example", "name": 'J "ö" <x>'}],
        "cc": [{"address": "c@d.example", "name": None}],
        "from": {"address": "box@contoso.example", "name": "Box"},
        "subject": "Grüße aus dem Büro",
        "text": "hello\r\nFrom here\n.\n",
        "html": "<p>é</p><img src=cid:a@b>",
        "headers": {"X-A": "b", "X-Long": "ü" * 90},
        "attachments": [
            {"name": "größe.txt", "content": "QUJD", "content_type": "text/plain; charset=latin-1"},
            {"name": "a.png", "content": "AA==", "content_id": "a@b", "inline": True},
        ],
        "in_reply_to": "<a@b.example>",
        "references": ["<c@d.example>"],
        "importance": "high",
        "send_at": "2026-11-22T07:00:00Z",
        "metadata": {"a": [1, {"b": None}]},
        "save_to_sent_items": False,
    },
    {"bcc": ["x@y.example"], "text": "x"},
)
CONNECTION = {
    "direction": "incoming",
    "grant_id": "grant_x",
    "mailbox": "box@contoso.example",
    "name": "Box",
    "start": {"since": "2026-01-01T00:00:00Z"},
    "destination": {"type": "webhook", "url": "https://hooks.example/in", "events": ["message.received"]},
    "after_fetch": {"action": "move", "folder": "done"},
    "limits": {"max_message_mb": 5, "max_stored_mb_per_day": None},
    "recipient_allow_list": ["@example.com", "ann@example.com"],
    "interval_minutes": 5,
}
BODIES = (
    CONNECTION,
    {"name": "x", "enabled": False, "limits": None, "destination": None, "retention_days": 3},
    {"operations": [{"op": "create", "connection": CONNECTION}, {"op": "delete", "id": "conn_x", "discard": True}]},
    {"name": "a.bin", "size": 5, "sha256": "0" * 64, "content_type": "a/b"},
)


def _as_json(*values: object) -> tuple[bytes, ...]:
    return tuple(json.dumps(value).encode() for value in values)


def send(data: bytes) -> None:
    """A body is refused with its faults, or its mail can be stored, composed and read again as what was asked for."""
    try:
        mail = check(MessageBody, json.loads(data)).submission("", "").mail
    except (InvalidRequest, ValueError, RecursionError):
        return
    assert mail == Outgoing.from_bytes(mail.to_bytes()), "what was kept is another mail"
    mime = compose(mail, ENVELOPE).mime
    assert max(map(len, mime.split(b"\r\n"))) <= 998, "a line is too long"
    read = parse(mime)
    asked = [[one.address for one in people] for people in (mail.to, mail.cc)]
    assert asked == [[one.address for one in people] for people in (read.to, read.cc)], "it goes to somebody else"
    assert " ".join(mail.subject.split()) == " ".join(read.subject.split()), "the subject is another"
    assert len(mail.files) >= len(read.attachments), "a file came out of nothing"
    strict = email.message_from_bytes(mime, policy=policy.SMTPUTF8)
    assert len(strict.keys()) == len({name.lower() for name in strict}), "a header stands twice"


def read_body(data: bytes) -> None:
    """Bodies of connections, of many at once and of uploads are taken or refused with their faults."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    with suppress(InvalidRequest):
        check(CreateConnection, value).asked()
    with suppress(InvalidRequest):
        check(ChangeConnection, value).changes()
    with suppress(InvalidRequest):
        check(BulkBody, value)
    with suppress(InvalidRequest):
        check(UploadBody, value)


def read_payload(data: bytes) -> None:
    """A hook's body of any type is plain data or is refused."""
    kind, _, content = data.partition(b"\n")
    with suppress(InvalidRequest, TooLarge):
        payload_of(content, kind.decode("latin-1"))


def read_proof(data: bytes) -> None:
    """Whatever is pasted as a certificate is read or refused, and no fault quotes it."""
    text, _, words = data.decode("utf-8", "replace").partition("\n\n")
    _, faults = examine_proof(
        TypedProof(AuthMethod.CERTIFICATE, certificate=text + SECRET, certificate_passphrase=words), NOW
    )
    examine_proof(TypedProof(AuthMethod.SECRET, client_secret=text, secret_expires_at=words), NOW)
    assert all(SECRET not in fault.message for fault in faults), "a fault quotes a secret"


PAYLOADS = (
    b'application/json\n{"a": [1, 2.5, "x", null, true], "b": {"c": "d"}}',
    b"application/x-www-form-urlencoded\na=b&a=c&d=%C3%A9&e=",
    b"text/plain; charset=utf-16\nx\x00",
)


def _pasted() -> tuple[bytes, ...]:
    pem = b"-----BEGIN %s-----\nMIIBVgIBADANBgkqhkiG9w0BAQEFAASCAUAwggE8AgEAAkEA\n-----END %s-----\n"
    made = [
        pem % (kind, kind) for kind in (b"CERTIFICATE", b"PRIVATE KEY", b"RSA PRIVATE KEY", b"ENCRYPTED PRIVATE KEY")
    ]
    return (*made, b"".join(made), base64.b64encode(b"\x30\x82\x01\x00\x02\x01\x03") + b"\n\npass")


TARGETS = (
    Target(
        "message",
        send,
        lambda: _as_json(*MESSAGES),
        mutations.body,
        most_bytes=256 * 1024,
        memory=48 * MB,
        per_byte=200,
    ),
    Target(
        "bodies",
        read_body,
        lambda: _as_json(*BODIES),
        mutations.body,
        most_bytes=256 * 1024,
        memory=48 * MB,
        per_byte=200,
    ),
    Target("payload", read_payload, lambda: PAYLOADS, mutations.text, per_byte=200),
    Target("proof", read_proof, _pasted, mutations.text, most_bytes=100_000),
)

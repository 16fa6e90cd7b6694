"""What is one message of a simulated mailbox: its MIME text, its Graph properties, its attachments."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from localcloud.mail.fields import Json, fields_of_mail, header_addresses, preview, timestamp
from localcloud.mail.mime_compose import Composition, append_attachments, compose
from localcloud.mail.mime_parse import MimeAttachment, ParsedMail, parse_mime, read_header

_EXTENDED_PROPERTY = re.compile(
    r"(?i)^\s*(string|integer|long|boolean|short|double|float|systemtime|guid|binary)(?:array)?\s+"
    r"(?:\{([0-9a-f-]{36})\}\s+(?:name\s+(\S.*)|id\s+0x([0-9a-f]{1,8}))|0x([0-9a-f]{1,8}))\s*$"
)
# What only the composer writes; every other header of a message is kept when Exchange writes it anew.
_WRITTEN_ANEW = frozenset(
    (
        "from", "sender", "to", "cc", "bcc", "reply-to", "subject", "message-id", "date", "importance",
        "mime-version", "content-type", "content-transfer-encoding", "content-disposition", "content-id",
        "disposition-notification-to",
    )
)  # fmt: skip


def canonical_property_id(unverified_id: str) -> str | None:
    """Return the one spelling of an extended property id (as Graph answers it), or None if it is not one."""
    match = _EXTENDED_PROPERTY.match(unverified_id)
    if match is None:
        return None
    kind, guid, name, number, tag = match.groups()
    if tag is not None:
        return f"{kind.capitalize()} 0x{int(tag, 16):x}"
    return f"{kind.capitalize()} {{{guid.lower()}}} " + (f"Name {name}" if name else f"Id 0x{int(number, 16):x}")


@dataclass(eq=False)
class Attachment:
    """An attachment under its own id."""

    id: str
    file: MimeAttachment
    modified_at: float


class Message:
    """
    One message. *raw* is the MIME text it came with, None for a draft written through JSON.

    *properties* overlay what follows from *raw*; *headers* are further headers of a draft without *raw*;
    *extended* maps canonical property ids to values. A submitted copy in Sent Items has *submitted* set.
    *poison* is ``full`` where Exchange cannot read the message, or ``hard`` where not even its id.
    """

    def __init__(self, immutable_id: str, raw: bytes | None, received_at: float) -> None:
        self.immutable_id = immutable_id
        self.mutable_id = ""
        self.folder_id = ""
        self.moves = 0
        self.received_at = received_at
        self.created_at = received_at
        self.modified_at = received_at
        self.is_read = False
        self.is_draft = False
        self.submitted = False
        self.poison = ""
        self.version = 0
        self.properties: Json = {}
        self.headers: list[tuple[str, str]] = []
        self.extended: dict[str, str] = {}
        self._raw = raw
        self._parsed: ParsedMail | None = None
        self._added: list[Attachment] = []
        self._attachments: list[Attachment] | None = None
        self._mime: bytes | None = raw
        self._digest = ""
        self._fields: Json | None = None

    def parsed(self) -> ParsedMail:
        """Return what the MIME text that the message came with says."""
        if self._parsed is None:
            self._parsed = parse_mime(self._raw) if self._raw is not None else ParsedMail()
        return self._parsed

    def changed(self, version: int, moment: float) -> None:
        """Note a change of any kind: a new change key, and derived properties made anew."""
        self.version = version
        self.modified_at = moment
        self._fields = None

    def fields(self) -> Json:
        """Return the properties of the message other than its ids; do not change the result."""
        if self._fields is None:
            self._fields = self._derive()
        return self._fields

    def item_fields(self) -> Json:
        """Return the properties that the item has of itself; the MIME text is not read for them."""
        key = base64.b64encode(b"\t\0\0\0\x16\0\0\0" + self.version.to_bytes(12, "big")).decode()
        return {
            "@odata.etag": f'W/"{key}"', "createdDateTime": timestamp(self.created_at),
            "lastModifiedDateTime": timestamp(self.modified_at), "changeKey": key,
            "receivedDateTime": timestamp(self.received_at), "isRead": self.is_read, "isDraft": self.is_draft,
        }  # fmt: skip

    def _derive(self) -> Json:
        fields = (fields_of_mail(self.parsed()) if self._raw is not None else {}) | self.properties
        item = self.item_fields()
        return {
            **item, "categories": [], "sentDateTime": item["receivedDateTime"],
            "hasAttachments": any(not attachment.file.inline for attachment in self.attachments()),
            "internetMessageId": None, "subject": "", "bodyPreview": preview(fields), "importance": "normal",
            "conversationId": None, "conversationIndex": conversation_index(fields.get("conversationId")),
            "isDeliveryReceiptRequested": False, "isReadReceiptRequested": False,
            "inferenceClassification": "focused", "body": {"contentType": "text", "content": ""}, "sender": None,
            "from": None, "toRecipients": [], "ccRecipients": [], "bccRecipients": [], "replyTo": [],
            "flag": {"flagStatus": "notFlagged"},
        } | fields  # fmt: skip

    def mime(self) -> bytes:
        """Return the MIME text, the same bytes until the content changes."""
        if self._mime is None:
            boundary = f"_{hashlib.sha256(self.immutable_id.encode()).hexdigest()[:24]}_"
            if self._raw is not None:
                self._mime = append_attachments(self._raw, [item.file for item in self._added], boundary)
            else:
                self._mime = compose(self._composition(), boundary)
        return self._mime

    def digest(self) -> str:
        """Return the SHA-256 of the MIME text in hexadecimal."""
        if not self._digest:
            self._digest = hashlib.sha256(self.mime()).hexdigest()
        return self._digest

    def header(self, name: str) -> str | None:
        """Return the value of an internet header, None where there is none."""
        wanted = name.casefold()
        own = next((value for key, value in self.headers if key.casefold() == wanted), None)
        if own is not None or self._raw is None:
            return own
        return read_header(self._raw, name) if self._parsed is None else self._parsed.header(name)

    def internet_message_id(self) -> str | None:
        """Return the Message-ID, for searches, which must not read the whole MIME text of every message."""
        if self._fields is not None or "internetMessageId" in self.properties or self._raw is None:
            found: str | None = self.fields()["internetMessageId"]
            return found
        return (read_header(self._raw, "Message-ID") or "").strip() or None

    def internet_headers(self) -> list[tuple[str, str]]:
        """Return the headers as ``internetMessageHeaders`` shows them."""
        return [*self.headers, *self.parsed().headers]

    def attachments(self) -> list[Attachment]:
        """Return the attachments in the order in which they came."""
        if self._attachments is None:
            found = self.parsed().attachments
            own = [Attachment(f"{self.immutable_id}-{n}", item, self.created_at) for n, item in enumerate(found)]
            self._attachments = [*own, *self._added]
        return self._attachments

    def twin(self, immutable_id: str, moment: float) -> Message:
        """Return a copy made at *moment* (epoch seconds), in no folder yet; what came as MIME text keeps its bytes."""
        twin = Message(immutable_id, self._raw, self.received_at)
        twin.created_at, twin.is_read, twin.is_draft = moment, self.is_read, self.is_draft
        twin.submitted, twin.poison = self.submitted, self.poison
        twin.properties, twin.headers, twin.extended = dict(self.properties), list(self.headers), dict(self.extended)
        for item in self._added:
            twin.attach(replace(item, id=f"{immutable_id}-{item.id[-24:]}"))
        return twin

    def attach(self, attachment: Attachment) -> None:
        """Add a file; the content that is there stays byte for byte."""
        self._added.append(attachment)
        self._forget_content()

    def detach(self, attachment: Attachment) -> None:
        """Take a file away."""
        self.rewrite({})
        self._added.remove(attachment)
        self._forget_content()

    def rewrite(self, properties: Mapping[str, Any]) -> None:
        """Change content of a draft; from now on Exchange writes its MIME text itself."""
        if self._raw is not None:
            derived = fields_of_mail(self.parsed())
            self._added = self.attachments()
            self.headers = [pair for pair in self.parsed().headers if pair[0].casefold() not in _WRITTEN_ANEW]
            self.properties = derived | self.properties
            self._raw = self._parsed = None
        self.properties.update(properties)
        self._forget_content()

    def _forget_content(self) -> None:
        self._mime = self._attachments = self._fields = None
        self._digest = ""

    def _composition(self) -> Composition:
        fields = self.properties
        headers = [("Subject", str(fields.get("subject") or ""))]
        if fields.get("internetMessageId"):
            headers.append(("Message-ID", fields["internetMessageId"]))
        if fields.get("importance", "normal") != "normal":
            headers.append(("Importance", fields["importance"]))
        if fields.get("isReadReceiptRequested") and fields.get("from"):
            headers.append(("Disposition-Notification-To", fields["from"]["emailAddress"]["address"]))
        body = fields.get("body") or {}
        is_html = str(body.get("contentType", "")).casefold() == "html"
        files = [item.file for item in self.attachments()]
        return Composition(
            [*headers, *self.headers], header_addresses(fields), body.get("content") or "", is_html, files
        )


def conversation_index(conversation: str | None) -> str | None:
    """Return the ``conversationIndex`` that goes with a conversation id."""
    if conversation is None:
        return None
    return base64.b64encode(b"\1" + hashlib.sha256(conversation.encode()).digest()[:21]).decode()

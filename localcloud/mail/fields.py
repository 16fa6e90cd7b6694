"""How do a message's MIME headers and content look as the properties of a Graph message, and back."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from localcloud.mail.mime_parse import Address, ParsedMail

Json = dict[str, Any]
_RECIPIENTS = {"toRecipients": "to", "ccRecipients": "cc", "bccRecipients": "bcc", "replyTo": "reply-to"}
_PREVIEW_LENGTH = 255
_TAGS = re.compile(r"(?is)<(script|style|head)\b.*?</\1\s*>|<[^>]*>")
_IMPORTANCE = {"high": "high", "1": "high", "2": "high", "low": "low", "4": "low", "5": "low"}


def timestamp(moment: float) -> str:
    """Return epoch seconds in the form of Graph's answers (UTC, whole seconds)."""
    return datetime.fromtimestamp(int(moment), UTC).isoformat().replace("+00:00", "Z")


def fields_of_mail(mail: ParsedMail) -> Json:
    """Return the Graph message properties that follow from the MIME text alone."""
    addresses = {name: recipients(pairs) for name, pairs in mail.addresses.items()}
    author = next(iter(addresses.get("from") or addresses.get("sender") or []), None)
    fields: Json = {
        "subject": mail.subject,
        "internetMessageId": mail.message_id,
        "from": author,
        "sender": next(iter(addresses.get("sender") or []), author),
        "importance": _importance(mail),
        "isReadReceiptRequested": mail.header("disposition-notification-to") is not None,
        "isDeliveryReceiptRequested": mail.header("return-receipt-to") is not None,
        "body": _body(mail),
        "conversationId": conversation_of(mail),
    }
    fields |= {name: addresses.get(header, []) for name, header in _RECIPIENTS.items()}
    if mail.date is not None:
        fields["sentDateTime"] = mail.date.replace(microsecond=0).isoformat().replace("+00:00", "Z")
    return fields


def recipients(pairs: Sequence[Address]) -> list[Json]:
    """Return the addresses as Graph recipients; a missing name repeats the address, as Exchange does."""
    return [{"emailAddress": {"name": name or address, "address": address}} for name, address in pairs]


def addresses_in(fields: Mapping[str, Any], *names: str) -> list[Address]:
    """Return name and address of the recipients under the properties *names*."""
    found: list[Address] = []
    for name in names:
        value = fields.get(name)
        entries = value if isinstance(value, list) else [value] if value else []
        for entry in entries:
            mailbox = (entry or {}).get("emailAddress") or {}
            if mailbox.get("address"):
                found.append((mailbox.get("name") or "", mailbox["address"]))
    return found


def header_addresses(fields: Mapping[str, Any]) -> dict[str, list[Address]]:
    """Return the address headers that a message with these properties has."""
    author = addresses_in(fields, "from")
    sender = addresses_in(fields, "sender")
    headers = {"From": author or sender}
    if sender and author and sender != author:
        headers["Sender"] = sender
    names = {"To": "toRecipients", "Cc": "ccRecipients", "Bcc": "bccRecipients", "Reply-To": "replyTo"}
    return headers | {header: addresses_in(fields, name) for header, name in names.items()}


def plain_text(fields: Mapping[str, Any]) -> str:
    """Return the body as text, tags taken out of HTML."""
    body = fields.get("body") or {}
    content = str(body.get("content") or "")
    if str(body.get("contentType", "")).casefold() != "html":
        return content
    return html.unescape(_TAGS.sub(" ", content))


def preview(fields: Mapping[str, Any]) -> str:
    """Return the first 255 characters of the body's text."""
    return " ".join(plain_text(fields)[:4000].split())[:_PREVIEW_LENGTH]


def conversation_of(mail: ParsedMail) -> str:
    """Return a conversation id shared by all messages whose references begin alike."""
    references = re.findall(r"<[^<>\s]+>", f"{mail.header('references') or ''} {mail.header('in-reply-to') or ''}")
    return conversation_id(references[0] if references else mail.message_id or mail.subject)


def conversation_id(root: str) -> str:
    """Return the conversation id for the thread that began with *root*."""
    digest = hashlib.sha256(root.encode("utf-8", "replace")).digest()
    return f"AAQkAG{base64.urlsafe_b64encode(digest).decode()}"


def _importance(mail: ParsedMail) -> str:
    value = mail.header("importance") or mail.header("x-priority") or ""
    return _IMPORTANCE.get(value.strip()[:4].casefold().split(" ", maxsplit=1)[0], "normal")


def _body(mail: ParsedMail) -> Json:
    if mail.html is not None:
        return {"contentType": "html", "content": mail.html}
    return {"contentType": "text", "content": mail.text or ""}

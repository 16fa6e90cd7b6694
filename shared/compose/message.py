"""A mail to send as it was accepted, and the payload blob that keeps it."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Address:
    """A checked address with the *name* shown beside it."""

    address: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """
    A file of a mail: its *content*, or the upload that holds it.

    *size* in bytes; *sha256* in hexadecimal, '' where the caller of an upload gave none. *blob* is the upload's path.
    """

    name: str
    content_type: str
    size: int
    content: bytes | None = field(default=None, repr=False)
    content_id: str = ""
    inline: bool = False
    upload_id: str = ""
    blob: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A checked mail; *sender* is None where the mailbox's own address is used."""

    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    sender: Address | None = None
    subject: str = ""
    text: str | None = None
    html: str | None = None
    importance: str = "normal"
    headers: tuple[tuple[str, str], ...] = ()
    files: tuple[File, ...] = ()
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    automatic: bool = False
    """Whether a machine wrote it, so that no machine should answer."""

    @property
    def recipients(self) -> tuple[Address, ...]:
        """Everyone it goes to."""
        return (*self.to, *self.cc, *self.bcc)

    def to_bytes(self) -> bytes:
        """Return the payload blob's content."""
        return json.dumps(_plain(self), ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Outgoing":
        """Return the mail of a payload blob; fields of a newer version are left alone."""
        data = json.loads(content)
        sender = data.get("sender")
        return cls(
            to=_addresses(data.get("to")),
            cc=_addresses(data.get("cc")),
            bcc=_addresses(data.get("bcc")),
            reply_to=_addresses(data.get("reply_to")),
            sender=Address(sender["address"], sender["name"]) if sender else None,
            subject=data.get("subject", ""),
            text=data.get("text"),
            html=data.get("html"),
            importance=data.get("importance", "normal"),
            headers=tuple((name, value) for name, value in data.get("headers", ())),
            files=tuple(_file(item) for item in data.get("files", ())),
            in_reply_to=data.get("in_reply_to", ""),
            references=tuple(data.get("references", ())),
            automatic=data.get("automatic", False),
        )

    def with_files(self, files: tuple[File, ...]) -> "Outgoing":
        """Return the mail with *files* in place of its own."""
        return replace(self, files=files)


def _plain(mail: Outgoing) -> dict[str, Any]:
    return {
        "to": [_person(person) for person in mail.to],
        "cc": [_person(person) for person in mail.cc],
        "bcc": [_person(person) for person in mail.bcc],
        "reply_to": [_person(person) for person in mail.reply_to],
        "sender": _person(mail.sender) if mail.sender else None,
        "subject": mail.subject,
        "text": mail.text,
        "html": mail.html,
        "importance": mail.importance,
        "headers": mail.headers,
        "files": [_plain_file(file) for file in mail.files],
        "in_reply_to": mail.in_reply_to,
        "references": mail.references,
        "automatic": mail.automatic,
    }


def _plain_file(file: File) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "name": file.name,
        "content_type": file.content_type,
        "size": file.size,
        "content_id": file.content_id,
        "inline": file.inline,
        "upload_id": file.upload_id,
        "blob": file.blob,
        "sha256": file.sha256,
    }
    if file.content is not None:
        plain["content"] = base64.b64encode(file.content).decode()
    return plain


def _file(item: Mapping[str, Any]) -> File:
    content = item.get("content")
    return File(
        name=item["name"],
        content_type=item["content_type"],
        size=item["size"],
        content=None if content is None else base64.b64decode(content),
        content_id=item.get("content_id", ""),
        inline=item.get("inline", False),
        upload_id=item.get("upload_id", ""),
        blob=item.get("blob", ""),
        sha256=item.get("sha256", ""),
    )


def _person(person: Address) -> dict[str, str]:
    return {"address": person.address, "name": person.name}


def _addresses(items: list[dict[str, str]] | None) -> tuple[Address, ...]:
    return tuple(Address(item["address"], item.get("name", "")) for item in items or ())

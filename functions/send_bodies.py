"""What a request to send, or to announce an upload, may say; each fault of it is named."""

import base64
import binascii
import json
import mimetypes
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, StringConstraints, model_validator

from functions.requests import Body
from shared.compose import addresses
from shared.compose.message import Address, File, Outgoing
from shared.compose.mime import content_type
from shared.identifiers import split_receipt_id
from shared.send.accept import Submission
from shared.times import from_text

MOST_RECIPIENTS = 500  # what a mailbox of Exchange Online takes unless an administrator raised it
MOST_FILES = 40
MOST_HEADERS = 20
MOST_REFERENCES = 50
METADATA_CHARACTERS = 4096
UPLOAD_BYTES = 150 * 1024 * 1024


class Recipient(Body):
    """An address with the name beside it."""

    address: str
    name: str | None = None


def _person(value: object) -> Address:
    if isinstance(value, str):
        return Address(addresses.address(value))
    if (
        not isinstance(value, dict)
        or not set(value) <= {"address", "name"}
        or not isinstance(value.get("address"), str)
    ):
        raise ValueError('give an address as text, or as {"address": …, "name": …}')
    name = value.get("name") or ""
    if not isinstance(name, str) or len(name) > 200:
        raise ValueError("a name is text of at most 200 characters")
    return Address(addresses.address(value["address"]), addresses.one_line(name.strip()))


def _decoded(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError("give the file's bytes in base64")  # noqa: TRY004 - pydantic takes ValueError for a fault
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        raise ValueError("is not base64") from None


def _moment(value: object) -> datetime:
    try:
        return from_text(str(value))
    except ValueError:
        raise ValueError("give a time as RFC 3339, such as 2026-11-22T07:00:00Z") from None


def _body_text(value: str) -> str:
    if "\x00" in value:
        raise ValueError("may not hold the character NUL")
    return value


Person = Annotated[Address, PlainValidator(_person, json_schema_input_type=str | Recipient)]
People = Annotated[list[Person], Field(default_factory=list, max_length=MOST_RECIPIENTS)]
Line = Annotated[str, AfterValidator(addresses.one_line)]
Prose = Annotated[str, StringConstraints(strip_whitespace=False), AfterValidator(_body_text)]
_AsBase64 = Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]
Base64 = Annotated[bytes, PlainValidator(_decoded, json_schema_input_type=_AsBase64)]
MessageId = Annotated[str, AfterValidator(addresses.message_id)]
Answered = Annotated[str, AfterValidator(lambda text: text if split_receipt_id(text) else addresses.message_id(text))]
ContentType = Annotated[str, AfterValidator(content_type)]
ContentId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~@-]{1,200}$")]
HeaderName = Annotated[str, AfterValidator(addresses.header_name)]
HeaderValue = Annotated[str, StringConstraints(max_length=2000), AfterValidator(addresses.one_line)]
FileName = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(addresses.one_line)]
Moment = Annotated[datetime, BeforeValidator(_moment)]


class AttachmentBody(Body):
    """A file: its bytes in base64, or the upload that holds it."""

    name: FileName | None = None
    content_type: ContentType | None = None
    content: Base64 | None = None
    content_id: ContentId | None = None
    inline: bool = False
    upload_id: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.content is None) == (self.upload_id is None):
            raise ValueError("give either content or upload_id")
        if self.content is not None and self.name is None:
            raise ValueError("a file with content needs a name")
        if self.upload_id is not None and self.content_type is not None:
            raise ValueError("an upload has the content_type that it was announced with")
        if self.inline and self.content_id is None:
            raise ValueError("an inline file needs the content_id by which the html names it")
        return self

    def file(self) -> File:
        """Return the file that this describes."""
        guessed = mimetypes.guess_type(self.name or "")[0] or "application/octet-stream"
        return File(
            name=self.name or "",
            content_type=self.content_type or content_type(guessed),
            size=len(self.content or b""),
            content=self.content,
            content_id=self.content_id or "",
            inline=self.inline,
            upload_id=self.upload_id or "",
        )


class MessageBody(Body):
    """A mail to send."""

    to: People
    cc: People
    bcc: People
    reply_to: People
    sender: Person | None = Field(default=None, alias="from")
    subject: Annotated[Line, StringConstraints(max_length=2000)] = ""
    text: Prose | None = None
    html: Prose | None = None
    importance: Literal["low", "normal", "high"] = "normal"
    headers: Annotated[dict[HeaderName, HeaderValue], Field(default_factory=dict, max_length=MOST_HEADERS)]
    attachments: Annotated[list[AttachmentBody], Field(default_factory=list, max_length=MOST_FILES)]
    in_reply_to: Answered | None = None
    references: Annotated[list[MessageId], Field(default_factory=list, max_length=MOST_REFERENCES)]
    save_to_sent_items: bool = True
    send_at: Moment | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        recipients = len(self.to) + len(self.cc) + len(self.bcc)
        completed = split_receipt_id(self.in_reply_to or "") is not None  # it says to whom an answer goes
        if not (0 if completed else 1) <= recipients <= MOST_RECIPIENTS:
            raise ValueError(f"give 1 to {MOST_RECIPIENTS} recipients in to, cc and bcc together")
        if self.text is None and self.html is None:
            raise ValueError("give text, html or both")
        if len(json.dumps(self.metadata)) > METADATA_CHARACTERS:
            raise ValueError(f"metadata may take at most {METADATA_CHARACTERS} characters as JSON")
        lowered = [name.lower() for name in self.headers]
        if len(set(lowered)) != len(lowered):
            raise ValueError("headers names a header twice")
        return self

    def submission(self, key: str, body_hash: str) -> Submission:
        """Return what is to be accepted."""
        return Submission(self._mail(), self.send_at, self.metadata, key, body_hash, save_copy=self.save_to_sent_items)

    def _mail(self) -> Outgoing:
        return Outgoing(
            to=tuple(self.to),
            cc=tuple(self.cc),
            bcc=tuple(self.bcc),
            reply_to=tuple(self.reply_to),
            sender=self.sender,
            subject=self.subject,
            text=self.text,
            html=self.html,
            importance=self.importance,
            headers=tuple(self.headers.items()),
            files=tuple(attachment.file() for attachment in self.attachments),
            in_reply_to=self.in_reply_to or "",
            references=tuple(self.references),
        )


class UploadBody(Body):
    """A file to come; *size* in bytes."""

    name: FileName
    content_type: ContentType = "application/octet-stream"
    size: Annotated[int, Field(ge=1, le=UPLOAD_BYTES)]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$")] | None = None

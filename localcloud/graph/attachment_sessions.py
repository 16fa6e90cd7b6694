"""How do large attachments arrive: upload sessions on outlook.office.com, written in sequential chunks."""

from __future__ import annotations

import re
import secrets
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from localcloud.graph.attachments import editable
from localcloud.graph.wire import Reply, Request, context
from localcloud.mail.delivery import check_size
from localcloud.mail.errors import MailError, bad_request
from localcloud.mail.fields import timestamp
from localcloud.mail.message import Attachment
from localcloud.mail.mime_parse import MimeAttachment
from localcloud.mail.store import identifier

if TYPE_CHECKING:
    from localcloud.graph.calls import Call
    from localcloud.mail.mailboxes import Mailboxes
    from localcloud.mail.message import Message
    from localcloud.mail.store import Mailbox

OUTLOOK_ROOT = "https://outlook.office.com"
MIN_SIZE = 2_097_152  # measured; smaller files must be posted (facts, section 4.2)
MAX_SIZE = 150 * 1024 * 1024
MAX_CHUNK = 4 * 1024 * 1024
_LIFETIME_SECONDS = 3600
_RANGE = re.compile(r"^bytes (\d{1,12})-(\d{1,12})/(\d{1,12})$")
_ITEM_PROPERTIES = {"attachmentType", "name", "size", "contentType", "isInline", "contentId"}


@dataclass
class UploadSession:
    """One file on its way; *token* is the secret in its URL, *expires_at* in epoch seconds."""

    id: str
    token: str
    app_id: str
    mailbox: Mailbox
    message: Message
    file: MimeAttachment
    size: int
    expires_at: float
    data: bytearray = field(default_factory=bytearray)

    def path(self) -> str:
        """Return the path of the session's URL."""
        user, message = quote(self.mailbox.user.id), quote(self.message.immutable_id, safe="=")
        return f"/api/v2.0/Users('{user}')/Messages('{message}')/AttachmentSessions('{self.id}')"


def create_session(call: Call) -> Reply:
    """Answer ``POST attachments/createUploadSession``."""
    message = editable(call)
    body = {name.casefold(): value for name, value in call.request.json_object().items()}
    item = body.get("attachmentitem")
    file, size = _described_file(item)
    if size < int(call.mode("upload_session_min_bytes", MIN_SIZE)):
        raise bad_request("The attachment size must not be less than the minimum size.",
                          "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize")  # fmt: skip
    if size > MAX_SIZE:
        raise bad_request("The attachment size exceeds the maximum size.", "ErrorAttachmentSizeLimitExceeded")
    check_size(call.mailboxes, call.mailbox, size)
    session = UploadSession(
        uuid.uuid4().hex, secrets.token_urlsafe(24), call.caller.app_id, call.mailbox, message, file, size,
        call.mailboxes.world.clock() + _LIFETIME_SECONDS,
    )  # fmt: skip
    call.mailboxes.uploads[session.id] = session
    data = {
        "@odata.context": context("microsoft.graph.uploadSession"),
        "uploadUrl": f"{OUTLOOK_ROOT}{session.path()}?authtoken={session.token}",
        "expirationDateTime": _expiry(session), "nextExpectedRanges": ["0-"],
    }  # fmt: skip
    return Reply(201, data)


def _described_file(item: Any) -> tuple[MimeAttachment, int]:
    """Return name and kind of the announced file, still empty, and its size in bytes."""
    if (
        not isinstance(item, dict)
        or item.get("attachmentType") != "file"
        or set(item) - _ITEM_PROPERTIES - {"@odata.type"}
    ):
        raise bad_request("AttachmentItem with attachmentType, name and size is required.", "ErrorInvalidRequest")
    name, size = item.get("name"), item.get("size")
    if not isinstance(name, str) or not name or not isinstance(size, int) or isinstance(size, bool):
        raise bad_request("AttachmentItem with attachmentType, name and size is required.", "ErrorInvalidRequest")
    kind = str(item.get("contentType") or "application/octet-stream")
    return MimeAttachment(name, kind, b"", item.get("contentId"), bool(item.get("isInline", False))), size


def find_session(mailboxes: Mailboxes, request: Request) -> UploadSession:
    """
    Return the session that the URL names.

    Raises:
        MailError: 401 with an Authorization header or a wrong token, 404 for an unknown or expired session.
    """
    if "authorization" in request.headers:
        raise MailError(
            401, "InvalidAuthenticationToken", "The upload URL must be used without an Authorization header."
        )
    session = mailboxes.uploads.get(request.segments[-1] if request.segments else "")
    if session is None or mailboxes.world.clock() > session.expires_at:
        raise MailError(404, "ErrorItemNotFound", "The upload session was not found or has expired.")
    if not secrets.compare_digest(session.token.encode(), request.query.get("authtoken", "").encode()):
        raise MailError(401, "InvalidAuthenticationToken", "The token of the upload URL is not valid.")
    return session


def put_chunk(mailboxes: Mailboxes, session: UploadSession, request: Request) -> Reply:
    """
    Take the next chunk; the last one makes the attachment: 201, ``Location``, no body.

    Raises:
        MailError: 400 or 416 for a range that is wrong or out of order, 413 for a chunk over 4 MB.
    """
    match = _RANGE.match(request.headers.get("content-range", ""))
    if match is None:
        raise bad_request("The Content-Range header is missing or malformed.", "ErrorInvalidContentRange")
    first, last, total = map(int, match.groups())
    if total != session.size or last - first + 1 != len(request.body) or last >= total:
        raise bad_request("The Content-Range header does not fit the content.", "ErrorInvalidContentRange")
    if first != len(session.data):
        raise MailError(416, "ErrorInvalidContentRange", "The chunk is not the next expected one.")
    session.data += request.body
    if len(session.data) < session.size:
        return progress(session)
    return _complete(mailboxes, session)


def progress(session: UploadSession) -> Reply:
    """Return what is expected next; names and forms are those of outlook.office.com, not Graph's."""
    user, message = session.mailbox.user.id, session.message.immutable_id
    data = {
        "@odata.context": f"{OUTLOOK_ROOT}/api/v2.0/$metadata#Users('{user}')/Messages('{message}')"
        "/AttachmentSessions/$entity",
        "ExpirationDateTime": _expiry(session), "nextExpectedRanges": [str(len(session.data))],
    }  # fmt: skip
    return Reply(200, data)


def cancel(mailboxes: Mailboxes, session: UploadSession) -> Reply:
    """Forget the session and what it holds."""
    del mailboxes.uploads[session.id]
    return Reply(204)


def _complete(mailboxes: Mailboxes, session: UploadSession) -> Reply:
    message, old = session.message, session.file
    del mailboxes.uploads[session.id]
    if session.mailbox.messages.get(message.immutable_id) is not message or not message.is_draft:
        raise MailError(404, "ErrorItemNotFound", "The specified object was not found in the store.")
    file = MimeAttachment(old.name, old.content_type, bytes(session.data), old.content_id, old.inline)
    attachment = Attachment(identifier("AAkAtt", session.id), file, mailboxes.world.clock())
    message.attach(attachment)
    session.mailbox.touch(message)
    location = session.path().partition("/AttachmentSessions")[0]
    return Reply(201, headers={"Location": f"{OUTLOOK_ROOT}{location}/Attachments('{attachment.id}')"})


def _expiry(session: UploadSession) -> str:
    return timestamp(session.expires_at).replace("Z", ".0000000Z")

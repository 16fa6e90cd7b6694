"""How does a draft come into being: from JSON, from MIME, or as a reply."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from localcloud.graph.message_input import decode_base64, read_message
from localcloud.graph.messages import single
from localcloud.graph.rendering import message_id
from localcloud.graph.wire import GRAPH_ROOT, Reply
from localcloud.mail.errors import bad_request
from localcloud.mail.fields import conversation_id
from localcloud.mail.message import Attachment, Message
from localcloud.mail.mime_compose import header_names
from localcloud.mail.store import identifier

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from localcloud.graph.calls import Call
    from localcloud.mail.mime_parse import MimeAttachment

_BAD_MIME = "Invalid base64 string for MIME content."


def create_message(call: Call) -> Reply:
    """Answer ``POST messages``: a draft from JSON or, with text/plain, from base64 MIME."""
    folder = call.folder() if "folder" in call.variables else call.mailbox.well_known["drafts"]
    if call.request.content_type == "text/plain":
        draft = draft_from_mime(call, call.request.body)
    else:
        draft = draft_from_json(call, call.request.json_object())
    call.mailbox.add(draft, folder)
    reply = single(call, draft, 201)
    shown_id = quote(message_id(draft, immutable=call.request.immutable_ids))
    reply.headers["Location"] = f"{GRAPH_ROOT}/v1.0/users('{call.mailbox.user.id}')/messages('{shown_id}')"
    return reply


def draft_from_mime(call: Call, encoded: bytes) -> Message:
    """
    Return a draft with exactly the content that *encoded* (base64) holds; it is in no folder yet.

    Raises:
        MailError: ErrorMimeContentInvalidBase64String, or ErrorMimeContentInvalid where no header is found.
    """
    raw = decode_base64(encoded, "ErrorMimeContentInvalidBase64String", _BAD_MIME)
    if not header_names(raw):
        raise bad_request("Invalid MIME content.", "ErrorMimeContentInvalid")
    return _new_draft(call, raw)


def draft_from_json(call: Call, body: Mapping[str, Any]) -> Message:
    """
    Return a draft with the properties in *body*; it is in no folder yet.

    Raises:
        MailError: 400 for whatever Graph does not accept.
    """
    given = read_message(body)
    draft = _new_draft(call, None)
    given.properties.pop("isRead", None)
    draft.properties = given.properties
    draft.properties.setdefault("internetMessageId", _own_message_id(call, draft))
    draft.properties["conversationId"] = conversation_id(draft.properties["internetMessageId"])
    draft.headers = given.headers or []
    draft.extended = given.extended
    for file in given.attachments:
        draft.attach(new_attachment(call, draft, file))
    return draft


def new_attachment(call: Call, message: Message, file: MimeAttachment) -> Attachment:
    """Return *file* as an attachment of *message* with an id of its own."""
    number = len(message.attachments())
    moment = call.mailboxes.world.clock()
    return Attachment(identifier("AAkAtt", message.immutable_id, number, message.version, file.name), file, moment)


def _new_draft(call: Call, raw: bytes | None) -> Message:
    draft = Message(call.mailbox.new_message_id(), raw, call.mailboxes.world.clock())
    draft.is_draft = draft.is_read = True
    return draft


def _own_message_id(call: Call, draft: Message) -> str:
    left = identifier("", draft.immutable_id, "message-id")[24:56]
    return f"<{left}@{call.mailbox.user.address.rpartition('@')[2]}>"

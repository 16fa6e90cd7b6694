"""What can be done with one message: read it, read its MIME text, change, move, copy and delete it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from localcloud.graph.message_input import ANY_TIME, DRAFT_ONLY, read_message
from localcloud.graph.odata import message_view
from localcloud.graph.rendering import message_json
from localcloud.graph.wire import Reply, context
from localcloud.mail.errors import MailError, bad_request, unreadable

if TYPE_CHECKING:
    from localcloud.graph.calls import Call
    from localcloud.mail.message import Message


_CONTENT = frozenset(("toRecipients", "ccRecipients", "bccRecipients", "from", "sender", "importance"))


def single(call: Call, message: Message, status: int = 200) -> Reply:
    """Return the answer that shows *message*."""
    head = {"@odata.context": context(f"users('{call.mailbox.user.id}')/messages/$entity")}
    return Reply(status, head | message_json(message, message_view(call.request)))


def get_message(call: Call) -> Reply:
    """Answer ``GET messages/{id}``."""
    return single(call, call.message())


def get_mime(call: Call) -> Reply:
    """Answer ``GET messages/{id}/$value``: the same bytes every time, unless the mode ``mime_varies`` is on."""
    message = call.message()
    if message.poison:
        raise unreadable()
    raw = message.mime()
    if call.mode("mime_varies"):
        raw = f"X-MS-Exchange-Organization-Rendered: {uuid.uuid4()}\r\n".encode() + raw
    return Reply(200, content=raw, content_type="text/plain")


def patch_message(call: Call) -> Reply:
    """Answer ``PATCH messages/{id}``; content only of drafts (facts, section 3.7)."""
    message, body = call.message(), call.request.json_object()
    match = call.request.headers.get("if-match", "*")
    if match != "*" and match != message.fields()["@odata.etag"]:
        raise MailError(
            412,
            "ErrorIrresolvableConflict",
            "The send or update operation could not be performed because the change key passed in the request "
            "does not match the current change key for the item.",
        )
    given = read_message(body)
    names = set(given.properties)
    if not message.is_draft and names & DRAFT_ONLY:
        raise bad_request(
            "Update operation is invalid for property of a sent message.", "ErrorInvalidPropertyUpdateSentMessage"
        )
    if names - DRAFT_ONLY - ANY_TIME or given.headers is not None or given.attachments:
        raise bad_request("The property is read-only and cannot be changed.", "ErrorInvalidPropertySet")
    message.extended.update(given.extended)
    if "isRead" in given.properties:
        message.is_read = bool(given.properties.pop("isRead"))
    content = {name: given.properties[name] for name in names & (DRAFT_ONLY | _CONTENT) if name in given.properties}
    if message.is_draft and content:
        message.rewrite(given.properties)
    else:
        message.properties.update(given.properties)
    call.mailbox.touch(message)
    return single(call, message)


def move_message(call: Call) -> Reply:
    """Answer ``POST messages/{id}/move``: 201 with the message, whose mutable id is a new one."""
    message = call.message()
    call.mailbox.move(message, call.destination())
    return single(call, message, 201)


def copy_message(call: Call) -> Reply:
    """Answer ``POST messages/{id}/copy``: 201 with the copy, which has ids of its own."""
    return single(call, call.mailbox.copy(call.message(), call.destination()), 201)


def delete_message(call: Call) -> Reply:
    """Answer ``DELETE messages/{id}``: one step further towards Purges each time."""
    call.mailbox.delete(call.message())
    return Reply(204)


def delete_for_good(call: Call) -> Reply:
    """Answer ``POST messages/{id}/permanentDelete``."""
    call.mailbox.remove(call.message())
    return Reply(204)

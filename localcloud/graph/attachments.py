"""What can be done with the attachments of a message, short of upload sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from localcloud.graph.drafts import new_attachment
from localcloud.graph.message_input import read_attachment
from localcloud.graph.rendering import attachment_json, nested_json
from localcloud.graph.wire import GRAPH_ROOT, Reply, context
from localcloud.mail.errors import MailError, bad_request, item_not_found

if TYPE_CHECKING:
    from localcloud.graph.calls import Call
    from localcloud.mail.fields import Json
    from localcloud.mail.message import Attachment, Message

# The largest body that POST attachments was measured to take (facts, section 4.2).
MAX_POSTED_BYTES = 3_145_611
_PROPERTIES = frozenset(
    (
        "id", "name", "contentType", "contentBytes", "size", "isInline", "contentId", "contentLocation",
        "lastModifiedDateTime",
    )
)  # fmt: skip


def list_attachments(call: Call) -> Reply:
    """Answer ``GET attachments``."""
    select = _select(call)
    expand = _expands_items(call)
    shown = [_shown(item, select, expand=expand) for item in call.message().attachments()]
    return Reply(200, {"@odata.context": _context(call), "value": shown}, items=len(shown))


def get_attachment(call: Call) -> Reply:
    """Answer ``GET attachments/{id}``."""
    data: Json = {"@odata.context": f"{_context(call)}/$entity"}
    return Reply(200, data | _shown(_attachment(call, call.message()), _select(call), expand=_expands_items(call)))


def _expands_items(call: Call) -> bool:
    """Say whether nested messages are to be shown whole: the one expansion that attachments have."""
    wanted = call.request.query.get("$expand", "").strip()
    if wanted and wanted.casefold() != "microsoft.graph.itemattachment/item":
        raise bad_request(f"Could not find a property named '{wanted}' on type 'microsoft.graph.attachment'.")
    return bool(wanted)


def _shown(attachment: Attachment, select: tuple[str, ...], *, expand: bool) -> Json:
    shown = attachment_json(attachment, select)
    return shown | {"item": nested_json(attachment)} if expand and attachment.file.nested else shown


def get_content(call: Call) -> Reply:
    """Answer ``GET attachments/{id}/$value``: the file, or the MIME text of a nested message."""
    file = _attachment(call, call.message()).file
    return Reply(200, content=file.content, content_type="text/plain" if file.nested else file.content_type)


def create_attachment(call: Call) -> Reply:
    """Answer ``POST attachments`` on a draft."""
    limit = int(call.mode("attachment_post_bytes", MAX_POSTED_BYTES))
    if len(call.request.body) > limit:
        raise MailError(413, "ErrorRequestEntityTooLarge", "The maximum request length is exceeded.")
    message = editable(call)
    attachment = new_attachment(call, message, read_attachment(call.request.json_object()))
    message.attach(attachment)
    call.mailbox.touch(message)
    reply = Reply(201, {"@odata.context": f"{_context(call)}/$entity"} | attachment_json(attachment))
    path = f"users('{call.mailbox.user.id}')/messages('{call.variables['message']}')/attachments('{attachment.id}')"
    location = quote(path, safe="/()'=")
    reply.headers["Location"] = f"{GRAPH_ROOT}/v1.0/{location}"
    return reply


def delete_attachment(call: Call) -> Reply:
    """Answer ``DELETE attachments/{id}`` on a draft."""
    message = editable(call)
    message.detach(_attachment(call, message))
    call.mailbox.touch(message)
    return Reply(204)


def editable(call: Call) -> Message:
    """
    Return the message in the path, which must be a draft.

    Raises:
        MailError: 400 where it was sent or received.
    """
    message = call.message()
    if not message.is_draft or message.submitted:
        raise bad_request("The operation can only be performed on a draft.", "ErrorInvalidOperation")
    return message


def _attachment(call: Call, message: Message) -> Attachment:
    wanted = call.variables["attachment"]
    found = next((item for item in message.attachments() if item.id == wanted), None)
    if found is None:
        raise item_not_found()
    return found


def _select(call: Call) -> tuple[str, ...]:
    names = tuple(name.strip() for name in call.request.query.get("$select", "").split(",") if name.strip())
    unknown = next((name for name in names if name not in _PROPERTIES), None)
    if unknown is not None:
        raise bad_request(f"Could not find a property named '{unknown}' on type 'microsoft.graph.attachment'.")
    return names


def _context(call: Call) -> str:
    return context(f"users('{call.mailbox.user.id}')/messages('{call.variables['message']}')/attachments")

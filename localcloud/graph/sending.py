"""How does mail leave: ``/send`` of a draft, ``/sendMail``, and replies."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from localcloud.graph.drafts import draft_from_json, draft_from_mime, new_attachment
from localcloud.graph.message_input import read_message
from localcloud.graph.messages import single
from localcloud.graph.wire import Reply
from localcloud.mail.delivery import submit
from localcloud.mail.errors import MailError, bad_request
from localcloud.mail.fields import addresses_in, recipients

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.graph.calls import Call
    from localcloud.mail.message import Message


def send_draft(call: Call) -> Reply:
    """Answer ``POST messages/{id}/send``."""
    submit(call.mailboxes, call.mailbox, call.message())
    return Reply(202)


def send_mail(call: Call) -> Reply:
    """Answer ``POST sendMail`` with JSON or base64 MIME; only JSON can ask for no copy."""
    save = True
    if call.request.content_type == "text/plain":
        draft = draft_from_mime(call, call.request.body)
    else:
        body = call.request.parameters()
        if not isinstance(body.get("message"), dict) or set(body) - {"message", "saveToSentItems"}:
            raise bad_request("The request body must have a message.", "ErrorInvalidRequest")
        save = str(body.get("saveToSentItems", True)).casefold() != "false"
        draft = draft_from_json(call, body["message"])
    _send_new(call, draft, save_copy=save)
    return Reply(202)


def _send_new(call: Call, draft: Message, *, save_copy: bool = True) -> None:
    call.mailbox.add(draft, call.mailbox.well_known["drafts"])
    try:
        submit(call.mailboxes, call.mailbox, draft, save_copy=save_copy)
    except MailError:
        call.mailbox.remove(draft)
        raise


def answer(kind: str, *, send: bool) -> Callable[[Call], Reply]:
    """Return the handler for *kind* (``reply``, ``replyAll``, ``forward``), sent at once or left as a draft."""

    def handler(call: Call) -> Reply:
        draft = _answer_draft(call, kind, send=send)
        if send:
            _send_new(call, draft)
            return Reply(202)
        call.mailbox.add(draft, call.mailbox.well_known["drafts"])
        return single(call, draft, 201)

    return handler


def _answer_draft(call: Call, kind: str, *, send: bool) -> Message:
    original, body = call.message(), call.request.parameters()
    comment, message = body.get("comment"), body.get("message") or {}
    if set(body) - {"comment", "message", "toRecipients"} or (comment and message.get("body")):
        raise bad_request("Either comment or message.body may be given, not both.", "ErrorInvalidRequest")
    given = read_message(message)
    properties = _properties(call, original, kind) | given.properties
    if kind == "forward":
        outside = read_message({"toRecipients": body["toRecipients"]}).properties if "toRecipients" in body else {}
        places = ("toRecipients" in given.properties) + bool(outside)
        if places > 1 or (send and not places):  # createForward leaves the recipients to whoever finishes the draft
            raise bad_request("ToRecipients must be given in exactly one place.", "ErrorInvalidRequest")
        properties |= outside
    if "body" not in given.properties:
        quoted = html.escape(str(original.fields()["bodyPreview"]))
        properties["body"] = {"contentType": "html", "content": f"{html.escape(str(comment or ''))}<hr>{quoted}"}
    draft = draft_from_json(call, properties)
    draft.headers += [*(given.headers or []), *_threading(original)]
    draft.extended = given.extended
    draft.properties["conversationId"] = original.fields()["conversationId"]
    files = [item.file for item in original.attachments()] if kind == "forward" else []
    for file in [*files, *given.attachments]:
        draft.attach(new_attachment(call, draft, file))
    return draft


def _properties(call: Call, original: Message, kind: str) -> dict[str, Any]:
    fields = original.fields()
    prefix = "FW: " if kind == "forward" else "RE: "
    subject = str(fields["subject"])
    properties: dict[str, Any] = {"subject": subject if subject.upper().startswith(prefix) else f"{prefix}{subject}"}
    if kind == "forward":
        return properties
    authors = addresses_in(fields, "replyTo") or addresses_in(fields, "from")
    properties["toRecipients"] = recipients(authors)
    if kind == "replyAll":
        known = {address.casefold() for _, address in authors} | {call.mailbox.user.address.casefold()}
        others = [
            pair for pair in addresses_in(fields, "toRecipients", "ccRecipients") if pair[1].casefold() not in known
        ]
        properties["ccRecipients"] = recipients(others)
    return properties


def _threading(original: Message) -> list[tuple[str, str]]:
    message_id = original.fields()["internetMessageId"]
    if not message_id:
        return []
    references = f"{original.header('References') or ''} {message_id}".strip()
    return [("In-Reply-To", message_id), ("References", references)]

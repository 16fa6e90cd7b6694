"""The routes of received mail and of sending."""

from functions.openapi import mail_answers as mail
from functions.openapi.describing import (
    ADMIN,
    CONFLICT,
    IDEMPOTENCY,
    IF_NONE_MATCH,
    PUBLIC,
    RANGE,
    SPAN,
    TOKEN,
    VAULT,
    File,
    Parameter,
    Route,
    status_filter,
)
from functions.outbox_http import ResendBody
from functions.send_bodies import MessageBody, UploadBody
from shared.codes import Code
from shared.outbox.work import Status as MessageStatus
from shared.receipts import ReceiptStatus

_JSON = "application/json"
_BYTES = File("*/*", "The bytes, as a file to save.")
_CONTENT = {
    410: (Code.CONTENT_EXPIRED,),
    413: (Code.RANGE_REQUIRED,),
    416: (Code.RANGE_NOT_SATISFIABLE,),
}
_PIECES = {200: _BYTES, 206: File("*/*", "Those of the bytes that `Content-Range` names."), 304: None}
_READING = (RANGE, IF_NONE_MATCH)
_MESSAGE = {
    409: (Code.IDEMPOTENCY_KEY_REUSED,),
    413: (Code.MESSAGE_EXCEEDS_MAILBOX_LIMIT,),
    422: (Code.RECIPIENT_NOT_ALLOWED,),
}

_LISTED = (
    *SPAN,
    status_filter(ReceiptStatus),
    Parameter("from", "How the sender's address begins."),
    Parameter("subject", "How the subject begins."),
    Parameter("message_id", "The mail's own Message-ID."),
)
_RECEIVED = {
    "received_list": Route(
        "GET connections/{id}/received", ADMIN, "List received mail", {200: mail.ReceiptPage}, parameters=_LISTED
    ),
    "received_get": Route("GET received/{id}", ADMIN, "Get a received mail", {200: mail.ReceivedMail}),
    "received_erase": Route("DELETE received/{id}", ADMIN, "Erase a received mail", {204: None}, codes=(CONFLICT,)),
    "received_attempts": Route("GET received/{id}/attempts", ADMIN, "List attempts", {200: mail.AttemptList}),
    "received_retry": Route(
        "POST received/{id}/retry", ADMIN, "Fetch it again", {202: mail.Receipt}, body=_JSON, codes=(CONFLICT,)
    ),
    "received_redeliver": Route(
        "POST received/{id}/redeliver", ADMIN, "Deliver it again", {202: mail.Receipt}, body=_JSON, codes=(CONFLICT,)
    ),
    "received_page": Route(
        "POST received/{id}/page",
        ADMIN,
        "Make a link to look at it safely",
        {200: mail.PageLink},
        body=_JSON,
        codes=({410: (Code.CONTENT_EXPIRED,)}, VAULT),
        about="The link holds for a minute; opening a mail is written to the audit log.",
    ),
    "received_raw": Route(
        "GET received/{id}/raw", ADMIN, "Get its MIME", _PIECES, parameters=_READING, codes=(_CONTENT,), etag=True
    ),
    "received_attachment": Route(
        "GET received/{id}/attachments/{n}",
        ADMIN,
        "Get an attachment",
        _PIECES,
        parameters=_READING,
        codes=(_CONTENT,),
        etag=True,
    ),
    "inbox_list": Route("GET inbox", TOKEN, "List received mail", {200: mail.ReceiptPage}, parameters=_LISTED),
    "inbox_get": Route("GET inbox/{id}", TOKEN, "Get a received mail", {200: mail.ReceivedMail}),
    "inbox_raw": Route(
        "GET inbox/{id}/raw", TOKEN, "Get its MIME", _PIECES, parameters=_READING, codes=(_CONTENT,), etag=True
    ),
    "inbox_attachment": Route(
        "GET inbox/{id}/attachments/{n}",
        TOKEN,
        "Get an attachment",
        _PIECES,
        parameters=_READING,
        codes=(_CONTENT,),
        etag=True,
    ),
    "content_get": Route(
        "GET content/{token}",
        PUBLIC,
        "Follow a link of an event",
        _PIECES,
        parameters=_READING,
        codes=(_CONTENT, {410: (Code.LINK_EXPIRED,)}, VAULT),
        etag=True,
    ),
    "content_page": Route(
        "GET content/{token}/page",
        PUBLIC,
        "Look at a mail through a link that holds for a minute",
        {200: File("text/html", "The mail as a page without scripts that loads nothing.")},
        codes=({404: (Code.NOT_FOUND,), 410: (Code.CONTENT_EXPIRED, Code.LINK_EXPIRED)}, VAULT),
    ),
}

_SENDING = {
    "messages_send": Route(
        "POST messages",
        TOKEN,
        "Send a message",
        {202: mail.AcceptedMessage},
        body=MessageBody,
        parameters=IDEMPOTENCY,
        codes=(_MESSAGE,),
        creates=True,
        about="Exactly once for each idempotency key; the answer is there before the mail is.",
    ),
    "messages_get": Route("GET messages/{id}", TOKEN, "Ask what became of a message", {200: mail.SentMessage}),
    "uploads_create": Route(
        "POST uploads", TOKEN, "Announce a large file", {201: mail.Upload}, body=UploadBody, creates=True
    ),
    "uploads_part": Route(
        "PUT uploads/{id}/parts/{n}",
        TOKEN,
        "Upload a piece of at most 4 MB",
        {204: None},
        body="application/octet-stream",
        codes=({409: (Code.CONFLICT,), 413: (Code.BODY_TOO_LARGE,), 422: (Code.INVALID_REQUEST,)},),
    ),
    "hooks_call": Route(
        "POST hooks/{token}",
        PUBLIC,
        "Have a webhook made into mail",
        {202: mail.Accepted},
        body="*/*",
        parameters=IDEMPOTENCY,
        codes=(
            {400: (Code.INVALID_JSON,), 401: (Code.SIGNATURE_REFUSED,), 413: (Code.BODY_TOO_LARGE,)},
            {415: (Code.UNSUPPORTED_MEDIA_TYPE,), 422: (Code.INVALID_REQUEST,), 429: (Code.RATE_LIMITED,)},
            _MESSAGE,
            VAULT,
        ),
        about="JSON, form or text; the address itself is the secret, and a signature is asked for where one was set.",
    ),
}

_OUTBOX = {
    "outbox_list": Route(
        "GET connections/{id}/outbox",
        ADMIN,
        "List messages",
        {200: mail.OutboxPage},
        parameters=(
            *(*SPAN, status_filter(MessageStatus)),
            Parameter("to", "How the address of a recipient begins, in to, cc or bcc."),
            Parameter("subject", "How the subject begins."),
        ),
    ),
    "outbox_get": Route("GET outbox/{id}", ADMIN, "Get a message", {200: mail.OutboxEntry}),
    "outbox_cancel": Route(
        "POST outbox/{id}/cancel",
        ADMIN,
        "Cancel a message of which no attempt was made",
        {200: mail.OutboxEntry},
        body=_JSON,
        codes=({409: (Code.NOT_CANCELLABLE,)},),
    ),
    "outbox_resend": Route(
        "POST outbox/{id}/resend",
        ADMIN,
        "Send a finished message again",
        {202: mail.OutboxEntry},
        body=ResendBody,
        parameters=IDEMPOTENCY,
        codes=({409: (Code.NOT_RESENDABLE, Code.CONFLICT), 410: (Code.CONTENT_EXPIRED,)}, _MESSAGE),
        creates=True,
    ),
}

MAIL = {**_RECEIVED, **_SENDING, **_OUTBOX}

"""The routes of connections, received mail, sending, hooks and templates."""

from functions.connections_bodies import (
    BulkBody,
    ChangeConnection,
    CreateConnection,
    CreateToken,
    RedeliverBody,
    RotateSigningSecret,
    TestConnection,
)
from functions.hooks_http import HookBody, PreviewBody, TemplateBody
from functions.openapi import answers
from functions.openapi import mail_answers as mail
from functions.openapi.describing import (
    ADMIN,
    CONFLICT,
    IDEMPOTENCY,
    IF_MATCH,
    IF_NONE_MATCH,
    LIMIT,
    MICROSOFT,
    PAGE,
    PUBLIC,
    RANGE,
    SPAN,
    TOKEN,
    VAULT,
    File,
    Parameter,
    Route,
    flag,
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
_IS_FIXED = "Credential, grant, mailbox, direction and folder cannot change: delete the connection and make a new one."
_GRANT = Parameter("grant_id", "The grant of the tenant.", required=True)
_MESSAGE = {
    409: (Code.IDEMPOTENCY_KEY_REUSED,),
    413: (Code.MESSAGE_EXCEEDS_MAILBOX_LIMIT,),
    422: (Code.RECIPIENT_NOT_ALLOWED,),
}
_FIELDS = {422: (Code.MAILBOX_NOT_FOUND, Code.FOLDER_NOT_FOUND, Code.DESTINATION_FORBIDDEN)}

_CONNECTIONS = {
    "connections_list": Route(
        "GET connections",
        ADMIN,
        "List connections",
        {200: mail.ConnectionPage},
        parameters=(*PAGE, Parameter("grant_id", "Only those of this grant.")),
    ),
    "connections_get": Route("GET connections/{id}", ADMIN, "Get a connection", {200: mail.Connection}, etag=True),
    "connections_create": Route(
        "POST connections",
        ADMIN,
        "Create a connection, or count what it would take",
        {200: mail.Preview, 201: mail.Connection},
        body=CreateConnection,
        parameters=(flag("dry_run", "Only count, and answer 200."),),
        codes=({404: (Code.NOT_FOUND,), 409: (Code.FOLDER_IN_USE, Code.CONFLICT)}, _FIELDS, MICROSOFT),
        creates=True,
    ),
    "connections_bulk": Route(
        "POST connections/bulk",
        ADMIN,
        "Create, change, delete, enable or disable up to 100 connections",
        {200: mail.BulkResults},
        body=BulkBody,
        about="One after the other; each succeeds or fails by itself, so look at every result. `dry_run` only checks.",
    ),
    "connections_change": Route(
        "PATCH connections/{id}",
        ADMIN,
        "Change a connection",
        {200: mail.Connection},
        body=ChangeConnection,
        parameters=(IF_MATCH,),
        codes=({409: (Code.CONFLICT, Code.FOLDER_IN_USE)}, _FIELDS, MICROSOFT),
        etag=True,
        about=f"JSON Merge Patch (RFC 7396): what is left out stays, null takes a member away. {_IS_FIXED}",
    ),
    "connections_delete": Route(
        "DELETE connections/{id}",
        ADMIN,
        "Delete a connection",
        {204: None},
        parameters=(flag("discard", "Give up what is undelivered or unsent."),),
        codes=({409: (Code.WORK_PENDING, Code.CONFLICT)},),
    ),
    "connections_test": Route(
        "POST connections/{id}/test",
        ADMIN,
        "Try every right apart",
        {200: answers.Checks},
        body=TestConnection,
        about="Answers 200 also where a check fails; name a mailbox that must not be reachable to have that proven.",
    ),
    "connections_fetch": Route(
        "POST connections/{id}/fetch",
        ADMIN,
        "Fetch now",
        {202: mail.Connection},
        body=_JSON,
        codes=(CONFLICT,),
    ),
    "log_list": Route("GET connections/{id}/log", ADMIN, "List runs", {200: mail.RunPage}, parameters=SPAN),
    "destination_test": Route(
        "POST connections/{id}/destination/test",
        ADMIN,
        "Send a test event",
        {200: mail.Tried},
        body=_JSON,
        codes=(CONFLICT, VAULT),
    ),
    "signing_secret_rotate": Route(
        "POST connections/{id}/signing-secret/rotate",
        ADMIN,
        "Change the signing secret",
        {200: mail.Connection},
        body=RotateSigningSecret,
        codes=(CONFLICT, VAULT),
        etag=True,
    ),
    "connections_redeliver": Route(
        "POST connections/{id}/redeliver",
        ADMIN,
        "Deliver mail once more, or count what that would be",
        {200: mail.RedeliveryCount, 202: mail.Redelivery},
        body=RedeliverBody,
        codes=(CONFLICT,),
    ),
    "tokens_create": Route(
        "POST connections/{id}/tokens",
        ADMIN,
        "Make a token",
        {201: mail.NewToken},
        body=CreateToken,
        codes=(CONFLICT,),
        creates=True,
    ),
    "tokens_list": Route("GET connections/{id}/tokens", ADMIN, "List tokens", {200: mail.TokenPage}, parameters=PAGE),
    "tokens_delete": Route("DELETE connections/{id}/tokens/{token_id}", ADMIN, "Revoke a token", {204: None}),
    "mailboxes_list": Route(
        "GET mailboxes",
        ADMIN,
        "Choose a mailbox",
        {200: answers.MailboxPage},
        parameters=(_GRANT, Parameter("search", "How address or name begins."), LIMIT),
        codes=({404: (Code.NOT_FOUND,)}, MICROSOFT),
    ),
    "folders_list": Route(
        "GET folders",
        ADMIN,
        "Choose a folder",
        {200: answers.FolderPage},
        parameters=(
            _GRANT,
            Parameter("mailbox", "The mailbox's id or address.", required=True),
            Parameter("parent", "The folder whose subfolders are wanted."),
        ),
        codes=({404: (Code.NOT_FOUND,)}, MICROSOFT),
    ),
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

_HOOKS = {
    "hooks_create": Route(
        "POST connections/{id}/hooks",
        ADMIN,
        "Make a hook",
        {201: mail.NewHook},
        body=HookBody,
        codes=(CONFLICT, VAULT),
        creates=True,
    ),
    "hooks_list": Route("GET connections/{id}/hooks", ADMIN, "List hooks", {200: mail.HookPage}, parameters=PAGE),
    "hooks_delete": Route(
        "DELETE connections/{id}/hooks/{hook_id}", ADMIN, "Revoke a hook", {204: None}, codes=(VAULT,)
    ),
    "templates_list": Route(
        "GET connections/{id}/templates", ADMIN, "List templates", {200: mail.TemplatePage}, parameters=PAGE
    ),
    "templates_put": Route(
        "PUT connections/{id}/templates/{name}",
        ADMIN,
        "Store a template",
        {200: mail.Template},
        body=TemplateBody,
        parameters=(IF_MATCH,),
        codes=(CONFLICT,),
        etag=True,
    ),
    "templates_get": Route(
        "GET connections/{id}/templates/{name}", ADMIN, "Get a template", {200: mail.Template}, etag=True
    ),
    "templates_delete": Route(
        "DELETE connections/{id}/templates/{name}", ADMIN, "Delete a template", {204: None}, codes=(CONFLICT,)
    ),
    "templates_preview": Route(
        "POST connections/{id}/templates/{name}/preview",
        ADMIN,
        "See what a template makes of a payload",
        {200: mail.RenderedMail},
        body=PreviewBody,
        codes=(CONFLICT,),
    ),
}

_OUTBOX = {
    "outbox_list": Route(
        "GET connections/{id}/outbox",
        ADMIN,
        "List messages",
        {200: mail.OutboxPage},
        parameters=(*SPAN, status_filter(MessageStatus)),
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

MAIL = {**_CONNECTIONS, **_RECEIVED, **_SENDING, **_HOOKS, **_OUTBOX}

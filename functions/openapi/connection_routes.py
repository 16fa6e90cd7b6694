"""The routes of connections with their tokens, hooks and templates."""

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
from functions.openapi import connection_answers as connected
from functions.openapi.describing import (
    ADMIN,
    CONFLICT,
    CREATED,
    IF_MATCH,
    LIMIT,
    MICROSOFT,
    PAGE,
    SPAN,
    VAULT,
    Parameter,
    Route,
    flag,
    status_filter,
)
from shared.codes import Code
from shared.connections import Direction, Status

_JSON = "application/json"
_IS_FIXED = "Credential, grant, mailbox, direction and folder cannot change: delete the connection and make a new one."
_GRANT = Parameter("grant_id", "The grant of the tenant.", required=True)
_FIELDS = {422: (Code.MAILBOX_NOT_FOUND, Code.FOLDER_NOT_FOUND, Code.DESTINATION_FORBIDDEN)}

_CONNECTIONS = {
    "connections_list": Route(
        "GET connections",
        ADMIN,
        "List connections",
        {200: connected.ConnectionPage},
        parameters=(
            *CREATED,
            Parameter("grant_id", "Only those of this grant."),
            status_filter(Status),
            Parameter("direction", "Only those.", {"type": "string", "enum": [str(way) for way in Direction]}),
        ),
        about="With a filter a page may hold fewer than `limit`; only `next_cursor: null` ends the list.",
    ),
    "connections_get": Route("GET connections/{id}", ADMIN, "Get a connection", {200: connected.Connection}, etag=True),
    "connections_create": Route(
        "POST connections",
        ADMIN,
        "Create a connection, or count what it would take",
        {200: connected.Preview, 201: connected.Connection},
        body=CreateConnection,
        parameters=(flag("dry_run", "Only count, and answer 200."),),
        codes=({404: (Code.NOT_FOUND,), 409: (Code.FOLDER_IN_USE, Code.CONFLICT)}, _FIELDS, MICROSOFT),
        creates=True,
    ),
    "connections_bulk": Route(
        "POST connections/bulk",
        ADMIN,
        "Create, change, delete, enable or disable up to 100 connections",
        {200: connected.BulkResults},
        body=BulkBody,
        about="One after the other; each succeeds or fails by itself, so look at every result. `dry_run` only checks.",
    ),
    "connections_change": Route(
        "PATCH connections/{id}",
        ADMIN,
        "Change a connection",
        {200: connected.Connection},
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
        {202: connected.Connection},
        body=_JSON,
        codes=(CONFLICT,),
    ),
    "log_list": Route("GET connections/{id}/log", ADMIN, "List runs", {200: connected.RunPage}, parameters=SPAN),
    "destination_test": Route(
        "POST connections/{id}/destination/test",
        ADMIN,
        "Send a test event",
        {200: connected.Tried},
        body=_JSON,
        codes=(CONFLICT, VAULT),
    ),
    "signing_secret_rotate": Route(
        "POST connections/{id}/signing-secret/rotate",
        ADMIN,
        "Change the signing secret",
        {200: connected.Connection},
        body=RotateSigningSecret,
        codes=(CONFLICT, VAULT),
        etag=True,
    ),
    "connections_redeliver": Route(
        "POST connections/{id}/redeliver",
        ADMIN,
        "Deliver mail once more, or count what that would be",
        {200: connected.RedeliveryCount, 202: connected.Redelivery},
        body=RedeliverBody,
        codes=(CONFLICT,),
    ),
    "tokens_create": Route(
        "POST connections/{id}/tokens",
        ADMIN,
        "Make a token",
        {201: connected.NewToken},
        body=CreateToken,
        codes=(CONFLICT,),
        creates=True,
    ),
    "tokens_list": Route(
        "GET connections/{id}/tokens", ADMIN, "List tokens", {200: connected.TokenPage}, parameters=PAGE
    ),
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

_HOOKS = {
    "hooks_create": Route(
        "POST connections/{id}/hooks",
        ADMIN,
        "Make a hook",
        {201: connected.NewHook},
        body=HookBody,
        codes=(CONFLICT, VAULT),
        creates=True,
    ),
    "hooks_list": Route("GET connections/{id}/hooks", ADMIN, "List hooks", {200: connected.HookPage}, parameters=PAGE),
    "hooks_delete": Route(
        "DELETE connections/{id}/hooks/{hook_id}", ADMIN, "Revoke a hook", {204: None}, codes=(VAULT,)
    ),
    "templates_list": Route(
        "GET connections/{id}/templates", ADMIN, "List templates", {200: connected.TemplatePage}, parameters=PAGE
    ),
    "templates_put": Route(
        "PUT connections/{id}/templates/{name}",
        ADMIN,
        "Store a template",
        {200: connected.Template},
        body=TemplateBody,
        parameters=(IF_MATCH,),
        codes=(CONFLICT,),
        etag=True,
    ),
    "templates_get": Route(
        "GET connections/{id}/templates/{name}", ADMIN, "Get a template", {200: connected.Template}, etag=True
    ),
    "templates_delete": Route(
        "DELETE connections/{id}/templates/{name}", ADMIN, "Delete a template", {204: None}, codes=(CONFLICT,)
    ),
    "templates_preview": Route(
        "POST connections/{id}/templates/{name}/preview",
        ADMIN,
        "See what a template makes of a payload",
        {200: connected.RenderedMail},
        body=PreviewBody,
        codes=(CONFLICT,),
    ),
}

CONNECTIONS = {**_CONNECTIONS, **_HOOKS}

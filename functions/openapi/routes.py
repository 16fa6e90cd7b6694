"""Every HTTP function by its name, with what it takes and answers: what the API's description is made of."""

from collections.abc import Mapping

from functions.credentials_http import ChangeCredential, CreateCredential, CreateLink, RotateSecret, VerifyCredential
from functions.grants_http import VerifyGrant
from functions.openapi import answers
from functions.openapi.connection_routes import CONNECTIONS
from functions.openapi.describing import (
    ADMIN,
    CONFLICT,
    CREATED,
    FOUND,
    IF_MATCH,
    IF_NONE_MATCH,
    MICROSOFT,
    PAGE,
    PUBLIC,
    SPAN,
    VAULT,
    File,
    Parameter,
    Route,
    flag,
    status_filter,
)
from functions.openapi.mail_routes import MAIL
from shared.codes import Code
from shared.credentials import STATUSES
from shared.grants import GrantStatus

_PAGE = File("text/html", "A page for a browser.")
_IN_USE = {409: (Code.CREDENTIAL_IN_USE,)}
_CREDENTIAL_FIELDS = {
    422: (
        Code.SECRET_ID_INSTEAD_OF_VALUE,
        Code.V1_ENDPOINT,
        Code.PERSONAL_ACCOUNTS_UNSUPPORTED,
        Code.UNKNOWN_CLOUD,
        Code.WRONG_TENANT,
        Code.TENANT_UNKNOWN,
    )
}
_NOTHING = {409: (Code.NOTHING_TO_AUTHORIZE,)}
_TICKET = {404: (Code.TICKET_UNKNOWN,), 409: (Code.CONFLICT, Code.NOTHING_TO_AUTHORIZE), 410: (Code.LINK_EXPIRED,)}
_CALLBACK = {
    400: (Code.STATE_UNKNOWN,),
    403: (Code.COOKIE_MISSING, Code.STATE_REPLAYED),
    410: (Code.STATE_EXPIRED,),
}

_SYSTEM = {
    "health": Route("GET,HEAD health", PUBLIC, "Ask whether the app runs", {200: answers.Health}),
    "openapi": Route(
        "GET openapi.json",
        PUBLIC,
        "Read this description",
        {200: File("application/json", "An OpenAPI 3.1 document."), 304: None},
        parameters=(IF_NONE_MATCH,),
        etag=True,
    ),
    "reference": Route("GET reference", PUBLIC, "Read this description as a page", {200: _PAGE}),
    "reference_style": Route(
        "GET reference/style.css", PUBLIC, "Get that page's style", {200: File("text/css", "A style sheet.")}
    ),
    "console": Route("GET,HEAD console", PUBLIC, "Open the console", {200: _PAGE}, about="A shell without any data."),
    "console_file": Route(
        "GET,HEAD console/{version}/{*path}", PUBLIC, "Get a file of the console", {200: File("*/*", "The file.")}
    ),
    "health_details": Route(
        "GET health/details",
        ADMIN,
        "Look at storage, vault, tick, queues and trouble",
        {200: answers.HealthDetails, 503: answers.HealthDetails},
    ),
    "system": Route("GET system", ADMIN, "See redirect URI, permissions and clouds", {200: answers.System}),
    "tick_now": Route("POST tick", ADMIN, "Wake all work that is due", {200: answers.Tick}, body="application/json"),
    "audit_list": Route(
        "GET audit", ADMIN, "List who did what", {200: answers.AuditPage}, parameters=SPAN, about="Newest first."
    ),
}

_CREDENTIALS = {
    "credentials_create": Route(
        "POST credentials",
        ADMIN,
        "Create a credential",
        {201: answers.Credential},
        body=CreateCredential,
        codes=(CONFLICT, _CREDENTIAL_FIELDS, MICROSOFT),
        creates=True,
        about="Give `cloud` and `tenant`, or `token_endpoint_url` and `auth_endpoint_url` as the portal shows them.",
    ),
    "credentials_list": Route(
        "GET credentials",
        ADMIN,
        "List credentials",
        {200: answers.CredentialPage},
        parameters=(*CREATED, status_filter(STATUSES)),
    ),
    "credentials_get": Route("GET credentials/{id}", ADMIN, "Get a credential", {200: answers.Credential}, etag=True),
    "credentials_change": Route(
        "PATCH credentials/{id}",
        ADMIN,
        "Change a credential",
        {200: answers.Credential},
        body=ChangeCredential,
        parameters=(IF_MATCH,),
        codes=(CONFLICT, _CREDENTIAL_FIELDS, MICROSOFT),
        etag=True,
        about="JSON Merge Patch (RFC 7396): what is left out stays as it is.",
    ),
    "credentials_delete": Route(
        "DELETE credentials/{id}", ADMIN, "Delete a credential", {204: None}, codes=(_IN_USE, CONFLICT, VAULT)
    ),
    "credentials_rotate": Route(
        "POST credentials/{id}/secret",
        ADMIN,
        "Replace what the app proves itself with",
        {200: answers.RotatedCredential},
        body=RotateSecret,
        codes=(CONFLICT, _CREDENTIAL_FIELDS, MICROSOFT),
        about="The new one is put to use once it has fetched a token; a wrong one displaces nothing.",
    ),
    "credentials_verify": Route(
        "POST credentials/{id}/verify",
        ADMIN,
        "Find out what a tenant has given",
        {200: answers.Grant},
        body=VerifyCredential,
        codes=(CONFLICT, _CREDENTIAL_FIELDS, MICROSOFT),
    ),
    "consent_links_create": Route(
        "POST credentials/{id}/consent-links",
        ADMIN,
        "Make a consent link",
        {201: answers.NewConsentLink},
        body=CreateLink,
        codes=(CONFLICT, _NOTHING, _CREDENTIAL_FIELDS, MICROSOFT),
        creates=True,
    ),
    "consent_links_list": Route(
        "GET credentials/{id}/consent-links",
        ADMIN,
        "List consent links",
        {200: answers.ConsentLinkPage},
        parameters=PAGE,
    ),
    "consent_links_withdraw": Route(
        "DELETE credentials/{id}/consent-links/{link_id}",
        ADMIN,
        "Withdraw a consent link",
        {204: None},
        codes=(CONFLICT,),
    ),
}

_CONSENT = {
    "consent_start": Route(
        "GET,HEAD consent/start/{ticket}",
        PUBLIC,
        "See who asks for what",
        {200: _PAGE, 307: None},
        codes=(_TICKET,),
        about="For the browser of a tenant's administrator. Problems are pages, too.",
    ),
    "consent_go": Route(
        "POST consent/start/{ticket}", PUBLIC, "Go to Microsoft's page", {303: None}, codes=(_TICKET, MICROSOFT)
    ),
    "consent_callback": Route(
        "GET consent/callback",
        PUBLIC,
        "Come back from Microsoft",
        {303: None},
        parameters=tuple(
            Parameter(name, "As Microsoft sends it.")
            for name in ("state", "admin_consent", "tenant", "error", "error_description", "code")
        ),
        codes=(_CALLBACK, FOUND, CONFLICT, MICROSOFT),
    ),
    "consent_result": Route("GET,HEAD consent/result/{id}", PUBLIC, "See what came of it", {200: _PAGE}),
    "consent_style": Route(
        "GET consent/style.css", PUBLIC, "Get the pages' style", {200: File("text/css", "A style sheet.")}
    ),
}

_GRANTS = {
    "grants_list": Route(
        "GET grants",
        ADMIN,
        "List grants",
        {200: answers.GrantPage},
        parameters=(*CREATED, status_filter(GrantStatus)),
    ),
    "grants_get": Route("GET grants/{id}", ADMIN, "Get a grant", {200: answers.Grant}),
    "grants_delete": Route(
        "DELETE grants/{id}",
        ADMIN,
        "Delete a grant, or erase all that is kept of its tenant",
        {202: answers.PurgeReport, 204: None},
        parameters=(flag("purge", "Erase connections, mail and records of the tenant: 202 with a report."),),
        codes=({409: (Code.GRANT_IN_USE, Code.CONFLICT)},),
    ),
    "grants_purge": Route("GET grants/{id}/purge", ADMIN, "See how far an erasure is", {200: answers.PurgeReport}),
    "grants_verify": Route(
        "POST grants/{id}/verify",
        ADMIN,
        "Find out what is given now",
        {200: answers.Grant},
        body=VerifyGrant,
        codes=(CONFLICT, MICROSOFT),
    ),
    "grants_confirm": Route(
        "POST grants/{id}/confirm",
        ADMIN,
        "Confirm that this is the tenant that was meant",
        {200: answers.Grant},
        body="application/json",
        codes=(CONFLICT, MICROSOFT),
    ),
}

ROUTES: Mapping[str, Route] = {**_SYSTEM, **_CREDENTIALS, **_CONSENT, **_GRANTS, **CONNECTIONS, **MAIL}

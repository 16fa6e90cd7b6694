"""Which AADSTS errors can the simulated Entra ID answer, with which status, words and envelope."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any, NamedTuple

from starlette.responses import JSONResponse


class _Row(NamedTuple):
    status: int
    error: str
    text: str


# Statuses and names as recorded in entra-and-graph-mail.md section 2.4; texts as Entra words them.
AADSTS: dict[int, _Row] = {
    7000215: _Row(
        401,
        "invalid_client",
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
        "not the client secret ID, for a secret added to app '{client_id}'.",
    ),
    7000222: _Row(
        401,
        "invalid_client",
        "The provided client secret keys for app '{client_id}' are expired. Visit the Azure portal to create new keys "
        "for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: "
        "https://aka.ms/certCreds.",
    ),
    700016: _Row(
        400,
        "unauthorized_client",
        "Application with identifier '{client_id}' was not found in the directory '{directory}'. This can happen if "
        "the application has not been installed by the administrator of the tenant or consented to by any user in the "
        "tenant. You may have sent your authentication request to the wrong tenant.",
    ),
    7000229: _Row(
        401,
        "invalid_client",
        "The client application '{client_id}' is missing service principal in the tenant '{directory}'. See "
        "instructions here: https://go.microsoft.com/fwlink/?linkid=2225119",
    ),
    7000112: _Row(400, "unauthorized_client", "Application '{client_id}'({name}) is disabled."),
    7000216: _Row(
        401,
        "invalid_client",
        "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
    ),
    90002: _Row(
        400,
        "invalid_request",
        "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the "
        "correct cloud. Check with your subscription administrator, this may happen if there are no active "
        "subscriptions for the tenant.",
    ),
    900023: _Row(
        400,
        "invalid_request",
        "Specified tenant identifier '{tenant}' is neither a valid DNS name, nor a valid external domain.",
    ),
    900144: _Row(400, "invalid_request", "The request body must contain the following parameter: '{parameter}'."),
    9001023: _Row(
        400,
        "invalid_request",
        "The grant type is not supported over the /common or /consumers endpoints. Please use the /organizations or "
        "tenant-specific endpoint.",
    ),
    50194: _Row(
        400,
        "invalid_request",
        "Application '{client_id}'({name}) is not configured as a multi-tenant application. Usage of the /common "
        "endpoint is not supported for such applications created after '10/15/2018'. Use a tenant-specific endpoint or "
        "configure the application to be multi-tenant.",
    ),
    50011: _Row(
        400,
        "invalid_request",
        "The redirect URI '{redirect_uri}' specified in the request does not match the redirect URIs configured for "
        "the application '{client_id}'. Make sure the redirect URI sent in the request matches one added to your "
        "application in the Azure portal.",
    ),
    50020: _Row(
        400,
        "invalid_grant",
        "User account '{address}' from identity provider does not exist in tenant '{directory}' and cannot access the "
        "application '{client_id}' in that tenant.",
    ),
    70003: _Row(400, "unsupported_grant_type", "The app requested an unsupported grant type '{grant_type}'."),
    70011: _Row(
        400,
        "invalid_scope",
        "The provided request must include a 'scope' input parameter. The provided value for the input parameter "
        "'scope' is not valid. The scope {scope} is not valid.",
    ),
    1002012: _Row(
        400,
        "invalid_scope",
        "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with "
        "/.default suffixed to the resource identifier (application ID URI).",
    ),
    500011: _Row(
        400,
        "invalid_resource",
        "The resource principal named {resource} was not found in the tenant named {directory}. This can happen if the "
        "application has not been installed by the administrator of the tenant or consented to by any user in the "
        "tenant. You might have sent your authentication request to the wrong tenant.",
    ),
    700021: _Row(401, "invalid_client", "Client assertion application identifier doesn't match 'client_id' parameter."),
    700023: _Row(
        401,
        "invalid_client",
        "Client assertion audience claim does not match Realm issuer. Review the documentation at "
        "https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials.",
    ),
    700024: _Row(401, "invalid_client", "Client assertion is not within its valid time range."),
    700027: _Row(401, "invalid_client", "Client assertion contains an invalid signature. [Reason - {reason}]"),
    50027: _Row(400, "invalid_request", "JWT token is invalid or malformed."),
    700211: _Row(
        401,
        "invalid_client",
        "No matching federated identity record found for presented assertion issuer '{issuer}'. Check your federated "
        "identity credential Subject, Audience and Issuer against the presented assertion.",
    ),
    700212: _Row(
        401,
        "invalid_client",
        "No matching federated identity record found for presented assertion audience '{audience}'. Check your "
        "federated identity credential Subject, Audience and Issuer against the presented assertion.",
    ),
    700213: _Row(
        401,
        "invalid_client",
        "No matching federated identity record found for presented assertion subject '{subject}'. Check your federated "
        "identity credential Subject, Audience and Issuer against the presented assertion.",
    ),
    70008: _Row(
        400, "invalid_grant", "The provided authorization code or refresh token has expired due to inactivity."
    ),
    54005: _Row(
        400,
        "invalid_grant",
        "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing "
        "refresh token.",
    ),
    501481: _Row(
        400,
        "invalid_grant",
        "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
    ),
    500112: _Row(
        400,
        "invalid_client",
        "The reply address '{redirect_uri}' does not match the reply address '{expected}' provided when requesting "
        "Authorization code.",
    ),
    90093: _Row(
        403,
        "access_denied",
        "This operation can only be performed by an administrator. Sign out and sign in as an administrator or contact "
        "one of your organization's administrators.",
    ),
    65004: _Row(400, "consent_required", "User declined to consent to access the app."),
}


class EntraError(Exception):
    """A request that Entra refuses with AADSTS *code*; *details* fill the gaps of the code's text."""

    def __init__(self, code: int, **details: str) -> None:
        row = AADSTS[code]
        self.code, self.status, self.error = code, row.status, row.error
        self.text = f"AADSTS{code}: {row.text.format(**details)}"
        super().__init__(self.text)

    def description(self, now: float) -> str:
        """Return the text with the trace lines that Entra appends."""
        stamp = _timestamp(now)
        return f"{self.text} Trace ID: {uuid.uuid4()} Correlation ID: {uuid.uuid4()} Timestamp: {stamp}"


def _timestamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def error_response(error: EntraError, now: float, *, correlation_id: str | None = None) -> JSONResponse:
    """Return *error* in the envelope of the token endpoint."""
    stamp, trace, correlation = _timestamp(now), str(uuid.uuid4()), correlation_id or str(uuid.uuid4())
    text = f"{error.text}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {stamp}"
    body: dict[str, Any] = {
        "error": error.error, "error_description": text, "error_codes": [error.code], "timestamp": stamp,
        "trace_id": trace, "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={error.code}",
    }  # fmt: skip
    headers = {"Cache-Control": "no-store, no-cache", "x-ms-request-id": trace, "client-request-id": correlation}
    return JSONResponse(body, error.status, headers)

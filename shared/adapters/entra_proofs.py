"""How a proof from the vault, or a managed identity, becomes what msal signs in with."""

import json
import threading
from collections.abc import Callable
from typing import Any

from azure.core.exceptions import AzureError
from azure.identity import CredentialUnavailableError, ManagedIdentityCredential

from shared.adapters.entra_http import SignInFailed
from shared.codes import Code
from shared.errors import CredentialFault

Assertions = Callable[[str, str], str]
"""Returns the token of a managed identity (client id) for an audience."""

_SILENT = (
    "The managed identity {} gave no token ({}). Assign the user-assigned identity to this function app, or check its "
    "client id."
)


class ManagedIdentities:
    """Tokens of the app's user-assigned managed identities; azure-identity keeps them until they age."""

    def __init__(self) -> None:
        self._credentials: dict[str, ManagedIdentityCredential] = {}
        self._lock = threading.Lock()

    def __call__(self, client_id: str, audience: str) -> str:
        """Return a token of the identity *client_id* for *audience*. Raises `SignInFailed` (identity_unavailable)."""
        with self._lock:
            if client_id not in self._credentials:
                self._credentials[client_id] = ManagedIdentityCredential(client_id=client_id)
        try:
            return str(self._credentials[client_id].get_token(f"{audience}/.default").token)
        except (AzureError, CredentialUnavailableError, ValueError) as error:
            detail = _SILENT.format(client_id, type(error).__name__)
            raise SignInFailed(CredentialFault(detail, Code.IDENTITY_UNAVAILABLE, retryable=True)) from None


IDENTITIES = ManagedIdentities()


def client_credential(secret: str, assertions: Assertions = IDENTITIES) -> str | dict[str, Any]:
    """
    Return msal's form of *secret*: itself, a certificate with its key, or a callable that yields an assertion.

    With key and certificate msal signs PS256 and names the certificate by ``x5t#S256`` (msal 1.39,
    `application.py`, `_build_client`). msal calls the callable only where it needs a token of the wire.
    """
    values = _json(secret)
    if {"private_key", "public_certificate"} == values.keys():
        return values
    if {"managed_identity", "audience"} == values.keys():
        identity, audience = str(values["managed_identity"]), str(values["audience"])
        return {"client_assertion": lambda: assertions(identity, audience)}
    return secret


def _json(text: str) -> dict[str, Any]:
    if not text.startswith("{"):
        return {}
    try:
        values = json.loads(text)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}

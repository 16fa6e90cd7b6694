"""Secrets in Azure Key Vault, by pinned version; what a refusal means and who can mend it."""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.keyvault.secrets import SecretClient

from shared.adapters.azure_network import STUMBLES, TOLD, AzureNetwork
from shared.codes import Code
from shared.errors import CredentialFault, Microsoft
from shared.settings import Settings

# Every call is safe to repeat: a second put makes one more version, of which only the returned one is ever read.
_OPTIONS: dict[str, Any] = {
    "retry_total": 3,
    "retry_backoff_factor": 0.3,
    "retry_backoff_max": 3,
    "timeout": 30,
}
_TIMEOUTS = {"connection_timeout": 5, "read_timeout": 15}
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_MOST_ID = 80
_PROBE = "mailgrant-health-probe"
_NO_ANSWER = "Key Vault gave no usable answer. The work is tried again by itself."
Result = TypeVar("Result")


class KeyVault:
    """One vault, see the port. Thread-safe."""

    def __init__(self, client: SecretClient) -> None:
        self._client = client

    def put(self, name: str, value: str) -> str:
        """Store a new version and return its version id. Raises `CredentialFault` (vault_*)."""
        return _told(_call(lambda: self._client.set_secret(name, value).properties.version))

    def get(self, name: str, version: str) -> str:
        """Return a version's value. Raises `CredentialFault` (vault_*)."""
        return _told(_call(lambda: self._client.get_secret(name, version).value))

    def delete(self, name: str) -> None:
        """Soft-delete the secret with all versions; no error where it is gone. Raises `CredentialFault` (vault_*)."""

        def begin() -> None:
            with suppress(ResourceNotFoundError):
                self._client.begin_delete_secret(name)

        _call(begin)

    def check(self) -> None:
        """Make one cheap call. Raises `CredentialFault` where the vault does not answer or refuses."""

        def probe() -> None:
            with suppress(ResourceNotFoundError):
                self._client.get_secret(_PROBE)

        _call(probe)


def open_vault(settings: Settings, credential: TokenCredential) -> KeyVault:
    """Return the vault that *settings* name; makes no call."""
    return vault_at(settings.key_vault_url, credential, AzureNetwork(**_TIMEOUTS))


def vault_at(url: str, credential: TokenCredential, network: AzureNetwork) -> KeyVault:
    """Return the vault at *url*, called over *network*; makes no call."""
    return KeyVault(SecretClient(url, credential, transport=network, **_OPTIONS))


def _call(function: Callable[[], Result]) -> Result:
    try:
        return function()
    except AzureError as error:
        raise _fault(error) from error
    except STUMBLES:
        raise CredentialFault(_NO_ANSWER, Code.VAULT_UNAVAILABLE, retryable=True) from None


def _told(text: Any) -> str:
    """Return a value of an answer: without it (and '' would be a key that everyone knows) there was no answer."""
    if not isinstance(text, str) or not text:
        raise CredentialFault(_NO_ANSWER, Code.VAULT_UNAVAILABLE, retryable=True)
    return text


def _fault(error: AzureError) -> CredentialFault:
    status = error.status_code if isinstance(error, HttpResponseError) else None
    microsoft = _microsoft(error)
    if isinstance(error, ClientAuthenticationError) and status is None:
        detail = "The app's own identity gave no token for Key Vault. See that the identity is assigned to the app."
        return CredentialFault(detail, Code.VAULT_UNAVAILABLE, microsoft=microsoft, retryable=True)
    if status is None or status < 400 or status >= 500 or status in (408, 429):
        return CredentialFault(
            _NO_ANSWER, Code.VAULT_UNAVAILABLE, microsoft=microsoft, retryable=True, retry_after=_retry_after(error)
        )
    return CredentialFault(_refusal(status, microsoft.code), Code.VAULT_REFUSED, microsoft=microsoft)


def _refusal(status: int, code: str) -> str:
    match status:
        case 401 | 403:
            return (
                "Key Vault refused the app's identity. Give it the role of infra/ on the vault (`azd provision`) or "
                "Key Vault Secrets Officer, and see that the vault's firewall lets the app in."
            )
        case 404:
            return "Key Vault has no such secret or version: recover it there, or enter it again."
        case 409:
            return "A deleted secret still holds this name in Key Vault. Recover or purge it there, then try again."
        case _:
            return f"Key Vault refused the request ({code or status})."


def _microsoft(error: AzureError) -> Microsoft:
    response = getattr(error, "response", None)
    if response is None:
        return Microsoft()
    code = getattr(getattr(error, "error", None), "code", None)
    told = str(code) if _WORD.fullmatch(str(code or "")) else ""
    return Microsoft(code=told, request_id=str(response.headers.get("x-ms-request-id") or "")[:_MOST_ID])


def _retry_after(error: AzureError) -> float | None:
    response = getattr(error, "response", None)
    if response is None:
        return None
    told = response.headers.get(TOLD)
    return float(told) if told else None

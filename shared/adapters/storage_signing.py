"""How requests to Table storage are signed: with the app's identity, an account key, or a shared access signature."""

import hmac
from base64 import b64decode, b64encode
from email.utils import formatdate
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials import AzureSasCredential
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import AzureSasCredentialPolicy, BearerTokenCredentialPolicy, SansIOHTTPPolicy
from azure.core.utils import parse_connection_string

from shared.adapters.storage_account import StorageAccount

# One resource for every cloud: Learn, "Authorize access to tables using Microsoft Entra ID".
_SCOPE = "https://storage.azure.com/.default"
_EMULATOR = (
    "AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr"
    "/KBHBeksoGMGw==;TableEndpoint=http://127.0.0.1:10002/devstoreaccount1"
)


class SharedKeyLitePolicy(SansIOHTTPPolicy[Any, Any]):
    """Signs with an account key. Source: Learn, "Authorize with Shared Key", Shared Key Lite for Table service."""

    def __init__(self, account: str, key: str) -> None:
        super().__init__()
        self._account = account
        self._key = b64decode(key)

    def on_request(self, request: PipelineRequest[Any]) -> None:
        """Add date and signature, anew at each attempt."""
        date = formatdate(usegmt=True)
        path = urlsplit(request.http_request.url).path
        digest = hmac.new(self._key, f"{date}\n/{self._account}{path}".encode(), sha256).digest()
        request.http_request.headers["x-ms-date"] = date
        request.http_request.headers["Authorization"] = f"SharedKeyLite {self._account}:{b64encode(digest).decode()}"


def table_endpoint(account: StorageAccount) -> tuple[str, Any]:
    """Return the endpoint of an account's tables, without a slash at its end, and the policy that signs requests."""
    if not account.connection_string:
        if account.credential is None:
            raise ValueError("an account by name needs the app's identity")
        return account.url("table"), BearerTokenCredentialPolicy(account.credential, _SCOPE)
    text = account.connection_string.strip()
    parts = parse_connection_string(_EMULATOR if text.lower() == "usedevelopmentstorage=true" else text)
    name, key, signature = (parts.get(part, "") for part in ("accountname", "accountkey", "sharedaccesssignature"))
    endpoint = parts.get("tableendpoint") or (
        f"{parts.get('defaultendpointsprotocol', 'https')}://{name}.table.{parts.get('endpointsuffix', account.suffix)}"
    )
    if key:
        return endpoint.rstrip("/"), SharedKeyLitePolicy(name, key)
    if signature:
        return endpoint.rstrip("/"), AzureSasCredentialPolicy(AzureSasCredential(signature.lstrip("?")))
    raise ValueError("MAIL_STORAGE holds neither an account key nor a shared access signature")

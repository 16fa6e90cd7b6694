"""How a storage account is reached, and what its errors mean to the product; tables, blobs and queues share it."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.request import getproxies

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError
from requests import PreparedRequest, Session
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ReadTimeoutError

from shared.adapters.azure_network import STUMBLES, AzureNetwork
from shared.clouds import CLOUDS
from shared.errors import StorageUnavailable
from shared.settings import Settings

# Within the 30 s that every outward call has in all; a retry of a read begins only after a quick failure.
TIMEOUTS = {"connection_timeout": 5, "read_timeout": 20}
READ_RETRIES = {"retry_total": 3, "retry_backoff_factor": 0.2, "retry_backoff_max": 2, "timeout": 30}
# A write that is repeated blindly meets its own first success as a conflict, so each is sent once.
NO_RETRIES = {"retry_total": 0}
_POOL = 32  # as many as the worker has threads (PYTHON_THREADPOOL_THREAD_COUNT)
_CERTIFICATES = {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
_PUBLIC = "core.windows.net"
_ROLES = "Storage Blob Data Owner, Storage Queue Data Contributor and Storage Table Data Contributor"


@dataclass(frozen=True, slots=True)
class StorageAccount:
    """A connection string, or an account's *name* in the cloud of *suffix* with the app's identity."""

    connection_string: str = field(default="", repr=False)
    name: str = ""
    suffix: str = _PUBLIC
    credential: TokenCredential | None = None

    @classmethod
    def of(cls, settings: Settings, credential: TokenCredential | None) -> "StorageAccount":
        """Return the account that *settings* name; its cloud is the one of the vault."""
        suffixes = {cloud.vault_suffix: cloud.queue_suffix.removeprefix("queue.") for cloud in CLOUDS.values()}
        host = settings.key_vault_url.removeprefix("https://").partition("/")[0]
        suffix = suffixes.get(host.partition(".")[2], _PUBLIC)
        return cls(settings.mail_storage, settings.mail_storage_account, suffix, credential)

    def url(self, service: str) -> str:
        """Return the endpoint of *service*: ``table``, ``blob`` or ``queue``."""
        return f"https://{self.name}.{service}.{self.suffix}"


Result = TypeVar("Result")


@dataclass
class Clients:
    """Clients by name, each made on first use; thread-safe."""

    make: Callable[[str], Any]
    _made: dict[str, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __getitem__(self, name: str) -> Any:
        """Return the client of *name*."""
        if name not in self._made:
            with self._lock:
                if name not in self._made:
                    self._made[name] = self.make(name)
        return self._made[name]


def transport() -> AzureNetwork:
    """Return a transport with our timeouts (a client's do not reach it) and a pool as large as the worker's threads."""
    session = Session()
    pool = HTTPAdapter(pool_connections=_POOL, pool_maxsize=_POOL, max_retries=0)
    for scheme in ("http://", "https://"):
        session.mount(scheme, pool)
    session.auth = _as_signed
    # Else Requests looks for proxies and certificates in the environment at every call.
    session.trust_env = bool(getproxies() or _CERTIFICATES & os.environ.keys())
    return AzureNetwork(session=session, session_owner=False, **TIMEOUTS)


def _as_signed(request: PreparedRequest) -> PreparedRequest:
    """Leave a request as the SDK signed it: without this, Requests looks for a .netrc at every call, and obeys it."""
    return request


class Heard:
    """What an answer's head said: pass it as ``raw_response_hook``; of several answers the first one's time counts."""

    def __init__(self, *, writing: bool = False) -> None:
        self._date = ""
        self._writing = writing

    def __call__(self, response: Any) -> None:
        """Take note of an answer."""
        self._date = self._date or response.http_response.headers.get("Date", "")

    @property
    def time(self) -> datetime:
        """Return storage's own time, in whole seconds. Raises `StorageUnavailable` where its answer told none."""
        try:
            told = parsedate_to_datetime(self._date)
            return (told if told.tzinfo else told.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, TypeError, IndexError, OverflowError):
            detail = "Storage's answer does not tell its time. The work is tried again by itself."
            raise StorageUnavailable(detail, outcome_unknown=self._writing) from None


def code_of(error: AzureError) -> str:
    """Return the service's error code, '' where it gave none."""
    known = getattr(error, "error_code", None)
    if known:
        return str(getattr(known, "value", known))
    response = getattr(error, "response", None)
    if response is None:
        return ""
    header = response.headers.get("x-ms-error-code")
    if header:
        return str(header)
    try:
        return str(response.json()["odata.error"]["code"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""


def unavailable(error: AzureError, *, writing: bool) -> StorageUnavailable | None:
    """
    Return what *error* means if it is storage's trouble or a missing right; None if it is for the caller to judge.

    A write may have happened after a timeout, a reset or a 5xx; not where no connection came about.
    """
    if isinstance(error, ServiceRequestError) and not _was_sent(error):
        return StorageUnavailable("Storage cannot be reached. The work is tried again by itself.")
    return trouble(error.status_code if isinstance(error, HttpResponseError) else None, code_of(error), writing=writing)


def _was_sent(error: ServiceRequestError) -> bool:
    """Tell whether an answer had begun: the transport counts one whose body stays away as a request never sent."""
    cause = error.inner_exception
    return cause is not None and any(isinstance(part, ReadTimeoutError) for part in cause.args)


def trouble(status: int | None, code: str, *, writing: bool) -> StorageUnavailable | None:
    """Return what an answer of *status* (None: no answer) and *code* means; None if it is for the caller to judge."""
    code = code or (str(status) if status else "no answer")
    if status in (401, 403):
        detail = f"Storage refused the app ({code}). Give the app's identity the roles {_ROLES} on the storage account."
        return StorageUnavailable(detail)
    if status is None or status < 300 or status >= 500 or status in (408, 429):  # below 300: its body broke off
        detail = f"Storage gave no usable answer ({code}). The work is tried again by itself."
        return StorageUnavailable(detail, outcome_unknown=writing)
    return None


def call(function: Callable[[], Result], *, writing: bool = False) -> Result:
    """Return what *function* returns; raises `StorageUnavailable`, and SDK errors where the caller is to judge."""
    try:
        return function()
    except AzureError as error:
        trouble = unavailable(error, writing=writing)
        if trouble:
            raise trouble from error
        raise
    except STUMBLES as error:
        raise broken_off(type(error).__name__, writing=writing) from None


def broken_off(what: str = "not whole", *, writing: bool) -> StorageUnavailable:
    """Return the error of an answer that cannot be read."""
    return StorageUnavailable(
        f"Storage gave no usable answer ({what}). The work is tried again by itself.", outcome_unknown=writing
    )


def refused(error: AzureError | str) -> RuntimeError:
    """Return the error for an answer that only a fault in this program can cause; its text holds the code alone."""
    code = error if isinstance(error, str) else code_of(error) or type(error).__name__
    return RuntimeError(f"storage refused a request of ours: {code}")

"""The network under Microsoft's storage and Key Vault clients: no wait of theirs is longer than a call of ours."""

from http.client import HTTPException
from typing import Any

from azure.core.pipeline.transport import RequestsTransport
from requests import RequestException

from shared.adapters.graph_wire import retry_after_seconds

STUMBLES = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, HTTPException, RequestException
)  # fmt: skip
"""
What the SDK raises where an answer breaks off, or has other parts than it takes for granted.

Their texts may quote the answer, secrets and all.
"""

MOST_WAIT_SECONDS = 5.0
"""Between two tries within a call; whoever has to wait for longer fails, and a due row waits."""
TOLD = "x-mailgrant-retry-after"
"""The header that keeps how many seconds an answer asked for."""


class AzureNetwork(RequestsTransport):  # type: ignore[misc]  # the SDK hands its class out lazily, as Any
    """
    Sends requests as the SDK does.

    Its retries wait as long as ``Retry-After`` says, be it a day, and fail with errors that are none of the SDK's own
    where that header says nothing. (Its clients wrap a transport, so that what this one says of waiting is not asked.)
    """

    def send(self, request: Any, **kwargs: Any) -> Any:
        """Return the answer, which asks for no longer wait than may be between two tries."""
        answer = super().send(request, **kwargs)
        seconds = retry_after_seconds({str(name).lower(): str(value) for name, value in answer.headers.items()})
        for name in ("Retry-After", "retry-after-ms", "x-ms-retry-after-ms"):
            answer.headers.pop(name, None)
        if seconds is not None:
            answer.headers.update({TOLD: str(seconds), "Retry-After": str(min(seconds, MOST_WAIT_SECONDS))})
        return answer

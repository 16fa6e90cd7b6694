"""The app calls itself at its public address, from outside and without a proxy of the environment."""

import httpx

from shared.adapters.http_client import PoolTransport, client_over, deadline_after, pool
from shared.errors import Unreachable

PROBE = "X-Mailgrant-Probe"
SECONDS = 10.0
_ROUTE = "/api/system"


class PublicFront:
    """Calls `PUBLIC_BASE_URL`; a redirect, or an answer that is not our app's, is none."""

    def __init__(self, base_url: str, client: httpx.Client | None = None) -> None:
        self._url = f"{base_url}{_ROUTE}"
        self._client = client

    def lets_through(self, header: str, value: str, nonce: str) -> bool:
        """As `Front` says."""
        try:
            answer = self._connected().get(
                self._url, headers={header: value, PROBE: nonce}, extensions=deadline_after(SECONDS)
            )
            body = answer.json() if answer.status_code == 200 else None
        except (httpx.HTTPError, ValueError) as error:
            raise Unreachable(f"Our own address gave no answer ({type(error).__name__}).") from None
        if not isinstance(body, dict) or body.get("probe") != nonce or not isinstance(body.get("arrived"), bool):
            raise Unreachable(f"Our own address answered {answer.status_code}, and not as this app.")
        return bool(body["arrived"])

    def _connected(self) -> httpx.Client:
        if self._client is None:
            connections = pool(httpx.create_ssl_context())
            self._client = client_over(PoolTransport(lambda _host: connections, [connections]))
        return self._client

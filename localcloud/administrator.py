"""An administrator's API client, as the README's curl lines would be written in Python."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable


class RefusedError(Exception):
    """The API answered with a problem; *status* and *problem* say which."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('code')}: {problem.get('detail')} {problem.get('errors', '')}")
        self.status = status
        self.problem = problem


class Administrator:
    """Calls the admin routes with a function *key*."""

    def __init__(self, base_url: str, key: str) -> None:
        self._client = httpx.Client(
            base_url=f"{base_url}/api/",
            headers={"x-functions-key": key, "X-Mailgrant-Request": "1"},
            trust_env=False,
            timeout=60,
        )

    def get(self, path: str, **params: str | int) -> Any:
        """GET and return the JSON."""
        return self._json(self._client.get(path, params=params))

    def raw(self, path: str) -> httpx.Response:
        """GET and return the answer as it is."""
        return self._client.get(path)

    def post(self, path: str, body: Any = None) -> Any:
        """POST JSON and return the JSON."""
        return self._json(self._client.post(path, json={} if body is None else body))

    def patch(self, path: str, body: Any) -> Any:
        """PATCH JSON and return the JSON."""
        return self._json(self._client.patch(path, json=body))

    def put(self, path: str, body: Any) -> Any:
        """PUT JSON and return the JSON."""
        return self._json(self._client.put(path, json=body))

    def delete(self, path: str) -> Any:
        """DELETE and return the JSON, None where there is none."""
        return self._json(self._client.delete(path))

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    @staticmethod
    def _json(response: httpx.Response) -> Any:
        body = response.json() if response.content else None
        if response.is_error:
            raise RefusedError(response.status_code, body if isinstance(body, dict) else {})
        return body


def wait_until(what: str, happened: Callable[[], Any], seconds: float = 60.0, pause: float = 0.1) -> Any:
    """Call *happened* until it returns something true, and return that; raises TimeoutError that names *what*."""
    deadline = time.monotonic() + seconds
    while True:
        result = happened()
        if result:
            return result
        if time.monotonic() > deadline:
            message = f"still not so after {seconds:g} s: {what}"
            raise TimeoutError(message)
        time.sleep(pause)

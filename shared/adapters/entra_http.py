"""The HTTP client that msal uses: our deadline, our proxy, and no answer that msal cannot judge."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from shared.adapters.entra_errors import fault_of
from shared.adapters.graph_wire import json_of, retry_after_seconds
from shared.adapters.http_client import deadline_after, decoded
from shared.clouds import CLOUDS
from shared.codes import Code
from shared.errors import Fault, Throttled, Unreachable

CALL_SECONDS = 20.0
MAX_ANSWER_BYTES = 1024 * 1024
BUSY = "Microsoft's sign-in gave no usable answer ({}). It is tried again by itself."
STUMBLES = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError)
"""What msal raises where an answer has other parts, or parts of other kinds, than it takes for granted."""

_HOSTS = frozenset(cloud.login_host for cloud in CLOUDS.values())
_SLOW = "Microsoft's sign-in asked to slow down. It is tried again by itself."


class SignInFailed(Exception):
    """No usable answer; msal is told of this kind, so that it falls back to a token that is still good."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class _Answer:
    """What msal needs of an answer."""

    status_code: int
    text: str
    headers: Mapping[str, str]

    def raise_for_status(self) -> None:
        """Do nothing: refusals are judged by their body."""


class MsalHttp:
    """The HTTP client that msal uses; every call ends by one deadline and reads at most 1 MiB."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, url: str, params: Any = None, headers: Any = None, **_: Any) -> _Answer:
        """Return the answer to a GET; raises `SignInFailed` for every refusal."""
        answer = self._call("GET", url, params, headers, None)
        if answer.status_code >= 400:  # msal would make this a ValueError that no longer says what was wrong
            raise SignInFailed(fault_of(as_json(answer.text)))
        return answer

    def post(self, url: str, params: Any = None, data: Any = None, headers: Any = None, **_: Any) -> _Answer:
        """Return the answer to a POST; raises `SignInFailed` for what msal cannot judge."""
        fields = {name: value.decode() if isinstance(value, bytes) else value for name, value in (data or {}).items()}
        return self._call("POST", url, params, headers, fields)  # msal's assertions are bytes, which httpx would print

    def close(self) -> None:
        """Leave the client open: it is shared."""

    def _call(self, method: str, url: str, params: Any, headers: Any, data: Any) -> _Answer:
        try:
            target = httpx.URL(url)
        except (httpx.InvalidURL, TypeError):
            target = httpx.URL("")
        if target.scheme != "https" or target.host not in _HOSTS:  # discovery names where the app's secret is sent to
            raise SignInFailed(Unreachable(BUSY.format("an address elsewhere"), Code.SIGN_IN_UNAVAILABLE))
        extensions = {**deadline_after(CALL_SECONDS), "timeout": self._client.timeout.as_dict()}
        request = self._client.build_request(
            method, url, params=params or None, headers=headers, data=data, extensions=extensions
        )
        try:
            answer = self._client.send(request, stream=True)
            try:
                content = _limited(answer)
            finally:
                answer.close()
        except httpx.HTTPError as error:
            fault = Unreachable(BUSY.format(type(error).__name__), Code.SIGN_IN_UNAVAILABLE)
            raise SignInFailed(fault) from None
        return _judged(answer, content.decode(errors="replace"))


def _limited(answer: httpx.Response) -> bytes:
    content = b""
    for part in decoded(answer):
        content += part
        if len(content) > MAX_ANSWER_BYTES:
            raise SignInFailed(Unreachable(BUSY.format("answer too large"), Code.SIGN_IN_UNAVAILABLE))
    return content


def _judged(answer: httpx.Response, text: str) -> _Answer:
    """Return the answer if msal can do something with it: JSON that is neither a 429 nor a 5xx."""
    status, headers = answer.status_code, {name.lower(): value for name, value in answer.headers.items()}
    wait = retry_after_seconds(headers)
    body = as_json(text)
    said = fault_of(body).microsoft if body.get("error") else None
    if status == 429:
        raise SignInFailed(Throttled(_SLOW, Code.SIGN_IN_UNAVAILABLE, microsoft=said, retry_after=wait))
    if status >= 500 or not body:
        reason = f"HTTP {status}" if status >= 500 else "not JSON"
        fault = Unreachable(BUSY.format(reason), Code.SIGN_IN_UNAVAILABLE, microsoft=said, retry_after=wait)
        raise SignInFailed(fault)
    return _Answer(status, json.dumps(body), headers)  # what msal cannot read after all, it would log as a whole


def as_json(text: str) -> dict[str, Any]:
    """Return the JSON object that *text* is, or an empty one."""
    try:
        body = json_of(text.encode(errors="replace"))
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}

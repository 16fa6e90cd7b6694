"""How a Graph call is made: token, deadline, one kind of answer, and every refusal as a fault of ours."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from shared.adapters.graph_errors import fault_of, ids_of
from shared.adapters.graph_wire import (
    SubAnswer,
    SubRequest,
    is_upload_url,
    json_of,
    retry_after_seconds,
    unusable,
    url_of,
    wire_entry,
)
from shared.adapters.http_client import deadline_after, decoded
from shared.errors import Fault, Microsoft, Throttled, Unreachable
from shared.ports import GraphMailbox
from shared.telemetry import measure
from shared.times import now_utc

CALL_SECONDS = 30.0
BATCH_SIZE = 20
MAX_ANSWER_BYTES = 48 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class GraphAnswer:
    """An answer (from `GraphHttp`, always a 2xx); *headers* are lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)

    def json(self) -> Any:
        """Return the body as JSON; raises `Unreachable` (outcome unknown) where it is none."""
        try:
            return json_of(self.content)
        except ValueError:
            raise unusable("something that is not JSON") from None

    def object(self) -> dict[str, Any]:
        """Return the body as a JSON object; raises as `json`."""
        found = self.json()
        if not isinstance(found, dict):
            raise unusable("something that is no object")
        return found


class GraphHttp:
    """Makes Graph calls with *client*; *now* dates a Retry-After that is a date."""

    def __init__(self, client: httpx.Client, now: Callable[[], datetime] = now_utc) -> None:
        self._client = client
        self._now = now

    def request(
        self,
        mailbox: GraphMailbox,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        deadline: float = CALL_SECONDS,
    ) -> GraphAnswer:
        """
        Make one call that ends within *deadline* seconds, and return its 2xx answer.

        *path* is relative to the mailbox's user (``messages/…``; '' is the user itself), to the API's root where it
        begins with ``/`` (``/users``), or a whole link of the mailbox's Graph root. A 401 is tried once more with a
        fresh token; a GET whose connection broke is repeated once. Raises the fault that the answer stands for, and
        `Unreachable` with a true `outcome_unknown` unless it is certain that nothing was done.
        """
        url = url_of(mailbox, path)
        ends = time.monotonic() + deadline
        call = _Call(method, url, json, content, headers or {}, params)
        answer = self._send(call, mailbox.token(False), ends)
        if answer.status == 401:
            answer = self._send(call, mailbox.token(True), ends)
        return self._judge(answer, url)

    def batch(
        self, mailbox: GraphMailbox, requests: Sequence[SubRequest], *, deadline: float = CALL_SECONDS
    ) -> list[SubAnswer]:
        """
        Make at most 20 requests by one ``$batch`` and return their answers in the order of *requests*.

        Graph runs four of them at a time by itself: hold all permits. Raises only where the batch failed as a whole.
        """
        prefix = f"{mailbox.root}/v1.0"
        body = {"requests": [wire_entry(request, mailbox, prefix) for request in requests]}
        outer = self.request(mailbox, "POST", "/$batch", json=body, deadline=deadline)
        entries = outer.object().get("responses")
        if not isinstance(entries, list):
            raise unusable("a batch without answers")
        found: dict[str, Mapping[str, Any] | None] = {}
        for item in (entry for entry in entries if isinstance(entry, dict)):
            name = str(item.get("id"))
            found[name] = None if name in found else item  # two answers to one request are none
        return [self._sub_answer(request, found.get(request.id), mailbox, outer.headers) for request in requests]

    def stream(
        self, mailbox: GraphMailbox, path: str, *, headers: Mapping[str, str] | None = None, deadline: float = 240.0
    ) -> Iterator[bytes]:
        """Yield the body of a GET in chunks of at most 256 KiB; raises as `request` does, also between chunks."""
        url = url_of(mailbox, path)
        ends = time.monotonic() + deadline
        call = _Call("GET", url, None, None, headers or {}, None)
        answer = self._open(call, mailbox.token(False), ends)
        if answer.status_code == 401:
            answer.close()
            answer = self._open(call, mailbox.token(True), ends)
        try:
            if not answer.is_success:
                self._judge(_whole(answer), url)
            html, empty = "text/html" in answer.headers.get("content-type", "").lower(), True
            for chunk in decoded(answer, 256 * 1024):
                if empty and html and chunk.lstrip().startswith(b"<"):
                    break  # some box between answered: a message begins with a header
                empty = empty and not chunk
                yield chunk
            if empty:
                raise unusable("a message without content")
        except httpx.HTTPError as error:
            raise _broken(error) from None
        finally:
            answer.close()

    def upload(
        self, url: str, content: bytes, headers: Mapping[str, str], *, deadline: float = CALL_SECONDS
    ) -> GraphAnswer:
        """
        PUT one chunk to an upload session's URL, which carries its own right: no token is sent with it.

        Raises as `request` does. The URL must never be logged.
        """
        if not is_upload_url(url):
            detail = "Graph named an upload address outside Exchange Online. Nothing was sent there."
            raise Unreachable(detail)
        # HTTPX's requests live on in cycles until a collection; an iterator lets go of the bytes once they are sent.
        sized = {**headers, "Content-Length": str(len(content))}
        call = _Call("PUT", url, None, iter((content,)), sized, None)
        return self._judge(self._send(call, "", time.monotonic() + deadline), url)

    def _send(self, call: "_Call", token: str, ends: float) -> GraphAnswer:
        try:
            return self._read(call, token, ends)
        except Unreachable:
            if call.method != "GET" or time.monotonic() >= ends:
                raise
            return self._read(call, token, ends)

    def _read(self, call: "_Call", token: str, ends: float) -> GraphAnswer:
        answer = self._open(call, token, ends)
        try:
            return _whole(answer)
        except httpx.HTTPError as error:
            raise _broken(error) from None
        finally:
            answer.close()

    def _open(self, call: "_Call", token: str, ends: float) -> httpx.Response:
        request = self._client.build_request(
            call.method,
            call.url,
            json=call.json,
            content=call.content,
            params=call.params,
            headers=_headers(call, token),
            extensions={**deadline_after(ends - time.monotonic()), **_timeouts(self._client)},
        )
        try:
            return self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise _broken(error) from None

    def _judge(self, answer: GraphAnswer, url: str) -> GraphAnswer:
        """Return a usable 2xx *answer*; raises the fault that any other one stands for."""
        html = "text/html" in answer.headers.get("content-type", "").lower() and not url.endswith("/$value")
        if 200 <= answer.status < 300 and not html:
            return answer
        body = _json_or_none(answer.content)
        retry_after = retry_after_seconds(answer.headers, self._now)
        raise _told(fault_of(answer.status, urlsplit(url).path, ids_of(body, answer.headers), retry_after, html=html))

    def _sub_answer(
        self, request: SubRequest, item: Mapping[str, Any] | None, mailbox: GraphMailbox, outer: Mapping[str, str]
    ) -> SubAnswer:
        if item is None or not isinstance(item.get("status"), int):
            detail = "Graph left a request of a batch without an answer. It is tried again by itself."
            return SubAnswer(request.id, 0, {}, None, Unreachable(detail, outcome_unknown=True))
        status, body = int(item["status"]), item.get("body")
        raw = item.get("headers")
        headers = {str(k).lower(): str(v) for k, v in raw.items()} if isinstance(raw, dict) else {}
        if 200 <= status < 300:
            return SubAnswer(request.id, status, headers, body)
        merged = {"request-id": outer.get("request-id", ""), "date": outer.get("date", ""), **headers}
        path = urlsplit(url_of(mailbox, request.path)).path
        fault = _told(fault_of(status, path, ids_of(body, merged), retry_after_seconds(merged, self._now)))
        return SubAnswer(request.id, status, headers, body, fault)


def _told(fault: Fault) -> Fault:
    """Return *fault*; where Graph asked to slow down, that is measured."""
    if isinstance(fault, Throttled):
        measure("throttled", fault.retry_after or 0.0, code=fault.code.value)
    return fault


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    url: str
    json: Any
    content: bytes | Iterator[bytes] | None
    headers: Mapping[str, str]
    params: Mapping[str, str] | None


def _headers(call: _Call, token: str) -> dict[str, str]:
    headers = {"Accept": "application/json", "client-request-id": str(uuid.uuid4()), **call.headers}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _timeouts(client: httpx.Client) -> dict[str, Any]:
    return {"timeout": client.timeout.as_dict()}


def _broken(error: httpx.HTTPError) -> Unreachable:
    """Return the fault of a call without an answer; only a failed connect proves that nothing was sent."""
    before = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError))
    detail = f"Graph could not be reached ({type(error).__name__}). It is tried again by itself."
    return Unreachable(detail, microsoft=Microsoft(), outcome_unknown=not before)


def _whole(answer: httpx.Response) -> GraphAnswer:
    parts, size = [], 0
    for part in decoded(answer):
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise Unreachable("Graph's answer is larger than any it should give.", outcome_unknown=True)
        parts.append(part)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return GraphAnswer(answer.status_code, headers, b"".join(parts))


def _json_or_none(content: bytes) -> Any:
    try:
        return json_of(content)
    except ValueError:
        return None

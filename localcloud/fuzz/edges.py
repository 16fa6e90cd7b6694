"""Receivers' answers, signatures of hooks, consent's way back, and what the local host reads at its start."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import tempfile
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from hypothesis import strategies as st

from localcloud.fuzz.garbling import DATES, NONSENSE, STATUSES, TEXTS, damaged, mutated
from localcloud.fuzz.http import World
from localcloud.host.config import HostConfig, load_config, load_local_settings
from localcloud.host.errors import StartError
from shared.adapters.webhooks import MAX_ANSWER_BYTES, TOTAL_SECONDS, GuardedWebhooks, signature, verified
from shared.errors import Fault
from shared.ports import Answer
from shared.times import now_utc

# The fake network belongs to the tests.
from tests.unit.test_webhooks import Network

MOST_READ = MAX_ANSWER_BYTES + 256 * 1024
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
HEADERS = ("Content-Length", "Transfer-Encoding", "Retry-After", "Content-Encoding", "Connection", "Location", "X-A")
VALUES = (*DATES, "-1", "99999999999", "chunked", "gzip", "gzip, gzip", "close", "upgrade", "http://169.254.169.254/", "x" * 70_000)  # fmt: skip


@st.composite
def receiver_cases(draw: st.DrawFn) -> tuple[int, bytes, int]:
    """Draw a status, the bytes of an answer, and how many of them come at once."""
    status = draw(st.sampled_from([*STATUSES, 100, 101, 0, 1000]))
    lines = [f"HTTP/1.1 {status} x"]
    lines += [
        f"{draw(st.sampled_from(HEADERS))}: {draw(st.sampled_from(VALUES))}" for _ in range(draw(st.integers(0, 3)))
    ]
    body = draw(
        st.sampled_from([b"", b"{}", b"x" * 400_000, b"5\r\nhello\r\n0\r\n\r\n", b"ffffffffff\r\nx", b"\x1f\x8b"])
    )
    whole = "\r\n".join([*lines, "", ""]).encode("utf-8") + body
    return status, draw(st.just(whole) | damaged(whole)), draw(st.sampled_from([3000, 65_536]))


def check_receiver(case: tuple[int, bytes, int]) -> None:
    """Deliver to a receiver that answers so: its status or a retryable fault, after a bounded read."""
    _, answer, portion = case
    network = Network(answer)
    network.portion = lambda most: min(most, portion)
    hooks = GuardedWebhooks([("hooks.example", 80)], "https://own.example", lambda *_: ["203.0.113.9"], network)
    try:
        found = hooks.post("http://hooks.example/in", b"{}", {})
    except Fault as fault:
        assert fault.retryable  # noqa: PT017 - a target is no test
        assert fault.outcome_unknown  # noqa: PT017 - see above
    else:
        assert isinstance(found, Answer)
        assert f"{found.status}".encode() in answer, "a status that nobody told"
        assert found.retry_after is None or 0 <= found.retry_after < float("inf")
    assert network.read <= MOST_READ, "more is read than may be"
    assert network.longest_wait <= TOTAL_SECONDS, "a read without deadline"
    assert len(network.connected) <= 1, "a redirect was followed"


@st.composite
def signature_cases(draw: st.DrawFn) -> tuple[bytes, dict[str, str], bool]:
    """Draw a body and headers, and whether they are as their sender signed them."""
    body = draw(st.binary(max_size=40) | st.just(b'{"a":1}')).decode("utf-8", "replace").encode()
    headers = signature(SECRET, draw(st.sampled_from(["msg_1", "é"])), now_utc(), body)
    match draw(st.sampled_from(["right", "body", "header", "lost", "old", "other", "many"])):
        case "body":
            return body + b"x", headers, False
        case "header":
            name = draw(st.sampled_from(sorted(headers)))
            changed = draw(
                TEXTS | st.text(max_size=60) | st.sampled_from(["v1,", "v1", "v1a,AA==", "," * 5000, "v1,é"])
            )
            return body, {**headers, name: changed}, headers[name] == changed
        case "lost":
            del headers[draw(st.sampled_from(sorted(headers)))]
            return body, headers, False
        case "old":
            away = timedelta(minutes=draw(st.sampled_from([-10, 10, -(10**6), 10**6])))
            return body, signature(SECRET, "msg_1", now_utc() + away, body), False
        case "other":
            return body, signature("whsec_" + base64.b64encode(b"o" * 32).decode(), "msg_1", now_utc(), body), False
        case "many":
            wrong = " ".join(["v1,AAAA"] * draw(st.sampled_from([1, 5, 3000])))
            return body, {**headers, "webhook-signature": f"{wrong} {headers['webhook-signature']}"}, True
    return body, headers, True


def check_signature(case: tuple[bytes, dict[str, str], bool]) -> None:
    """Only what was signed as it is passes."""
    body, headers, right = case
    compared: list[int] = []
    known = hmac.compare_digest

    def compare(one: Any, other: Any) -> bool:
        compared.append(1)
        return known(one, other)

    hmac.compare_digest = compare
    try:
        passed = verified(SECRET, body, headers)
    finally:
        hmac.compare_digest = known
    assert passed == right, "another's signature passes, or a right one does not"
    assert compared or not passed, "compared otherwise than in constant time"


HOST = {
    "version": "2.0",
    "extensions": {
        "http": {"routePrefix": "api"},
        "queues": {"batchSize": 16, "maxPollingInterval": "00:00:02", "visibilityTimeout": "00:00:30", "maxDequeueCount": 5},
    },
}  # fmt: skip
LOCAL = {"IsEncrypted": False, "Values": {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "A": "b"}}


@st.composite
def host_cases(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Draw host.json and local.settings.json."""

    def file(good: object) -> bytes:
        if draw(st.booleans()):
            return json.dumps(draw(mutated(good))).encode()
        return draw(damaged(json.dumps(draw(NONSENSE) if draw(st.booleans()) else good).encode()))

    return file(HOST), file(LOCAL)


def check_host(case: tuple[bytes, bytes]) -> None:
    """Read both files; what is wrong is a `StartError`, which an operator can read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "host.json").write_bytes(case[0])
        (folder / "local.settings.json").write_bytes(case[1])
        environ: dict[str, str] = {}
        for read in (lambda: load_local_settings(folder, environ), lambda: load_config(folder, {})):
            try:
                found: Any = read()
            except StartError:
                continue
            assert isinstance(found, (list, HostConfig))
        assert all(isinstance(value, str) for value in environ.values())


@lru_cache(maxsize=1)
def _world() -> World:
    return World()


PARAMETERS = ("state", "tenant", "admin_consent", "error", "error_description", "code", "session_state", "id_token")


@st.composite
def consent_cases(draw: st.DrawFn) -> tuple[list[tuple[str, str]], str, bool]:
    """Draw parameters, some twice, a cookie, and whether the state is that of a link."""
    values = TEXTS | st.sampled_from(
        [
            "True",
            "true",
            "False",
            "access_denied",
            "AADSTS65004: <script>",
            "11111111-2222-4333-8444-555555555555",
            "common",
        ]
    )
    pairs = draw(st.lists(st.tuples(st.sampled_from(PARAMETERS), values), max_size=6))
    return pairs, draw(TEXTS | st.just("a=b; c")), draw(st.booleans())


def check_consent(case: tuple[list[tuple[str, str]], str, bool]) -> None:
    """Come back from Microsoft so: a page that shows nothing of what came, or a redirect within, and no consent."""
    pairs, cookie, known = case
    world = _world()
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        headers = {"Cookie": cookie.encode("latin-1", "ignore").decode("latin-1")}
        if known:
            trip = world.caller.call("GET", f"consent/start/{world.ids['ticket']}", b"", {})
            states = parse_qs(urlsplit(trip.headers.get("Location", "")).query).get("state", [])
            pairs = [*[("state", state) for state in states], *[pair for pair in pairs if pair[0] != "state"]]
        query = urlencode([(name, value.encode(errors="replace")) for name, value in pairs])
        answer = world.caller.call("GET", f"consent/callback?{query}", b"", headers)
    finally:
        logging.disable(before)
    assert answer.status_code < 500, f"{answer.status_code}"
    assert b"<script>" not in answer.get_body(), "a page shows markup that came in a parameter"
    target = answer.headers.get("Location", "")
    assert urlsplit(target).hostname in (None, "mail.example", "login.microsoftonline.com"), "a redirect to elsewhere"
    assert len(world.caller.json("GET", "grants")["data"]) == 1, "a grant came of nothing"

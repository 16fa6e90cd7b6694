"""Which troubles may come over Graph, Entra, Key Vault and the receiver during a soak, by name."""

from __future__ import annotations

from typing import Any

from localcloud.receiver import Trouble


def _status(status: int, code: str = "UnknownError", when: str = "before", **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"kind": "status", "status": status, "headers": named, "code": code, "when": when}


def _reset(when: str) -> dict[str, Any]:
    return {"kind": "reset", "when": when}


_THROTTLED = _status(429, "ApplicationThrottled", Retry_After="1")
_SILENT = _status(429, "ApplicationThrottled")
_BUSY = _status(503, Retry_After="1")
_LOST = _status(504, when="after")
_LATE = _status(504, when="later") | {"after_seconds": 1}
_SLOW = {"kind": "delay", "seconds": 2.5}

GRAPH: dict[str, tuple[str, dict[str, Any]]] = {
    "list throttled": ("messages.delta", _THROTTLED),
    "list throttled, silent": ("messages.delta", _SILENT),
    "list busy": ("messages.delta", _BUSY),
    "list 503": ("messages.delta", _status(503)),
    "list reset": ("messages.delta", _reset("after")),
    "list slow": ("messages.delta", _SLOW),
    "list drips": ("messages.delta", {"kind": "drip", "seconds_per_byte": 0.0002}),
    "sync state gone": ("messages.delta", _status(410, "SyncStateNotFound")),
    "batch throttled": ("batch", _THROTTLED),
    "batch 504": ("batch", _status(504)),
    "batch 504, done": ("batch", _LOST),
    "batch reset": ("batch", _reset("before")),
    "batch reset, done": ("batch", _reset("after")),
    "read throttled": ("messages.value", _THROTTLED),
    "read 503": ("messages.value", _status(503)),
    "read slow": ("messages.value", _SLOW),
    "mark throttled": ("messages.patch", _THROTTLED),
    "mark 503, done": ("messages.patch", _status(503, when="after")),
    "move 503, done": ("messages.move", _status(503, when="after")),
    "move throttled": ("messages.move", _THROTTLED),
    "send throttled": ("messages.send", _THROTTLED),
    "send busy": ("messages.send", _BUSY),
    "send 504": ("messages.send", _status(504)),
    "send 504, done": ("messages.send", _LOST),
    "send 504, done later": ("messages.send", _LATE),
    "send reset": ("messages.send", _reset("before")),
    "send reset, done": ("messages.send", _reset("after")),
    "send html": ("messages.send", {"kind": "html", "status": 502}),
    "send slow": ("messages.send", _SLOW),
    "draft throttled": ("messages.create", _THROTTLED),
    "draft 504, done": ("messages.create", _LOST),
    "draft reset, done": ("messages.create", _reset("after")),
    "file 504, done": ("attachments.create", _LOST),
    "direct throttled": ("sendmail", _THROTTLED),
    "direct 504": ("sendmail", _status(504)),
    "direct 504, done": ("sendmail", _LOST),
    "direct reset, done": ("sendmail", _reset("after")),
    "look 503": ("messages.list", _status(503)),
    "look throttled": ("messages.get", _THROTTLED),
}
"""Operation and effect."""

ENTRA: dict[str, tuple[str, dict[str, Any]]] = {
    "token 503": ("token", {"kind": "status", "status": 503}),
    "token 500": ("token", {"kind": "status", "status": 500}),
    "token throttled": ("token", {"kind": "status", "status": 429, "headers": {"Retry-After": "1"}}),
    "token slow": ("token", _SLOW),
    "token reset": ("token", _reset("after")),
}

VAULT: dict[str, tuple[str, dict[str, Any]]] = {
    "throttled": ("*", {"kind": "status", "status": 429, "headers": {"Retry-After": "1"}}),
    "500": ("*", {"kind": "status", "status": 500}),
    "503": ("*", {"kind": "status", "status": 503}),
    "slow": ("*", _SLOW),
    "reset": ("*", _reset("before")),
    "reset, done": ("*", _reset("after")),
}

INVALID_CLIENT: dict[str, Any] = {
    "kind": "status",
    "status": 401,
    "body": {
        "error": "invalid_client",
        "error_description": "AADSTS7000215: Invalid client secret provided.",
        "error_codes": [7000215],
    },
}

GONE = "gone"
RECEIVER: dict[str, Trouble] = {
    "500": Trouble(500),
    "500, taken": Trouble(500, keeps=True),
    "503": Trouble(503, (("Retry-After", "1"),)),
    "429": Trouble(429),
    "redirect": Trouble(302, (("Location", "/elsewhere"),)),
    "refusal": Trouble(403),
    GONE: Trouble(410),  # a person must enable the destination again
    "reset": Trouble(reset=True),
    "reset, taken": Trouble(reset=True, keeps=True),
    "slow": Trouble(seconds=1.5, keeps=True),
}

TROUBLES: dict[str, list[str]] = {
    "graph": sorted(GRAPH),
    "receiver": sorted(RECEIVER),
    "entra": sorted(ENTRA),
    "vault": sorted(VAULT),
}
"""The names of all, by what they come over."""

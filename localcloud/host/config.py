"""Which settings the host reads: host.json, local.settings.json, `%SETTING%` expansion, and its own overrides."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.host.errors import StartError

# The real host hides a fetched message for 10 minutes and renews that while the function runs.
QUEUE_LEASE_SECONDS = 600
# `func start` polls at least every 2 seconds, unlike the 60 seconds of a deployed app.
LOCAL_POLL_SECONDS = 2.0
# The shortest blob lease there is. The real host locks timers for 60 seconds.
TIMER_LEASE_SECONDS = 15
REQUEST_BODY_LIMIT = 210 * 1024 * 1024
_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{1,2}):(\d{1,2}(?:\.\d+)?)")


@dataclass(frozen=True)
class QueueOptions:
    """The `extensions.queues` section of host.json, times in seconds; *lease* hides a message while it is worked on."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    visibility_timeout: int = 0
    max_polling_interval: float = LOCAL_POLL_SECONDS
    base64: bool = True
    lease: int = QUEUE_LEASE_SECONDS


@dataclass(frozen=True)
class HostConfig:
    """Everything the host itself is told; *instance_id* names this host among those that share a storage account."""

    app_dir: Path
    route_prefix: str
    queues: QueueOptions
    host_id: str
    instance_id: str
    timer_lease: int
    drain_seconds: float


def load_config(app_dir: Path, environ: Mapping[str, str]) -> HostConfig:
    """
    Read host.json of *app_dir*, with the LOCAL_HOST_* overrides of *environ*.

    Raises:
        StartError: host.json is missing, unreadable or of another version.
    """
    document = _read_json(app_dir / "host.json")
    if document.get("version") != "2.0":
        raise StartError('host.json must say "version": "2.0"')
    extensions = document.get("extensions", {})
    try:
        return HostConfig(
            app_dir=app_dir,
            route_prefix=str(extensions.get("http", {}).get("routePrefix", "api")).strip("/"),
            queues=_queue_options(extensions.get("queues", {}), environ),
            host_id=environ.get("AzureFunctionsWebHost__hostid", "localhost"),
            instance_id=environ.get("LOCAL_HOST_INSTANCE_ID") or str(uuid.uuid4()),
            timer_lease=int(environ.get("LOCAL_HOST_TIMER_LEASE_SECONDS", TIMER_LEASE_SECONDS)),
            drain_seconds=float(environ.get("LOCAL_HOST_DRAIN_SECONDS", "30")),
        )
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise StartError(f"host.json or a LOCAL_HOST_* setting holds a bad value: {error}") from error


def load_local_settings(app_dir: Path, environ: MutableMapping[str, str]) -> list[str]:
    """Put the Values of local.settings.json, if there is one, into *environ* where not set; return their names."""
    path = app_dir / "local.settings.json"
    if not path.exists():
        return []
    document = _read_json(path)
    if document.get("IsEncrypted"):
        raise StartError("local.settings.json is encrypted; run `func settings decrypt` first")
    given = document.get("Values", {})
    if not isinstance(given, dict):
        raise StartError('local.settings.json must hold "Values" as an object of names and texts')
    values = {name: str(value) for name, value in given.items() if name not in environ}
    try:
        environ.update(values)
    except (ValueError, OSError) as error:
        raise StartError(f"local.settings.json holds what no environment takes: {error}") from error
    return sorted(values)


def expand(text: str, environ: Mapping[str, str]) -> str:
    """
    Replace each `%SETTING%` in *text* by the value of that setting.

    Raises:
        StartError: the setting does not exist.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in environ:
            raise StartError(f"the setting '{match[1]}' named by '{text}' is missing")
        return environ[match[1]]

    return re.sub(r"%([^%\s]+)%", value, text)


def parse_span(text: str) -> float:
    """Return the seconds of a .NET time span, `[days.]hours:minutes:seconds`; raises ValueError."""
    match = _SPAN.fullmatch(text)
    if not match:
        raise ValueError(f"'{text}' is not a time span like 00:00:30")
    days, hours, minutes, seconds = match.groups()
    return int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def is_disabled(function_name: str, environ: Mapping[str, str]) -> bool:
    """Tell whether the setting `AzureWebJobs.NAME.Disabled` turns the function off."""
    return environ.get(f"AzureWebJobs.{function_name}.Disabled", "").lower() in ("1", "true")


def _queue_options(section: Mapping[str, Any], environ: Mapping[str, str]) -> QueueOptions:
    batch = int(section.get("batchSize", 16))
    if not 1 <= batch <= 32:
        raise ValueError("batchSize must be between 1 and 32")
    poll = parse_span(section["maxPollingInterval"]) if "maxPollingInterval" in section else LOCAL_POLL_SECONDS
    encoding = section.get("messageEncoding", "base64")
    if encoding not in ("base64", "none"):
        raise ValueError("messageEncoding must be base64 or none")
    return QueueOptions(
        batch_size=batch,
        new_batch_threshold=int(section.get("newBatchThreshold", batch // 2)),
        max_dequeue_count=int(section.get("maxDequeueCount", 5)),
        visibility_timeout=round(parse_span(section.get("visibilityTimeout", "00:00:00"))),
        max_polling_interval=float(environ.get("LOCAL_HOST_QUEUE_POLL_SECONDS", poll)),
        base64=encoding == "base64",
        lease=int(environ.get("LOCAL_HOST_QUEUE_LEASE_SECONDS", QUEUE_LEASE_SECONDS)),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise StartError(f"{path} is missing") from error
    except (ValueError, RecursionError) as error:
        raise StartError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise StartError(f"{path} must hold a JSON object")
    return document

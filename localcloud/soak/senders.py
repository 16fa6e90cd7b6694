"""Software that sends during a soak: posts each message until it is answered, some twice at once to both hosts."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from localcloud.soak.mails import call, content, letter
from localcloud.soak.model import Order
from localcloud.soak.stage import Stage, UnansweredError

LARGE_BYTES, UPLOADED_BYTES = 2_400_000, 3_500_000
_TRIES_SECONDS = 25.0


@dataclass
class Senders:
    """Posts to *stage*; *counts* says how it was answered."""

    stage: Stage
    counts: Counter[str]

    def post(self, order: Order, host: int = 0) -> None:
        """Post an order once, and note what the answer says."""
        token = order.box.token
        with contextlib.suppress(httpx.TransportError):
            order.posted = True
            if order.by_hook:
                answer = self.stage.ask("POST", f"hooks/{order.box.hook}", order.body, host=host, token=token)
            else:
                answer = self.stage.ask("POST", "messages", order.body, host=host, token=token, key=order.key)
            with self.stage.model.lock:
                if answer.status_code == 202:
                    order.entries.add(str(answer.json()["id"]))
                elif answer.status_code < 500 and answer.status_code != 429:
                    order.refused = answer.status_code
            self.counts[f"{'hook' if order.by_hook else 'post'} {answer.status_code}"] += 1

    def send(self, details: dict[str, Any]) -> None:
        """Post a message until it is answered or given up, and cancel it if that is asked for."""
        order = self.stage.model.order(details["person"], gives_up=details["gives_up"])
        host = details["host"]
        files = self._files(order, details["files"], host)
        later = datetime.now(UTC) + timedelta(seconds=details["later"])
        order.send_at = later.isoformat() if details["later"] else ""
        order.by_hook = details["hook"] and not details["later"]
        order.body = call(order.number) if order.by_hook else letter(order.number, files, send_at=order.send_at)
        if details["twice"]:
            with ThreadPoolExecutor(2) as pair:
                list(pair.map(lambda number: self.post(order, number), (0, 1)))
        else:
            self.post(order, host)
        ends = time.monotonic() + _TRIES_SECONDS
        while order.unanswered and time.monotonic() < ends and not self.stage.over:
            time.sleep(0.7)
            host = 1 - host
            self.post(order, host)
        if details["cancel"] is not None and order.entries:
            time.sleep(details["cancel"])
            self._cancel(order, host)

    def _cancel(self, order: Order, host: int) -> None:
        order.cancel_asked = True
        with contextlib.suppress(httpx.TransportError):
            answer = self.stage.ask("POST", f"outbox/{next(iter(order.entries))}/cancel", host=host)
            order.cancelled = answer.status_code == 200

    def _files(self, order: Order, kind: str, host: int) -> list[dict[str, object]]:
        if kind == "none":
            return []
        if kind == "upload":
            with contextlib.suppress(httpx.HTTPError, UnansweredError, KeyError):
                found: list[dict[str, object]] = [{"upload_id": self._upload(order, host)}]
                order.files = [_digest(content(order.number, UPLOADED_BYTES))]
                return found
        plain = content(order.number, LARGE_BYTES if kind == "large" else 60)
        order.files = [_digest(plain)]
        encoded = base64.b64encode(plain).decode()
        return [{"name": f"{order.number}.bin", "content": encoded}]

    def _upload(self, order: Order, host: int) -> str:
        file = {"name": "drawing.bin", "content_type": "application/octet-stream", "size": UPLOADED_BYTES}
        made = self.stage.insist("POST", "uploads", file, host=host, token=order.box.token, seconds=10)
        upload = made.raise_for_status().json()
        bytes_ = content(order.number, UPLOADED_BYTES)
        headers = {"x-ms-blob-type": "BlockBlob"}
        httpx.put(upload["put_url"], content=bytes_, headers=headers, trust_env=False, timeout=20).raise_for_status()
        return str(upload["upload_id"])


def _digest(plain: bytes) -> str:
    return hashlib.sha256(plain).hexdigest()

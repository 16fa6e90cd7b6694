"""
Whether Easy Auth really stands before us: tried, not believed.

A setting says only what somebody meant. So the app calls its own public address as an impostor would; only if the
forged header is taken away there does anybody's header count, and that is tried again every ten minutes.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable

from shared.codes import Code
from shared.errors import Fault, RowChanged, RowExists, RowMissing, StorageError, Unreachable
from shared.notices import SYSTEM, EventType, Notice, due_first
from shared.ports import Clock, Front, Insert, Operation, Row, Tables, Update, Upsert, Wakeups
from shared.principals import HEADER, forged
from shared.schedule import NOTICE, Wakeup, shard_for
from shared.times import to_text
from shared.waking import wake

log = logging.getLogger("mailgrant.easyauth")

PROVEN_SECONDS = 600.0
REFUSED_SECONDS = 20.0
WAITING = 8
"""How many requests wait for a probe at once: it needs a thread of ours itself."""
KEY = "easy-auth"
_TRIES = 2
_BEATEN = (RowChanged, RowExists, RowMissing)
_ARRIVED = (
    "Easy Auth does not stand before this app: a forged sign-in reached it. Turn authentication on for the function "
    "app (or for whatever serves PUBLIC_BASE_URL), or set ADMIN_AUTH to key."
)
_SILENT = (
    "The app could not try whether Easy Auth stands before it: its own PUBLIC_BASE_URL did not answer as the app. "
    "Check PUBLIC_BASE_URL, that unauthenticated requests are allowed, and that the app may call itself."
)


class FrontProof:
    """
    Knows whether the header of Easy Auth may be believed at this moment; thread-safe.

    Refused as long as it is not proven; each change to that is told once, to the operator.
    """

    def __init__(
        self,
        front: Front,
        tenant: str,
        tables: Tables,
        wakeups: Wakeups,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._front = front
        self._tenant = tenant
        self._credentials = tables.credentials
        self._connections = tables.connections
        self._wakeups = wakeups
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._waiting = threading.BoundedSemaphore(WAITING)
        self._proven_until = self._refused_until = float("-inf")
        self._reason = ""
        self._told: bool | None = None

    def demand(self) -> None:
        """Return if the header may be believed. Raises `Fault` with easy_auth_not_proven, to be answered 503."""
        if self._known():
            return
        if not self._waiting.acquire(blocking=False):
            raise _not_proven("Easy Auth is being tried at this moment. Repeat the request.", 1.0)
        try:
            with self._lock:
                if not self._known():
                    self._try()
        finally:
            self._waiting.release()

    def _known(self) -> bool:
        """Return whether it is proven, False where that must be tried. Raises `Fault` where it has just failed."""
        now = self._monotonic()
        if now < self._proven_until:
            return True
        if now < self._refused_until:
            raise _not_proven(self._reason, self._refused_until - now)
        return False

    def _try(self) -> None:
        began = self._monotonic()
        reason = self._found()
        self._tell(reason)
        if reason:
            self._reason, self._refused_until = reason, self._monotonic() + REFUSED_SECONDS
            raise _not_proven(reason, REFUSED_SECONDS)
        self._proven_until = began + PROVEN_SECONDS

    def _found(self) -> str:
        """Return why nobody's header can be believed, '' where it can."""
        for _ in range(_TRIES):
            try:
                arrived = self._front.lets_through(HEADER, forged(self._tenant), secrets.token_urlsafe(24))
            except Unreachable as error:
                log.warning("easyauth.probe_failed detail=%s", error.detail)
                continue
            return _ARRIVED if arrived else ""
        return _SILENT

    def _tell(self, reason: str) -> None:
        """Record what was found, and tell the operator where it is bad and was not so before; never raises."""
        if self._told is (not reason):
            return
        try:
            self._record(reason)
        except _BEATEN:
            return  # another instance found the same, or is about to
        except StorageError as error:
            log.warning("easyauth.record_failed code=%s", error.code.value)
            return
        self._told = not reason

    def _record(self, reason: str) -> None:
        found = self._credentials.read(SYSTEM, KEY, f"{KEY}~")
        row = next((row for row in found.rows if row.key == KEY), None)
        before = bool(row.values.get("unproven_at")) if row else False
        if before == bool(reason):
            return
        now = found.storage_time
        writes = [_written(row, {"unproven_at": to_text(now) if reason else ""})]
        if not reason:
            self._credentials.commit(SYSTEM, writes)
            log.info("easyauth.proven")
            return
        due = due_first(SYSTEM, now)
        self._connections.commit(shard_for(SYSTEM), [Upsert(due.key, due.values)])
        notice = Notice(EventType.EASYAUTH_UNPROVEN, SYSTEM, {"detail": reason}, now)
        self._credentials.commit(SYSTEM, [*writes, notice.in_credentials(SYSTEM)])
        log.error("easyauth.unproven")
        wake(self._wakeups, Wakeup(NOTICE, SYSTEM))


def _written(row: Row | None, values: dict[str, str]) -> Operation:
    return Update(KEY, values, row.etag) if row else Insert(KEY, values)


def _not_proven(detail: str, seconds: float) -> Fault:
    return Fault(detail, Code.EASY_AUTH_NOT_PROVEN, retryable=True, retry_after=seconds)

"""How long the content of received mail is kept: day by day it goes, and with it what is personal in its receipt."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.codes import Code
from shared.errors import RowChanged, RowMissing
from shared.keep_rows import Keeping
from shared.keeping.rounds import DAY, RECEIPT_DAYS, Round, day_of, days_after
from shared.leftovers import rows_of
from shared.notices import EventType, Notice, marked_id
from shared.ports import ANY, Delete, Operation, Row, Upsert
from shared.receipts import (
    DELIVER,
    Receipt,
    ReceiptStatus,
    Work,
    bare,
    change,
    day_range,
    packed,
    public_id,
    readable_receipt,
    receipt_key,
    work_range,
    works_of,
)
from shared.schedule import DELIVER as DELIVER_KIND
from shared.schedule import DueRow
from shared.stored_mail import paths_of
from shared.times import to_inverted_key, to_text

log = logging.getLogger("mailgrant.keeping")

HELD = "wk"
"""The kind of work row that has the content of an undelivered mail looked at again."""
WARNED = timedelta(days=7)
PAGE = 90
OPEN_PAGE = 1000
TRIES = 3
_CONTENT = frozenset({ReceiptStatus.STORED, ReceiptStatus.RETRYING, ReceiptStatus.DELIVERED, ReceiptStatus.FAILED})


@dataclass
class Contents:
    """Expires the received mail of one connection; every step may be repeated by whoever comes after a death."""

    round: Round
    warned: bool = False
    _open: dict[str, list[str]] | None = field(default=None, repr=False)
    _known_held: set[str] | None = field(default=None, repr=False)

    def expire(self, record: Keeping) -> Keeping:
        """Expire every day that is older than the retention; return how far that came. Raises `StorageUnavailable`."""
        last = self.round.now - timedelta(days=self.round.connection.retention_days) - DAY
        self._look_at_held()
        for day in days_after(record.expired_day, last):
            for cursor in self._listed(day, record.cursor):
                record = replace(record, cursor=cursor)
                if not self.round.go_on():
                    return record
            if not self._emptied(day):
                return record
            record = replace(record, expired_day=day, cursor="")
        return record

    def sweep(self, record: Keeping) -> Keeping:
        """Remove blobs of which no receipt tells, left by runs that died, once their day is a day past."""
        for day in days_after(record.swept_day, self.round.now - 2 * DAY):
            for path in self._paths_of(day):
                if path <= record.sweep_cursor:
                    continue
                if not self.round.go_on():
                    return record
                if self._is_orphan(path):
                    self.round.blobs.received.delete(path)
                    log.info("keeping.swept connection_id=%s", self.round.connection.id)
                record = replace(record, sweep_cursor=path)
            record = replace(record, swept_day=day, sweep_cursor="")
        return record

    def forget(self) -> None:
        """Remove receipts that are older than receipts are kept; of such mail nobody may ask any more."""
        connection, receipts = self.round.connection, self.round.tables.receipts
        oldest = self.round.now - timedelta(days=max(RECEIPT_DAYS, connection.retention_days + 30))
        first = f"d|{to_inverted_key(oldest)}|"
        while self.round.go_on() and (rows := receipts.read(connection.id, first, "d~", PAGE).rows):
            groups: list[list[Operation]] = []
            for row in rows:
                message_hash = row.key.rpartition("|")[2]
                receipt = self._receipt(message_hash)
                keys = rows_of(receipt[0]) if receipt else [receipt_key(message_hash)]
                # Each for itself, lest one that is missing keeps the others; what leads here goes last.
                groups += [[Delete(key, ANY)] for key in (*(key for key in keys if key != row.key), row.key)]
            self._commit(groups)

    def _listed(self, day: str, cursor: str) -> Iterator[str]:
        """Expire what was stored on *day*, a page at a time; yield how far that is."""
        first, last = day_range(day)
        first = f"{cursor}-" if cursor else first
        while rows := self.round.tables.receipts.read(self.round.connection.id, first, last, PAGE).rows:
            found = [self._receipt(row.key.rpartition("|")[2]) for row in rows]
            known = [item for item in found if item is not None and _blob_day(item[0]) <= day]
            self._expired([item for item in known if not self._waits(item[0])])
            self._hold([item[0] for item in known if self._waits(item[0])])
            first = f"{rows[-1].key}-"
            yield rows[-1].key

    def _emptied(self, day: str) -> bool:
        """Remove what else lies in the folder of *day*: mail fetched late, and blobs of which no receipt tells."""
        held = self._hashes_held()
        for path in self._paths_of(day):
            if _hash_in(path) in held:
                continue
            if not self.round.go_on():
                return False
            receipt = self._named_in(path)
            if receipt is None or path not in paths_of(receipt):
                self.round.blobs.received.delete(path)
            elif self._waits(receipt):
                self._hold([receipt])
            else:
                self._expired([item for item in [self._receipt(receipt.hash)] if item is not None])
        return True

    def _paths_of(self, day: str) -> Iterator[str]:
        """Yield the paths of a day's folder, in their order."""
        connection = self.round.connection
        return self.round.blobs.received.names(f"{connection.grant_id}/{connection.id}/{day}/")

    def _is_orphan(self, path: str) -> bool:
        """Tell whether no receipt names *path*; one that cannot be read may."""
        row = self.round.tables.receipts.get(self.round.connection.id, receipt_key(_hash_in(path)))
        receipt = readable_receipt(row) if row else None
        return row is None or (receipt is not None and path not in paths_of(receipt))

    def _named_in(self, path: str) -> Receipt | None:
        """Return the receipt of the message to which a path belongs."""
        found = self._receipt(_hash_in(path))
        return found[0] if found else None

    def _expired(self, found: Iterable[tuple[Receipt, str]], ended: Sequence[str] = ()) -> None:
        """Remove content first and what names it after, so that nobody who dies between leaves a nameless blob."""
        left = list(found)
        for _ in range(TRIES):
            groups: list[Sequence[Operation]] = []
            for receipt, etag in left:
                for path in paths_of(receipt):
                    self.round.blobs.received.delete(path)
                ends = receipt.status in _CONTENT and receipt.blob
                after = bare(receipt, ReceiptStatus.EXPIRED if ends else receipt.status)
                if after != receipt:
                    groups.append([*change(receipt, after, etag), *(Delete(key, ANY) for key in ended)])
                elif ended:
                    groups.append([Delete(key, ANY) for key in ended])
            changed = self._commit(groups)
            again = [self._receipt(item[0].hash) for item in left if receipt_key(item[0].hash) in changed]
            left = [item for item in again if item is not None]
            if not left:
                return

    def _hold(self, receipts: Sequence[Receipt]) -> None:
        """Keep the content of undelivered mail for a week, and tell of it in the same transaction."""
        connection, now = self.round.connection, self.round.now
        held = self._hashes_held()
        fresh = [receipt for receipt in receipts if receipt.hash not in held]
        if not fresh:
            return
        if not self.warned:  # before the rows that it is there for
            due = DueRow(now + timedelta(minutes=2), DELIVER_KIND, connection.id)
            self.round.tables.connections.commit(connection.shard, [Upsert(due.key, due.values)])
            self.warned = True
        ends = now + WARNED
        rows = [Work(HELD, ends, receipt.hash).insert() for receipt in fresh]
        self.round.tables.receipts.commit(connection.id, [*rows, _warning(connection.id, fresh, now, ends)])
        held.update(receipt.hash for receipt in fresh)
        log.warning("keeping.undelivered connection_id=%s count=%d", connection.id, len(fresh))

    def _look_at_held(self) -> None:
        """Expire held mail that was delivered since, and that which was not within the week that was announced."""
        for work, row in self._held():
            if not self.round.go_on():
                return
            undelivered = self._undelivered().get(work.hash, [])
            if undelivered and work.at > self.round.now:
                continue
            found = self._receipt(work.hash)
            if found is None:
                self._emptied_of(work.hash)
                self._commit([[Delete(row.key, ANY)]])
            elif not self._waits(found[0]) or work.at <= self.round.now:
                self._expired([found], [row.key, *undelivered])

    def _emptied_of(self, message_hash: str) -> None:
        """Remove the content that a receipt names which cannot be read."""
        connection = self.round.connection
        row = self.round.tables.receipts.get(connection.id, receipt_key(message_hash))
        folder = str(row.values.get("blob", "")).rpartition("/")[0] if row else ""
        if not folder.startswith(f"{connection.grant_id}/{connection.id}/") or not folder.endswith(f"/{message_hash}"):
            return
        for path in self.round.blobs.received.names(f"{folder}/"):
            self.round.blobs.received.delete(path)

    def _held(self) -> list[tuple[Work, Row]]:
        rows = self.round.tables.receipts.read(self.round.connection.id, *work_range(HELD, None)).rows
        return [(work, row) for row in rows for work in works_of([row])]

    def _hashes_held(self) -> set[str]:
        """Return the hashes of held mail, read once in a run; what this run holds is added."""
        if self._known_held is None:
            self._known_held = {work.hash for work, _ in self._held()}
        return self._known_held

    def _waits(self, receipt: Receipt) -> bool:
        """Tell whether the content is still to be delivered, or by a person since its destination refused it."""
        return receipt.hash in self._undelivered() or receipt.status is ReceiptStatus.FAILED

    def _undelivered(self) -> dict[str, list[str]]:
        """Return the keys of open deliver work by message."""
        if self._open is None:
            self._open = {}
            first, last = work_range(DELIVER, None)
            while first:  # page by page, since each row holds a copy of a receipt
                rows = self.round.tables.receipts.read(self.round.connection.id, first, last, OPEN_PAGE).rows
                for row in rows:
                    self._open.setdefault(row.key.rpartition("|")[2], []).append(row.key)
                first = f"{rows[-1].key}-" if len(rows) == OPEN_PAGE else ""
        return self._open

    def _receipt(self, message_hash: str) -> tuple[Receipt, str] | None:
        row = self.round.tables.receipts.get(self.round.connection.id, receipt_key(message_hash))
        receipt = readable_receipt(row) if row else None
        return (receipt, row.etag) if row and receipt else None

    def _commit(self, groups: Iterable[Sequence[Operation]]) -> set[str]:
        """Commit groups, each whole, without those whose rows changed meanwhile; return which rows did."""
        changed: set[str] = set()
        for part in packed(groups):
            left = part
            while left:
                try:
                    self.round.tables.receipts.commit(
                        self.round.connection.id, [operation for group in left for operation in group]
                    )
                except (RowMissing, RowChanged) as error:
                    key = error.key
                    changed |= {key} if isinstance(error, RowChanged) else set()
                    left = [group for group in left if key not in [operation.key for operation in group]]
                else:
                    break
        return changed


def _hash_in(path: str) -> str:
    """Return the hash of the message to which a path belongs."""
    return path.split("/")[3]


def _blob_day(receipt: Receipt) -> str:
    """Return the day under which the content lies; mail that was fetched late lies under a later one."""
    parts = receipt.blob.split("/")
    return parts[2] if len(parts) > 2 else day_of(receipt.stored_moment())


def _warning(connection_id: str, receipts: Sequence[Receipt], now: datetime, ends: datetime) -> Operation:
    ids = [public_id(connection_id, receipt.hash) for receipt in receipts]
    data = {
        "connection_id": connection_id,
        "code": Code.UNDELIVERED_MAIL_EXPIRES.value,
        "received_ids": ids,
        "expires_at": to_text(ends),
        "detail": "The destination has not taken these mails, and their content is removed at expires_at. "
        "See that the destination works, or read the mails before.",
    }
    mark = marked_id("expiring", connection_id, *(receipt.hash for receipt in receipts))
    return Notice(EventType.CONNECTION_FAILED, connection_id, data, now, mark).in_receipts(connection_id)

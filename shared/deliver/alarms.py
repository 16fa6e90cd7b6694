"""How many alarms an operator gets: ten of one type and connection in an hour, and of the others their number."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.deliver.items import Item, read_item
from shared.errors import RowChanged, RowExists, RowMissing
from shared.notices import ALARMS, IN_RECEIPTS, Handed, Pending, marked_id
from shared.ports import Insert, Operation, Table, Update
from shared.rows import decode, encode
from shared.times import from_text, to_key, to_text

log = logging.getLogger("mailgrant.notices")

MOST = 10
WINDOW = timedelta(hours=1)
PAGE = 90
_FIRST, _LAST = "al|", "al~"


@dataclass(frozen=True, slots=True)
class Sounded:
    """What the operator heard of one *type* since *since*: *told* alarms, and *more* that were only counted."""

    type: str
    since: str = ""
    told: int = 0
    more: int = 0


@dataclass
class Alarms:
    """The alarms of one connection; what was told is kept in rows of its own in table *receipts*."""

    receipts: Table
    owner: str
    _sounded: dict[str, Sounded] = field(default_factory=dict)
    _etags: dict[str, str] = field(default_factory=dict)
    _fresh: list[Item] = field(default_factory=list)

    def bound(self, items: Sequence[Item], now: datetime) -> Iterator[Item]:
        """
        Leave ten alarms of each type and hour to be told and count the others, which are done with.

        Yield word of how many the hour before left over. What stands in another table is counted before it is marked.
        """
        for row in self.receipts.read(self.owner, _FIRST, _LAST).rows:
            record = decode(Sounded, row.values)
            self._sounded[record.type], self._etags[record.type] = record, row.etag
        alarms = [item for item in items if item.pending.type in ALARMS and not item.pending.alert.done]
        self._fresh = [item for item in alarms if not item.pending.alert.tries]
        for kind in sorted({*self._sounded, *(item.pending.type for item in self._fresh)}):
            summed = self._ended(kind, now)
            if summed is not None:
                self._fresh.append(summed)
                yield summed
            free = MOST - self._sounded.get(kind, Sounded(kind)).told
            alike = [item for item in self._fresh if item.pending.type == kind and item is not summed]
            self._count(kind, alike[max(free, 0) :], now)

    def told(self, now: datetime) -> None:
        """Write down how many of the alarms were told, or tried to be."""
        tried = [item.pending.type for item in self._fresh if item.pending.alert.tries]
        for kind in sorted(set(tried)):
            record = self._sounded.get(kind, Sounded(kind))
            since = record.since or to_text(now)
            self._write(replace(record, since=since, told=record.told + tried.count(kind)))

    def due(self) -> Iterable[datetime]:
        """Return when word of those that were only counted is due."""
        return [from_text(record.since) + WINDOW for record in self._sounded.values() if record.more]

    def _ended(self, kind: str, now: datetime) -> Item | None:
        """Begin a new hour where one has ended; return word of what was only counted in it, if anything was."""
        record = self._sounded.get(kind, Sounded(kind))
        if not record.since or now - from_text(record.since) < WINDOW:
            return None
        fresh = Sounded(kind, to_text(now))
        if not record.more:
            self._sounded[kind] = fresh
            return None
        word = _summary(self.owner, record, now)
        if not self._write(fresh, word):
            return None
        row = self.receipts.get(self.owner, word.key)
        return read_item(self.receipts, self.owner, row) if row else None

    def _count(self, kind: str, items: Sequence[Item], now: datetime) -> None:
        for first in range(0, len(items), PAGE):
            page = items[first : first + PAGE]
            here = [item for item in page if item.table is self.receipts]
            for item in page:
                item.pending = replace(item.pending, alert=Handed(to_text(now)))
            done = [Update(item.key, {"alert": encode(item.pending)["alert"]}, item.etag) for item in here]
            record = self._sounded.get(kind, Sounded(kind))
            counted = replace(record, since=record.since or to_text(now), more=record.more + len(page))
            etags = self._write(counted, *done)
            if not etags:
                for item in items[first:]:
                    item.etag = ""  # somebody else has them
                    item.wait(now)
                return
            for item, etag in zip(here, etags[1:], strict=True):
                item.etag = etag
            for item in page:
                if item.table is not self.receipts:
                    item.commit({"alert": encode(item.pending)["alert"]})
            log.warning("notice.counted connection_id=%s type=%s count=%d", self.owner, kind, len(page))

    def _write(self, record: Sounded, *others: Operation) -> list[str]:
        """Write a record; return the etags, none where another run wrote at the same moment."""
        key, etag = f"{_FIRST}{record.type}", self._etags.get(record.type)
        write = Update(key, encode(record), etag) if etag else Insert(key, encode(record))
        try:
            etags = self.receipts.commit(self.owner, [write, *others]).etags
        except (RowChanged, RowExists, RowMissing):
            return []
        self._etags[record.type], self._sounded[record.type] = etags[0], record
        return list(etags)


def _summary(owner: str, record: Sounded, now: datetime) -> Insert:
    """Return the row of an event for the operator alone: destinations are told one by one."""
    data = {
        "connection_id": owner,
        "count": record.more,
        "since": record.since,
        "detail": f"So many more events of this type came within an hour, after the {MOST} that were told one by one.",
    }
    mark, at = marked_id("alarms", owner, record.type, record.since), to_text(now)
    pending = Pending(mark, record.type, owner, at, owner, data, destination=Handed(at))
    return Insert(f"{IN_RECEIPTS}{to_key(now)}|{mark}", encode(pending))

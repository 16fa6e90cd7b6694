"""Reports of failed delivery among the mail that is handed over: what they say of our own mail is noted."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from shared.bounces import Reported, bounce, read_report
from shared.connections import Connection, Direction, box_range
from shared.deliver.handing import Outcome
from shared.errors import StorageError
from shared.following import Following
from shared.identifiers import box_of, shard_of, split_entry_id
from shared.mail.parsed import Automatic
from shared.ports import Blobs, Tables, Wakeups
from shared.rows import readable
from shared.status_notices import telling_of

log = logging.getLogger("mailgrant.deliver")

REPORT_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class ReportReader:
    """
    Notes what received reports say of mail that the same mailbox sent, however long ago that was.

    A worker that dies before it does loses nothing for 48 hours: so long the sender lists reports itself.
    """

    tables: Tables
    blobs: Blobs
    wakeups: Wakeups

    def note(self, connection: Connection, outcomes: Iterable[Outcome], now: Callable[[], datetime]) -> None:
        """Read the reports among *outcomes*, mails of an incoming *connection*; never raises for storage."""
        for outcome in outcomes:
            receipt, mail = outcome.receipt, outcome.mail
            if receipt is None or mail is None or mail.automatic is not Automatic.BOUNCE or not receipt.blob:
                continue
            try:
                chunks = self.blobs.chunks(receipt.blob, 0, REPORT_BYTES - 1)
                reported = read_report(b"".join(chunks or ()), now())
                if reported.bounces:
                    self._learn(connection, reported, now)
            except StorageError as error:
                log.warning("deliver.report_not_noted connection_id=%s code=%s", connection.id, error.code.value)

    def _learn(self, connection: Connection, reported: Reported, now: Callable[[], datetime]) -> None:
        """Change the mails that a report is about, of outgoing connections of the same mailbox only."""
        for sender in self._senders(connection):
            telling = telling_of(self.tables.connections, self.wakeups, sender, now)
            told = {"told": telling} if telling else {}
            following = Following(self.tables.outbox, sender.id, **told)
            ids = [marker for marker in reported.markers if (split_entry_id(marker) or ("", ""))[0] == sender.id]
            if not reported.markers:
                ids = [one.work.id for one in following.all() if reported.concerns(one.work)]
            for entry_id in ids:
                if following.learn(entry_id, lambda work: bounce(work, reported, now())):
                    log.info("deliver.bounced entry_id=%s", entry_id)
            if telling:
                telling.wake()

    def _senders(self, connection: Connection) -> list[Connection]:
        first, last = box_range(box_of(connection.id))
        rows = self.tables.connections.read(shard_of(connection.id), first, last).rows
        named = [row for row in rows if row.key.split("|")[2] == "conn"]
        known = [readable(Connection, row.key, row.values) for row in named]
        return [
            one for one in known if one and one.direction is Direction.OUTGOING and one.mailbox == connection.mailbox
        ]

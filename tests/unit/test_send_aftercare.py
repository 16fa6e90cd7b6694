"""What else is done after sending: drafts that nobody will send go, and each end is told with the change."""

from datetime import timedelta

import pytest

from localcloud.mail.bounces import non_delivery_report
from shared.codes import Code
from shared.connections import Connection, Destination, Direction
from shared.deliver.handing import Outcome
from shared.deliver.reports import ReportReader
from shared.errors import Fault, GrantFault, Unreachable
from shared.mail.parsed import Automatic, Mail
from shared.notices import EventType
from shared.outbox.work import Status
from shared.receipts import DELIVER, Receipt, ReceiptStatus, Work
from shared.schedule import SEND, Wakeup
from shared.send.entries import Entries
from shared.status_notices import tellings
from shared.times import to_text
from tests.fakes.exchange import Item, Modes, lost_answer
from tests.scenes.sending import BOX, Killer, Sending

WEBHOOK = Destination("webhook", "https://status.example/hook", events=(EventType.MESSAGE_STATUS.value,))


def orphan(world: Sending, entry_id: str, name: str = "orphan", *, old: bool = True) -> None:
    """Put a marked draft into the mailbox that is or is not older than a day."""
    at = world.clock() - timedelta(hours=30 if old else 0)
    world.exchange.items[name] = Item(name, entry_id, "<o@contoso.example>", at=at)


def notices(world: Sending) -> list[tuple[str, str]]:
    """Return message and status of each notice that stands in the outbox."""
    rows = world.tables.outbox.everything().items()
    found = [values for (_, key), values in rows if key.startswith("we|")]
    return sorted((str(row["subject"]), str(row["data"]).split('"status":"')[1].split('"')[0]) for row in found)


def test_an_old_draft_beside_a_sent_mail_is_removed() -> None:
    """A worker died before it recorded the draft; a day later it is gone, and a young one stays."""
    world = Sending(confirms=True)
    entry_id = world.accept()
    orphan(world, entry_id)
    orphan(world, entry_id, "young", old=False)
    world.run(600)
    before = set(world.exchange.items)
    world.exchange.items["young"] = Item("young", entry_id, "", at=world.clock() + timedelta(hours=20))
    world.run(27 * 3600)

    assert {"orphan", "young"} <= before
    assert ["young"] == [item.id for item in world.exchange.items.values() if item.is_draft]


def test_an_old_draft_of_a_deleted_connection_is_removed_by_the_next_of_its_mailbox() -> None:
    """Nobody works for the connection any more whose worker left it; whoever sends from the mailbox later tidies."""
    world = Sending(confirms=True)
    entry_id = world.accept()
    world.finish(entry_id)
    orphan(world, entry_id)
    world.changes().delete(world.connection.id)
    world.connection = world.make()
    world.accept()
    world.run(27 * 3600)

    assert [] == world.exchange.drafts()


def abandoned(world: Sending) -> str:
    """Have a connection send a mail, leave a draft beside it, and be deleted; return the mail's id."""
    entry_id = world.accept()
    world.finish(entry_id)
    orphan(world, entry_id, old=False)
    world.changes().delete(world.connection.id, discard=True)
    return entry_id


@pytest.mark.parametrize("at", [-1, *range(1, 12)])
def test_old_drafts_of_a_deleted_connection_are_removed_though_none_follows(at: int) -> None:
    """Once they are a day old, killed at any step or not; nothing stands due afterwards, and no turn is held."""
    world = Sending(killer=Killer(), confirms=True)
    abandoned(world)
    world.run(60)
    world.clock.advance(24.5 * 3600)
    world.run(900)
    before = world.exchange.drafts()
    world.killer.at, world.killer.seen = at, []
    world.clock.advance(3600)
    world.run(1800)

    assert (["orphan"], []) == ([item.id for item in before], world.exchange.drafts())
    assert [] == world.due_rows()
    assert world.turns.look(BOX).box.free_for(SEND, world.clock())


def test_evidence_outlives_its_connection() -> None:
    """Nobody knows whether the mail was sent whose connection was deleted: its draft stays."""
    world = Sending(Modes(copy="never"), confirms=True)
    world.exchange.script = lambda method: (lost_answer() if method == "send" else None, True)
    entry_id = world.accept()
    world.run(60)
    orphan(world, entry_id)
    world.changes().delete(world.connection.id, discard=True)
    world.run(60)
    world.clock.advance(26 * 3600)
    world.run(900)

    assert Status.OUTCOME_UNKNOWN == world.entry(entry_id).status
    assert "orphan" in world.exchange.items
    assert [] == world.due_rows()


@pytest.mark.parametrize(
    ("fault", "hours", "left"),
    [
        (GrantFault("The tenant took its consent back.", Code.GRANT_NOT_USABLE), 26, ["orphan"]),
        (Unreachable("No answer."), 26, []),
        (Unreachable("No answer."), 60, ["orphan"]),
    ],
)
def test_a_mailbox_that_cannot_be_asked_keeps_the_drafts(fault: Fault, hours: float, left: list[str]) -> None:
    """A refusal is not asked twice; where there was no answer it is tried until two days after the deletion."""
    world = Sending(confirms=True)
    abandoned(world)
    world.rights.fault = fault
    world.run(60)
    world.clock.advance(hours * 3600)
    world.run(600)
    world.rights.fault = None
    world.run(3600)

    assert left == [item.id for item in world.exchange.drafts()]
    assert [] == world.due_rows()


def test_whoever_came_while_a_deleted_connection_was_tidied_is_woken() -> None:
    """A mail that was accepted for the mailbox just then does not wait for the next minute."""
    world = Sending(confirms=True)
    abandoned(world)
    dead = world.connection.id
    world.run(60)
    world.clock.advance(25 * 3600)
    world.connection = world.make()

    def accept(method: str) -> tuple[None, bool]:
        if method == "old_drafts":
            world.accept()
            world.drain.run(Wakeup(SEND, world.connection.id))
            world.wakeups.take("mail-send")
        return None, True

    world.exchange.script = accept
    world.drain.run(Wakeup(SEND, dead, due=world.due_rows()[0]))

    assert [world.connection.id] == [body["id"] for body in world.wakeups.take("mail-send")]
    assert [] == world.exchange.drafts()
    assert "" == world.turns.look(BOX).box.holder


def test_drafts_of_mails_whose_end_is_not_known_are_evidence() -> None:
    """While it is sending, or nobody knows, every draft of the mail stays; drafts of strangers always do."""
    world = Sending(Modes(copy="never"), confirms=True)
    world.exchange.script = lambda method: (lost_answer() if method == "send" else None, True)
    entry_id = world.accept()
    orphan(world, entry_id)
    orphan(world, "", "strange")
    orphan(world, "msg_0123456789abcdef01ARZ3NDEKTSV4RRFFQ69G5FAV.01ARZ3NDEKTSV4RRFFQ69G5FAV", "foreign")
    world.run(30 * 3600)

    assert Status.OUTCOME_UNKNOWN == world.entry(entry_id).status
    assert {"orphan", "strange", "foreign"} <= set(world.exchange.items)


@pytest.mark.parametrize("at", range(1, 10))
def test_tidying_survives_a_death(at: int) -> None:
    """Killed at any step, the next day's run finds what is left."""
    world = Sending(killer=Killer(), confirms=True)
    entry_id = world.accept()
    world.run(24 * 3600)
    orphan(world, entry_id)
    world.killer.at = at
    world.run(60 * 3600)

    assert [] == world.exchange.drafts()


@pytest.mark.parametrize("at", [-1, *range(1, 22)])
def test_each_end_is_told_once_in_the_transaction_of_the_change(at: int) -> None:
    """Sent and bounced, whoever dies between; accepted is not told, since sent follows."""
    world = Sending(killer=Killer(at), confirms=True, destination=WEBHOOK)
    entry_id = world.accept()
    world.run(1500)
    sent = notices(world)
    report = non_delivery_report(world.exchange.mimes[-1], "a@b.c", ["x@y.example"], world.clock().timestamp())
    world.exchange.bounce(report)
    world.run(3600)

    assert [(entry_id, "sent")] == sent
    assert [(entry_id, "bounced"), (entry_id, "sent")] == notices(world)
    due = [key for _, key in world.tables.connections.everything() if "|notice|" in key]
    assert due


def test_a_cancelled_mail_is_told_too() -> None:
    """The end that a person gives it is one like others; without a webhook nothing is written."""
    world = Sending(destination=WEBHOOK)
    mute = Sending()
    for one in (world, mute):
        entries = Entries(one.tables.outbox, one.clock, tellings(one.tables, one.wakeups, one.clock))
        entry_id = one.accept(send_at=one.clock() + timedelta(hours=1))
        entries.cancel(entry_id)

    assert ["cancelled"] == [status for _, status in notices(world)]
    assert [] == notices(mute)


def _incoming(world: Sending) -> Connection:
    return world.make(Direction.INCOMING, folder_id="inbox")


@pytest.mark.parametrize("days", [0, 4])
@pytest.mark.parametrize("marker", [True, False])
def test_a_received_report_bounces_the_mail_it_is_about(days: int, marker: bool) -> None:
    """An incoming connection reads the same mailbox: its report counts, days later too where the marker is there."""
    world = Sending(confirms=True, destination=WEBHOOK)
    entry_id = world.accept()
    world.run(600)
    world.run(days * 86400)
    mime = world.exchange.mimes[-1] if marker else world.exchange.mimes[-1].replace(b"X-Mailgrant-Entry", b"X-Other")
    report = non_delivery_report(mime, "box@contoso.example", ["x@y.example"], world.clock().timestamp())
    world.blobs.received.put("g/c/20260302/h.eml", report)
    receipt = Receipt(
        "h", "id", stored_at=to_text(world.clock()), status=ReceiptStatus.STORED, blob="g/c/20260302/h.eml"
    )
    outcome = Outcome(Work(DELIVER, world.clock(), "h"), receipt, "", Mail(automatic=Automatic.BOUNCE))
    reader = ReportReader(world.tables, world.blobs.received, world.wakeups)
    for _ in range(2):
        reader.note(_incoming(world), [outcome], world.clock)
    entry = world.entry(entry_id)

    expected = (Status.BOUNCED, ["x@y.example"]) if marker or not days else (Status.SENT, [])
    assert expected == (entry.status, [bounce.address for bounce in entry.bounces])

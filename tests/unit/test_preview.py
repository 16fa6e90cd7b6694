"""How much mail a connection would take, said before it is made."""

from datetime import timedelta

import pytest

from shared.connection_admin.creation import Preview
from shared.connection_admin.rules import NewConnection
from shared.connections import Destination, Direction
from shared.errors import InvalidRequest, Unreachable
from shared.ports import MailCount
from shared.times import to_text
from tests.scenes.administration import Administration


def asked(admin: Administration, start: str, **changes: object) -> NewConnection:
    """Return the request for an incoming connection."""
    grant = admin.consented(admin.credential())
    details = {"destination": Destination("queue", name="out-orders"), "start": start, **changes}
    return NewConnection(Direction.INCOMING, grant.id, "box@contoso.example", "Orders", **details)  # type: ignore[arg-type]


@pytest.mark.parametrize(("start", "mails"), [("all", 3), ("now", 0), ("2026-03-02T09:00:00Z", 2)])
def test_a_start_says_how_much_it_takes(start: str, mails: int) -> None:
    """Everything, nothing yet, or what came since; and nothing is made."""
    admin = Administration()
    admin.directory.received = ["2026-03-01T00:00:00Z", "2026-03-02T09:00:00Z", "2026-03-02T09:10:00Z"]
    request = asked(admin, start)
    before = admin.tables.connections.calls.get("commit", 0)
    found = admin.creation.preview(request, {})
    since = {"all": "", "now": to_text(admin.clock())}.get(start, "2026-03-02T09:00:00.000Z")
    assert Preview(MailCount(mails, exact=True), since) == found
    assert before == admin.tables.connections.calls.get("commit", 0)


def test_now_costs_no_count() -> None:
    """Of what has not come yet there is none."""
    admin = Administration()
    admin.directory.failures.plan("mail_count", Unreachable("down"))
    assert 0 == admin.creation.preview(asked(admin, "now"), {}).count.mails


def test_the_preview_refuses_what_the_creation_refuses() -> None:
    """Faults of the request, folders that are not there, and what cannot be said beforehand."""
    admin = Administration()
    with pytest.raises(InvalidRequest) as faults:
        admin.creation.preview(asked(admin, "yesterday", continue_from="conn_x", destination=None), {})
    assert {"/start", "/destination", "/start/continue_from"} == {fault.pointer for fault in faults.value.faults}
    with pytest.raises(InvalidRequest) as folder:
        admin.creation.preview(asked(admin, "all", folder="nowhere"), {})
    assert "/folder" == folder.value.faults[0].pointer


def test_a_count_that_fails_is_said_and_a_later_one_counts() -> None:
    """Trouble of Graph is its fault, not an answer of 0."""
    admin = Administration()
    admin.directory.failures.plan("mail_count", Unreachable("down"))
    request = asked(admin, to_text(admin.clock() - timedelta(days=1)))
    with pytest.raises(Unreachable):
        admin.creation.preview(request, {})
    assert 0 == admin.creation.preview(request, {}).count.mails


def test_a_start_in_the_future_is_refused() -> None:
    """Delta brings whatever is new, so that mail from before such a start could not be told from other mail."""
    admin = Administration()
    request = asked(admin, to_text(admin.clock() + timedelta(hours=1)))
    for refused in (admin.creation.preview, admin.creation.create):
        with pytest.raises(InvalidRequest) as faults:
            refused(request, {})
        assert [("/start", "in_future")] == [(fault.pointer, fault.code) for fault in faults.value.faults]
    assert "" != admin.creation.preview(asked(admin, to_text(admin.clock() + timedelta(minutes=4))), {}).since

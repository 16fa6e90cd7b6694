"""Deleting and continuing a connection, and erasing one mail, seen from the receiving end."""

from typing import Any

import pytest

from localcloud.administrator import RefusedError, wait_until
from localcloud.story import Organisation, Story

pytestmark = pytest.mark.enable_socket


def events_of(story: Story, address: str) -> list[dict[str, Any]]:
    """Return the events of mail that one mailbox received."""
    found = story.stack.receiver.of_type("mailgrant.message.received")
    return [event for event in found if event["data"]["mailbox"]["address"] == address]


def settled(story: Story, connection_id: str) -> bool:
    """Tell whether all that the connection took is delivered, and marked in the mailbox."""
    received = story.stack.admin.get(f"connections/{connection_id}/received")["data"]
    return bool(received) and all(mail["status"] == "delivered" for mail in received)


def test_a_connection_made_anew_goes_on_where_the_deleted_one_stopped(story: Story, consented: Organisation) -> None:
    """Mail that arrives between deletion and continuation is delivered, and nothing else once more."""
    box, admin = consented.address("box"), story.stack.admin
    story.fill(box, 3)
    first = story.connect_incoming(consented, "box")
    wait_until("3 mails are delivered", lambda: len(events_of(story, box)) == 3 and settled(story, first["id"]))
    wait_until("all is marked read", lambda: not story.unread(box))
    # A run is told once it is over, which may be after its mail was delivered.
    wait_until("its runs are told", lambda: _taken(story, first["id"]) == 3)
    wait_until("the connection is deleted", lambda: _deleted(story, first["id"]))
    story.fill(box, 2, start=3)
    second = story.connect_incoming(consented, "box", start={"continue_from": first["id"]})
    wait_until("2 more are delivered", lambda: len(events_of(story, box)) >= 5 and settled(story, second["id"]))

    events = events_of(story, box)
    assert 5 == len({event["id"] for event in events}) == len({event["data"]["raw"]["sha256"] for event in events})
    assert {"continue_from": first["id"]} == admin.get(f"connections/{second['id']}")["start"]


def _taken(story: Story, connection_id: str) -> int:
    """Return how much mail the connection's runs took, as its log tells."""
    return sum(line["taken"] for line in story.stack.admin.get(f"connections/{connection_id}/log")["data"])


def _deleted(story: Story, connection_id: str) -> bool:
    """Delete the connection; False while work of it is still open, such as mail that is not marked yet."""
    try:
        story.stack.admin.delete(f"connections/{connection_id}")
    except RefusedError as refused:
        if refused.problem["code"] != "work_pending":
            raise
        return False
    return True


def test_an_erased_mail_is_gone_and_never_comes_back(story: Story, consented: Organisation) -> None:
    """Its content answers 410, its names are gone, the other mail stands, and a fetch does not take it again."""
    box, admin = consented.address("box"), story.stack.admin
    story.fill(box, 2)
    connection = story.connect_incoming(consented, "box")
    wait_until("2 mails are delivered", lambda: len(events_of(story, box)) == 2 and settled(story, connection["id"]))
    erased, kept = (event["id"] for event in events_of(story, box))

    assert [None, None] == [admin.delete(f"received/{erased}"), admin.delete(f"received/{erased}")]
    admin.post(f"connections/{connection['id']}/fetch")

    found = admin.get(f"received/{erased}")
    assert ("expired", "", "") == (found["status"], found["subject"], found["sender"])
    assert [410, 200] == [admin.raw(f"received/{mail}/raw").status_code for mail in (erased, kept)]
    audit = admin.get("audit", limit=200)["data"]
    assert "received.erase" in [line["action"] for line in audit if erased in line["targets"].values()]
    assert 2 == len(events_of(story, box))

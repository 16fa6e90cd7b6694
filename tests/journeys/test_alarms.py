"""What is told by itself: to the operator when something fails, and to a destination that asked for it."""

import pytest

from localcloud.administrator import wait_until
from localcloud.story import Organisation, Story

pytestmark = pytest.mark.enable_socket


def test_a_revoked_grant_alarms_the_operator(story: Story, consented: Organisation) -> None:
    """The alarm is signed, names the grant, says what to do, and comes with one id."""
    alarms = story.stack.alarms
    grant = consented.grant["id"]
    story.stack.control.revoke(consented.tenant, consented.client_id)
    story.stack.admin.post(f"grants/{grant}/verify")

    def told(status: str) -> list[str]:
        mine = [event for event in alarms.of_type("mailgrant.grant.changed") if event["subject"] == grant]
        return [event["id"] for event in mine if event["data"]["status"] == status]

    (event_id,) = wait_until("the alarm is there", lambda: told("revoked"))
    wait_until("what was before it is told too", lambda: told("active"))

    event = alarms.events[event_id]
    assert ("active", "app_not_consented") == (event["data"]["before"], event["data"]["code"])
    assert event["source"].endswith(f"/api/grants/{grant}")
    assert (0, 1) == (alarms.refused.total(), len(alarms.bodies[event_id]))


def test_a_destination_hears_of_a_change_that_it_asked_for(story: Story, consented: Organisation) -> None:
    """The event comes signed as mail is, while nothing is fetched."""
    connection = story.connect_incoming(consented, "box")
    path = f"connections/{connection['id']}"
    events = ["message.received", "connection.changed"]
    destination = {name: connection["destination"][name] for name in ("type", "url")} | {"events": events}

    changed = story.stack.admin.patch(path, {"destination": destination, "name": "Orders"})

    def told() -> list[dict[str, object]]:
        found = story.stack.receiver.of_type("mailgrant.connection.changed")
        return [event["data"] for event in found if event["subject"] == connection["id"]]

    (data,) = wait_until("the event is there", told)
    assert [f"mailgrant.{name}" for name in events] == changed["destination"]["events"]
    assert (["destination", "name"], changed["version"]) == (data["fields"], data["version"])

"""A destination's life, end to end: gone, enabled again, tried, its secret rotated, its mail delivered once more."""

from typing import Any

import pytest

from localcloud.administrator import wait_until
from localcloud.receiver import Trouble
from localcloud.story import Organisation, Story

pytestmark = pytest.mark.enable_socket


def test_a_destination_that_was_gone_gets_all_of_its_mail(story: Story, consented: Organisation) -> None:
    """A 410 disables it and keeps the mail; enabled, tried and rotated it gets each mail, and again when asked for."""
    admin, receiver, path = story.stack.admin, story.stack.receiver, f"{consented.domain}-box"
    story.fill(consented.address("box"), 3)
    receiver.troubles[path] = [Trouble(410)] * 3
    # Enabled once the receiver knows its secret: what comes before is answered with 503 and is an attempt too.
    key = story.connect_incoming(consented, "box", enabled=False)["id"]
    admin.patch(f"connections/{key}", {"enabled": True})

    def shown() -> Any:
        return admin.get(f"connections/{key}")

    def statuses() -> list[str]:
        return [mail["status"] for mail in admin.get(f"connections/{key}/received")["data"]]

    wait_until("the destination is disabled", lambda: shown()["destination"]["status"] == "disabled")
    wait_until("its mail is kept", lambda: (shown()["status"], statuses()) == ("stopped", ["stored"] * 3))
    receiver.troubles.pop(path)

    admin.patch(f"connections/{key}", {"enabled": True})
    wait_until("all is delivered", lambda: statuses() == ["delivered"] * 3)

    rotated = admin.post(f"connections/{key}/signing-secret/rotate", {})
    with_old = admin.post(f"connections/{key}/destination/test", {})
    receiver.secrets[path] = rotated["signing_secret"]
    with_new = admin.post(f"connections/{key}/destination/test", {})
    assert [(True, 204)] * 2 == [(came["ok"], came["status"]) for came in (with_old, with_new)]

    started = admin.post(f"connections/{key}/redeliver", {"status": "delivered"})
    ids = [mail["id"] for mail in admin.get(f"connections/{key}/received")["data"]]
    wait_until("each was posted twice", lambda: [receiver.posts[identifier] for identifier in ids] == [2] * 3)
    wait_until("it has ended", lambda: shown()["redelivery"]["finished_at"])
    assert [1] * 3 == [len(receiver.bodies[identifier]) for identifier in ids]
    assert (started["id"], 3) == (shown()["redelivery"]["id"], shown()["redelivery"]["selected"])
    path = f"received/{ids[0]}/attempts"
    attempts = wait_until("its attempts are told", lambda: len(told := admin.get(path)["data"]) > 3 and told)
    assert [("deliver", 204), ("deliver", 204), ("deliver", 410), ("fetch", None)] == [
        (attempt["kind"], attempt["status"]) for attempt in attempts
    ]

"""A message that Exchange cannot read makes Graph refuse every page that would show it; the others come through."""

from typing import Any

import pytest

from localcloud.administrator import RefusedError, wait_until
from localcloud.story import Organisation, Story

pytestmark = pytest.mark.enable_socket


def test_a_poisoned_inbox_is_fetched_all_the_same(story: Story, consented: Organisation) -> None:
    """Four of six are delivered; one is named, and comes once it can be read and a person asks; one is a hole."""
    admin, box = story.stack.admin, consented.address("box")
    story.fill(box, 6)
    ill, worse = (story.inbox(box)[number]["immutable_id"] for number in (2, 4))
    story.stack.control.poison_message(box, ill)
    story.stack.control.poison_message(box, worse, "hard")
    path = f"connections/{story.connect_incoming(consented, 'box')['id']}"

    def received(status: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = admin.get(f"{path}/received", status=status)["data"]
        return found

    wait_until("the first page has failed", lambda: admin.get(path)["status"] == "backing_off")
    admin.post(f"{path}/fetch")
    wait_until("the others are delivered", lambda: len(received("delivered")) == 4)
    wait_until("the run is over", lambda: admin.get(path)["status"] == "active")
    (waiting,) = received("retrying")
    assert (1, "ErrorInternalServerError") == (admin.get(path)["holes"], waiting["fault"]["microsoft_code"])
    story.stack.control.poison_message(box, ill, "")
    admin.post(f"received/{waiting['id']}/retry")
    wait_until("it is delivered too", lambda: len(received("delivered")) == 5)
    assert 5 == len({item["id"] for item in received("delivered")} & set(story.stack.receiver.events))


def test_a_preview_counts_and_makes_nothing(story: Story, consented: Organisation) -> None:
    """How much mail a start would take is shown beforehand, with the same refusals as the creation itself."""
    admin = story.stack.admin
    story.fill(consented.address("box"), 3)
    asked = {
        "direction": "incoming",
        "grant_id": consented.grant["id"],
        "mailbox": consented.address("box"),
        "name": "preview",
        "start": "all",
        "destination": {"type": "queue", "name": "out-preview"},
    }

    def preview(**changes: Any) -> dict[str, Any]:
        found: dict[str, Any] = admin.post("connections?dry_run=true", asked | changes)
        return found

    assert {"would_take": 3, "exact": True, "since": None} == preview()
    assert 0 == preview(start="now")["would_take"]
    with pytest.raises(RefusedError, match="future"):
        preview(start={"since": "2099-01-01T00:00:00Z"})
    with pytest.raises(RefusedError) as refused:
        preview(folder="nowhere")
    assert "folder_not_found" == refused.value.problem["code"]
    mine = [item for item in admin.get("connections")["data"] if item["grant_id"] == consented.grant["id"]]
    assert [] == mine

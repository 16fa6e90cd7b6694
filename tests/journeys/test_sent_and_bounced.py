"""What became of a mail after it was accepted: sent with its Message-ID, or bounced with the reason, told each time."""

from typing import Any

import pytest

from localcloud.administrator import wait_until
from localcloud.story import Organisation, Story, letter

pytestmark = pytest.mark.enable_socket


def test_a_mail_is_told_sent_and_another_bounced(story: Story, consented: Organisation) -> None:
    """Each end is told by a signed event; the message itself names the Message-ID, the recipient and the reason."""
    story.stack.control.set_modes(**{f"message_id_rewritten:{consented.address('ann')}": True})
    path = f"{consented.domain}-status"
    webhook = {"url": story.stack.receiver.url(path)}
    connection, token = story.connect_outgoing(consented, "ann", status_webhook=webhook)
    story.stack.receiver.secrets[path] = connection["signing_secret"]
    good = letter(1, consented.address("bob"), consented.domain, save_to_sent_items=False)
    bad = letter(2, f"nobody@{consented.domain}", consented.domain)
    sent, bounced = (story.post_message(token, mail).json()["id"] for mail in (good, bad))

    def told(entry: str, status: str) -> list[dict[str, Any]]:
        events = story.stack.receiver.of_type("mailgrant.message.status")
        return [event["data"] for event in events if event["subject"] == entry and event["data"]["status"] == status]

    (first,) = wait_until("the one is told sent", lambda: told(sent, "sent"))
    (second,) = wait_until("the other is told bounced", lambda: told(bounced, "bounced"))
    wait_until("its copy is gone", lambda: story.stack.admin.get(f"outbox/{sent}")["sent_copy"] == "removed")
    shown, back = (story.stack.admin.get(f"outbox/{entry}") for entry in (sent, bounced))
    box = story.stack.control.mailbox(consented.address("ann"))["messages"]

    assert ("sent", first["internet_message_id"]) == (shown["status"], shown["internet_message_id"])
    assert ("bounced", "bounced", 1) == (back["status"], second["code"], second["bounced_recipients"])
    assert [(f"nobody@{consented.domain}", "5.1.10")] == [(one["address"], one["status"]) for one in back["bounces"]]
    assert [back["internet_message_id"]] == [one["internet_message_id"] for one in box if one["folder"] == "sentitems"]

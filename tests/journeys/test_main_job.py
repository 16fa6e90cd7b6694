"""The main job, end to end: consent, fetch, deliver, send, revoke."""

import hashlib

import pytest

from localcloud.administrator import wait_until
from localcloud.story import Organisation, Story, large_content, letter, small_file

pytestmark = pytest.mark.enable_socket


def test_mail_in_a_mailbox_reaches_the_receiver_signed_and_whole(story: Story, consented: Organisation) -> None:
    """Every mail is stored as the mailbox serves it, delivered once with a good signature, and marked read."""
    box = consented.address("box")
    story.fill(box, 12)
    story.connect_incoming(consented, "box")
    receiver = story.stack.receiver

    def mine() -> list[str]:
        found = receiver.of_type("mailgrant.message.received")
        return [event["id"] for event in found if event["data"]["mailbox"]["address"] == box]

    wait_until("12 events arrive", lambda: len(mine()) >= 12)
    wait_until("all is marked read", lambda: not story.unread(box))

    assert story.mailbox_bytes([box]) == story.fetched_bytes([box])
    assert 12 == len(mine())
    assert 0 == receiver.refused[f"{consented.domain}-box"]


def test_new_mail_is_fetched_on_request(story: Story, consented: Organisation) -> None:
    """A fetch asked for by hand takes what came since, and nothing twice."""
    box = consented.address("ann")
    connection = story.connect_incoming(consented, "ann")
    story.fill(box, 3)
    story.stack.admin.post(f"connections/{connection['id']}/fetch")

    def received() -> list[object]:
        return list(story.stack.admin.get(f"connections/{connection['id']}/received")["data"])

    wait_until("3 mails are received", lambda: len(received()) >= 3)
    story.stack.admin.post(f"connections/{connection['id']}/fetch")
    wait_until(
        "all are delivered",
        lambda: all(
            item["status"] == "delivered"
            for item in story.stack.admin.get(f"connections/{connection['id']}/received")["data"]
        ),
    )
    assert 3 == len(received())


def test_messages_arrive_once_with_their_attachments(story: Story, consented: Organisation) -> None:
    """Accepted messages stand in the inbox once each; small files and a 5 MB one arrive with equal hashes."""
    _, token = story.connect_outgoing(consented, "ann", send_rate=0)
    content = large_content()
    upload_id = story.upload(token, "large.bin", content)
    prefix = f"{consented.domain} letter"
    bob = consented.address("bob")
    answers = [
        story.post_message(token, letter(1, bob, prefix, attachments=[small_file(1)]), key="one"),
        story.post_message(token, letter(2, bob, prefix, attachments=[{"upload_id": upload_id}]), key="two"),
        story.post_message(token, letter(1, bob, prefix, attachments=[small_file(1)]), key="one"),
    ]

    assert [202, 202, 202] == [answer.status_code for answer in answers]
    assert answers[0].json()["id"] == answers[2].json()["id"]
    assert "true" == answers[2].headers["Idempotent-Replayed"]
    wait_until("both arrive", lambda: len(story.copies(prefix)) == 2)
    copies = story.stack.control.received(bob)
    hashes = {file["sha256"] for copy in copies for file in copy["attachments"]}
    assert {hashlib.sha256(content).hexdigest(), hashlib.sha256(b"receipt 1").hexdigest()} <= hashes
    assert {1} == set(story.copies(prefix).values())
    status = answers[0].json()["status_url"]
    assert status.startswith(story.stack.host.url)


def test_a_revoked_tenant_waits_with_a_sentence(story: Story, consented: Organisation) -> None:
    """After a revocation, verify says so, and the connection waits and tells what to do."""
    connection = story.connect_incoming(consented, "box")
    story.stack.control.revoke(consented.tenant, consented.client_id)

    grant = story.stack.admin.post(f"grants/{consented.grant['id']}/verify")

    found = story.stack.admin.get(f"connections/{connection['id']}")
    assert "revoked" == grant["status"]
    assert "waiting" == found["status"]
    assert found["fault"]["detail"].endswith(".")
    assert found["fault"]["microsoft_code"]

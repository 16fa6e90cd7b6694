"""A mail that is larger than one answer, over real sockets."""

import hashlib
from typing import Any

import httpx
import pytest

from bench.large import large_mail
from localcloud.administrator import wait_until
from localcloud.downloads import PIECE, pieces
from localcloud.story import Organisation, Story

pytestmark = pytest.mark.enable_socket


def test_a_large_mail_and_its_attachment_come_in_pieces(story: Story, consented: Organisation) -> None:
    """The event names sizes and hashes; a loop over ranges gets exactly those bytes, and nothing comes twice."""
    content, mime = large_mail(9)
    story.stack.control.deliver_mime(consented.address("bob"), mime)
    connection = story.connect_incoming(consented, "bob")

    def mine() -> list[dict[str, Any]]:
        events = story.stack.receiver.of_type("mailgrant.message.received")
        return [event["data"] for event in events if event["data"]["connection_id"] == connection["id"]]

    wait_until("the mail is announced", mine)
    (data,) = mine()
    raw, file = data["raw"], data["attachments"][0]
    with httpx.Client(trust_env=False, timeout=30) as client:
        whole = client.get(raw["link"])
        again = client.get(raw["link"], headers={"If-None-Match": f'"{raw["sha256"]}"'})
        original, attached = (list(pieces(client, item["link"])) for item in (raw, file))

    assert (413, "range_required") == (whole.status_code, whole.json()["code"])
    assert (304, b"", "nosniff") == (again.status_code, again.content, again.headers["X-Content-Type-Options"])
    assert ([PIECE, len(mime) - PIECE], mime) == ([len(piece) for piece in original], b"".join(original))
    assert (hashlib.sha256(content).hexdigest(), content) == (file["sha256"], b"".join(attached))

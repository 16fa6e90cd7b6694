"""The audit log of a running product: who did what, as an administrator reads it."""

import hashlib
from typing import Any

import httpx
import pytest

from localcloud.administrator import RefusedError, wait_until
from localcloud.story import Organisation, Story

pytestmark = pytest.mark.enable_socket


def lines(story: Story, **query: str | int) -> list[dict[str, Any]]:
    """Return the newest lines."""
    return list(story.stack.admin.get("audit", **({"limit": 200} | query))["data"])


def of(story: Story, target: str) -> list[tuple[str, str]]:
    """Return action and outcome of what was done by the administrator's key to the thing with the id *target*."""
    key = f"key:{hashlib.sha256(story.stack.host.host_key.encode()).hexdigest()[:8]}"
    mine = [line for line in lines(story) if target in line["targets"].values() and line["actor"] == key]
    return [(line["action"], line["outcome"]) for line in reversed(mine)]


def test_an_administrators_writes_are_told_with_the_hash_of_the_key(story: Story, consented: Organisation) -> None:
    """From the credential to the connection's end; the key itself stands nowhere."""
    admin = story.stack.admin
    credential, grant = consented.credential["id"], consented.grant["id"]
    connection, _ = story.connect_outgoing(consented, "box")
    for path in (f"connections/{connection['id']}/test", f"grants/{grant}/verify", "tick"):
        admin.post(path)
    admin.patch(f"connections/{connection['id']}", {"name": "Renamed"})
    admin.delete(f"connections/{connection['id']}?discard=true")
    admin.delete(f"grants/{grant}")
    admin.delete(f"credentials/{credential}")

    done = [pair[0] for pair in of(story, credential)]
    assert ["credential.create", "consent_link.create", "credential.delete"] == done
    assert {"grant.verify", "grant.delete"} <= {pair[0] for pair in of(story, grant)}
    assert ["connection.create", "token.create", "connection.test", "connection.change", "connection.delete"] == [
        pair[0] for pair in of(story, connection["id"])
    ]
    assert "tick.run" in {line["action"] for line in lines(story)}
    assert story.stack.host.host_key not in repr(lines(story))


def test_opening_a_mail_is_told(story: Story, consented: Organisation) -> None:
    """Which mail, by which key; looking at lists is not told."""
    admin = story.stack.admin
    story.fill(consented.address("box"), 1)
    connection = story.connect_incoming(consented, "box", destination={"type": "webhook", "url": hook(story)})
    path = f"connections/{connection['id']}/received"
    mail = wait_until("the mail is there", lambda: admin.get(path)["data"])[0]["id"]
    assert 200 == admin.raw(f"received/{mail}/raw").status_code

    assert [("received.open", "raw")] == of(story, mail)


def hook(story: Story) -> str:
    """Return the address of the receiver."""
    return str(story.stack.receiver.url("audited"))


def test_a_refused_callback_is_told_without_a_key(story: Story, organisation: Organisation) -> None:
    """An answer from another browser is refused, and stands in the log as a browser's."""
    browser = story.stack.browser()
    microsoft = browser.submit(browser.open(story.consent_link(organisation)), "Continue to Microsoft")
    browser._client.follow_redirects = False
    back = browser.submit(microsoft, "Accept").headers["location"]
    browser.close()
    assert 403 == httpx.get(back, trust_env=False, timeout=30).status_code

    told = [line for line in lines(story) if line["targets"].get("credential_id") == organisation.credential["id"]]
    assert ("browser", "consent.callback", "foreign_browser") == tuple(
        told[0][name] for name in ("actor", "action", "outcome")
    )


def test_the_log_is_read_page_by_page(story: Story, organisation: Organisation) -> None:
    """Newest first, nothing twice, nothing left out, between two moments; a time that is none is refused."""
    admin = story.stack.admin
    for _ in range(5):
        story.consent_link(organisation)
    newest = lines(story)
    since, until = newest[4]["at"], newest[0]["at"]
    pages, cursor = [], ""
    while True:
        page = admin.get("audit", since=since, until=until, limit=2, cursor=cursor)
        pages += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert [line["id"] for line in newest if since <= line["at"] < until] == [line["id"] for line in pages]
    assert len(pages) > 2
    assert sorted((line["at"] for line in pages), reverse=True) == [line["at"] for line in pages]
    assert all(since <= line["at"] < until for line in lines(story, since=since, until=until))
    with pytest.raises(RefusedError) as refused:
        admin.get("audit", since="yesterday")
    assert (422, "?since") == (refused.value.status, refused.value.problem["errors"][0]["pointer"])

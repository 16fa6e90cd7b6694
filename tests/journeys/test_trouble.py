"""Trouble, recorded in words on the thing that has the fault; bad input, named fault by fault."""

from typing import Any

import httpx
import pytest

from localcloud.administrator import RefusedError, wait_until
from localcloud.story import Organisation, Story, letter

pytestmark = pytest.mark.enable_socket


def _refused(story: Story, path: str, body: Any) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        story.stack.admin.post(path, body)
    return caught.value


def test_every_fault_of_a_request_is_named(story: Story) -> None:
    """Wrong types, unknown fields and missing ones come back together, each with its pointer."""
    error = _refused(story, "credentials", {"name": 5, "client_id": "no guid", "surprise": True})

    pointers = {fault["pointer"] for fault in error.problem["errors"]}
    assert 422 == error.status
    assert {"/name", "/surprise", "/grant_type"} <= pointers


def test_what_is_no_json_is_said_to_be_none(story: Story) -> None:
    """A body that is no JSON is 400 invalid_json."""
    host = story.stack.host
    answer = httpx.post(
        f"{host.url}/api/credentials",
        content=b"{",
        headers={"x-functions-key": host.host_key, "X-Mailgrant-Request": "1", "Content-Type": "application/json"},
        trust_env=False,
        timeout=30,
    )

    assert 400 == answer.status_code
    assert "application/problem+json" == answer.headers["content-type"].split(";")[0]
    assert "invalid_json" == answer.json()["code"]


def test_a_pasted_secret_id_is_recognised(story: Story) -> None:
    """The Secret ID in place of the Value is refused with the sentence that says which column to copy."""
    organisation = story.found("secret-id.example", "Secretid")
    with pytest.raises(RefusedError) as caught:
        story.register(organisation, client_secret="11111111-2222-4333-8444-555555555555")

    assert "secret_id_instead_of_value" in str(caught.value)


def test_unknown_ids_are_not_found(story: Story) -> None:
    """An id that never was is 404 with problem details, whatever its form."""
    for path in ("connections/conn_x", "credentials/cred_01ARZ3NDEKTSV4RRFFQ69G5FAV", "received/rcv_x", "outbox/msg_x"):
        answer = story.stack.admin.raw(path)
        assert (404, "not_found") == (answer.status_code, answer.json()["code"])


def test_bad_addresses_are_named_and_nothing_is_sent(story: Story, consented: Organisation) -> None:
    """Each bad recipient is named by its place."""
    _, token = story.connect_outgoing(consented, "ann")
    answer = story.post_message(
        token, {"to": ["no address", "ok@example.com\r\nBcc: x@y.example"], "subject": "x", "text": "x"}
    )

    assert 422 == answer.status_code
    assert {"/to/0", "/to/1"} <= {fault["pointer"][:5] for fault in answer.json()["errors"]}


def test_a_foreign_or_broken_token_is_refused(story: Story, consented: Organisation) -> None:
    """What is no token, or one with a wrong checksum, is 401; nothing is said of what exists."""
    _, token = story.connect_outgoing(consented, "ann")
    message = letter(1, consented.address("bob"))

    statuses = [story.post_message(bad, message).status_code for bad in ("x", token[:-1] + "x", "nonsense")]

    assert [401, 401, 401] == statuses


def test_an_oversize_body_names_uploads(story: Story, consented: Organisation) -> None:
    """A body over 8 MB is 413 and says where large files go."""
    _, token = story.connect_outgoing(consented, "ann")
    answer = story.post_message(token, letter(1, consented.address("bob"), text="x" * (8 * 1024 * 1024 + 1)))

    assert 413 == answer.status_code
    assert "uploads" in answer.json()["detail"]


def test_a_wrong_secret_is_told_by_the_credential(story: Story) -> None:
    """A secret that Entra refuses shows on the credential in words with Microsoft's code."""
    organisation = story.found("wrong-secret.example", "Wrongsecret")
    story.register(organisation, client_secret="not-the-secret-at-all-8Q~")
    story.accept(organisation)

    def fault() -> Any:
        return story.stack.admin.get(f"credentials/{organisation.credential['id']}").get("fault")

    found = wait_until("the credential shows its fault", fault)
    assert ("secret_wrong", "AADSTS7000215") == (found["code"], found["microsoft_code"])


def test_an_expired_secret_is_told_by_the_credential(story: Story, consented: Organisation) -> None:
    """An expired secret shows on the credential, and its connections wait."""
    connection = story.connect_incoming(consented, "box")
    app = next(a for a in story.stack.control.registrations() if a["client_id"] == consented.client_id)
    for secret_id in app["secrets"]:
        story.stack.control.expire_secret(consented.client_id, secret_id)
    with_fault = story.stack.admin.post(f"grants/{consented.grant['id']}/verify")

    credential = story.stack.admin.get(f"credentials/{consented.credential['id']}")
    assert with_fault["id"] == consented.grant["id"]
    assert "secret_expired" == credential["fault"]["code"]
    assert "waiting" == story.stack.admin.get(f"connections/{connection['id']}")["status"]


def test_a_mailbox_that_is_not_there_is_refused_in_words(story: Story, consented: Organisation) -> None:
    """A connection to an unknown mailbox is refused with what to do; one whose licence went backs off and says why."""
    with pytest.raises(RefusedError) as caught:
        story.connect_incoming(consented, "nobody")
    connection = story.connect_incoming(consented, "box")
    story.stack.control.change_user(consented.domain, consented.address("box"), mailbox_state="none")
    story.stack.admin.post(f"connections/{connection['id']}/fetch")

    def fault() -> Any:
        return story.stack.admin.get(f"connections/{connection['id']}").get("fault")

    assert "mailbox_not_found" == caught.value.problem["code"]
    assert "mailbox_not_enabled" == wait_until("the connection shows its fault", fault)["code"]


@pytest.mark.parametrize("status", [429, 503])
def test_graph_asking_to_wait_loses_nothing(story: Story, consented: Organisation, status: int) -> None:
    """A refused delta call is tried again when Graph allows; the mail arrives."""
    box = consented.address("box")
    effect = {"kind": "status", "status": status, "headers": {"Retry-After": "1.5"}, "when": "before"}
    story.stack.control.add_fault("graph", "messages.delta", effect, key=box, times=2)
    story.fill(box, 2)
    connection = story.connect_incoming(consented, "box")

    def received() -> int:
        return len(story.stack.admin.get(f"connections/{connection['id']}/received")["data"])

    wait_until("2 mails are received", lambda: received() == 2)


def test_a_lost_answer_to_send_is_looked_up_and_not_repeated(story: Story, consented: Organisation) -> None:
    """Graph sends and answers 504: one copy arrives, and the entry says accepted."""
    ann, bob = consented.address("ann"), consented.address("bob")
    _, token = story.connect_outgoing(consented, "ann", send_rate=0)
    story.stack.control.set_modes(**{f"second_send_delivers_again:{ann}": True})
    effect = {"kind": "status", "status": 504, "when": "after"}
    story.stack.control.add_fault("graph", "messages.send", effect, key=ann)
    prefix = f"{consented.domain} once"
    entry = story.post_message(token, letter(1, bob, prefix)).json()["id"]

    def status() -> str:
        return str(story.stack.admin.get(f"outbox/{entry}")["status"])

    wait_until("the entry is accepted", lambda: status() in ("accepted", "sent"))
    assert {1} == set(story.copies(prefix).values())


def test_a_mail_that_cannot_be_parsed_is_delivered_and_marked(story: Story, consented: Organisation) -> None:
    """Bytes that are hardly a mail are stored and delivered with what could be read, and marked so."""
    box = consented.address("box")
    broken = (
        b"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=x\r\nMessage-ID: \r\n\r\n"
        b"--x\r\nContent-Type: text/plain; charset=nope\r\n\r\n\xff\xfe\r\n"
    )
    story.stack.control.deliver_mime(box, broken)
    connection = story.connect_incoming(consented, "box")

    def delivered() -> Any:
        found = story.stack.admin.get(f"connections/{connection['id']}/received")["data"]
        return found if found and found[0]["status"] == "delivered" else None

    item = wait_until("it is delivered", delivered)[0]
    event = story.stack.receiver.events[item["id"]]
    assert event["data"]["message"]["parsed"] in ("partial", "unparsable")
    assert broken == story.stack.admin.raw(f"received/{item['id']}/raw").content

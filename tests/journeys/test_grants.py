"""Grants over their life: rights that come late or in part, are limited to mailboxes, are taken back, and return."""

from collections.abc import Iterator
from typing import Any

import pytest

from localcloud.administrator import RefusedError, wait_until
from localcloud.stack import Stack
from localcloud.story import Organisation, Story, letter

pytestmark = pytest.mark.enable_socket

QUICK = {"CONSENT_RECHECK_SECONDS": "0.05", "VERIFY_SECONDS": "2"}


@pytest.fixture(scope="module")
def quick_stack() -> Iterator[Stack]:
    """Return a product that verifies its grants every two seconds, and gives up waiting for more roles after three."""
    with Stack(QUICK) as stack:
        yield stack


@pytest.fixture
def story(quick_stack: Stack) -> Iterator[Story]:
    """Return the story on that product, with the cloud behaving as usual."""
    quick_stack.receiver.status = 204
    yield Story(quick_stack)
    quick_stack.control.clear_faults()
    quick_stack.control.set_modes(propagation_hides_principal=None)


def _mode(story: Story, name: str, value: Any) -> None:
    story.stack.control.set_modes(**{name: value})


def _connection_status(story: Story, connection: dict[str, Any]) -> str:
    return str(story.stack.admin.get(f"connections/{connection['id']}")["status"])


def _received(story: Story, connection: dict[str, Any]) -> int:
    return len(story.stack.admin.get(f"connections/{connection['id']}/received")["data"])


def _await_received(story: Story, connection: dict[str, Any], count: int) -> None:
    wait_until(f"{count} mails are received", lambda: _received(story, connection) == count)


def _allow(story: Story, organisation: Organisation, *people: str) -> None:
    """Let Exchange open the mailboxes of *people* to the app, without any role in its token."""
    _mode(story, f"rbac_mailboxes:{organisation.client_id}", [organisation.address(person) for person in people])


def test_a_partial_grant_names_what_is_missing_until_it_comes(story: Story, organisation: Organisation) -> None:
    """Fewer roles than needed make the grant partial, by name; once the rest is granted it is active by itself."""
    control = story.stack.control
    control.change_registration(organisation.client_id, required_roles=["Mail.ReadWrite", "User.Read.All"])
    story.accept(organisation)
    partial = story.await_status(organisation, "partial")

    control.consent(organisation.tenant, organisation.client_id, ["Mail.ReadWrite", "Mail.Send", "User.Read.All"])
    active = story.await_status(organisation, "active")

    assert (["Mail.Send"], True) == (partial["roles"]["missing"], partial["usable"])
    assert "Mail.Send" in partial["detail"]
    assert [] == active["roles"]["missing"]


@pytest.mark.parametrize("hidden", [False, True])
def test_rights_that_spread_slowly_are_awaited(story: Story, organisation: Organisation, hidden: bool) -> None:
    """Whether roles are absent at first or the whole app is: the grant propagates, and becomes active by itself."""
    _mode(story, "propagation_hides_principal", hidden or None)
    slowly = f"propagation_seconds:{organisation.tenant}"
    _mode(story, slowly, 600)
    story.accept(organisation)

    early = story.await_status(organisation, "propagating")
    _mode(story, slowly, 0)
    story.stack.control.consent(organisation.tenant, organisation.client_id)
    late = story.await_status(organisation, "active")

    assert (False, None) == (early["usable"], early["fault"])
    assert [] == late["roles"]["missing"]


def test_a_revocation_is_noticed_by_the_next_verification(story: Story, consented: Organisation) -> None:
    """Nobody asks, and yet the grant is revoked and its connections wait."""
    connection = story.connect_incoming(consented, "box")
    story.stack.control.revoke(consented.tenant, consented.client_id)

    revoked = story.await_status(consented, "revoked")

    assert (False, "app_not_consented") == (revoked["usable"], revoked["fault"]["code"])
    assert "waiting" == _connection_status(story, connection)


def test_a_tenant_limited_to_mailboxes_works_without_their_roles(story: Story, organisation: Organisation) -> None:
    """With Exchange's own access control the token lacks the mail roles: a mailbox that is named decides."""
    control = story.stack.control
    control.change_registration(organisation.client_id, required_roles=["User.Read.All"])
    _allow(story, organisation, "box")
    story.accept(organisation)
    wait_until("the grant is there", lambda: story.grant_of(organisation))
    path = f"grants/{organisation.grant['id']}/verify"

    denied = story.stack.admin.post(path, {"mailbox": organisation.address("ann")})
    reached = story.stack.admin.post(path, {"mailbox": organisation.address("box")})
    story.fill(organisation.address("box"), 2)
    connection = story.connect_incoming(organisation, "box")
    _await_received(story, connection, 2)

    assert denied["status"] in ("propagating", "partial")
    assert ("active", True, ["Mail.ReadWrite", "Mail.Send"]) == (
        reached["status"],
        reached["scoped"],
        reached["roles"]["missing"],
    )


def test_a_limited_tenant_that_closes_its_mailbox_is_noticed(story: Story, organisation: Organisation) -> None:
    """The mailbox named once is read at every verification: no roles and no mailbox any more is a revocation."""
    story.stack.control.change_registration(organisation.client_id, required_roles=[])
    _allow(story, organisation, "box")
    story.accept(organisation)
    wait_until("the grant is there", lambda: story.grant_of(organisation))
    path = f"credentials/{organisation.credential['id']}/verify"
    body = {"tenant": organisation.tenant, "mailbox": organisation.address("box")}
    assert "active" == story.stack.admin.post(path, body)["status"]

    _allow(story, organisation)

    assert "revoked" == story.await_status(organisation, "revoked")["status"]


def test_consent_given_in_the_portal_is_found_by_verify(story: Story) -> None:
    """With client_credentials there is no link to send: verify says what was granted, before and after."""
    organisation = story.found("wingtip.example", "Wingtip")
    credential = story.register(organisation, grant_type="client_credentials")
    with pytest.raises(RefusedError) as refused:
        story.consent_link(organisation)
    path = f"credentials/{credential['id']}/verify"

    before = story.stack.admin.post(path, {"tenant": organisation.domain})
    story.stack.control.consent(organisation.tenant, organisation.client_id)
    after = story.stack.admin.post(path, {"tenant": organisation.domain})

    assert (409, "nothing_to_authorize") == (refused.value.status, refused.value.problem["code"])
    assert (None, "denied", "active") == (credential["auth_endpoint_url"], before["status"], after["status"])
    assert before["id"] == after["id"]


def test_connections_wait_for_a_grant_and_go_on_by_themselves(story: Story, consented: Organisation) -> None:
    """While the tenant has taken its consent back, mail waits on both sides; when it returns, all of it moves."""
    incoming = story.connect_incoming(consented, "box")
    outgoing, token = story.connect_outgoing(consented, "ann", send_rate=0)
    control = story.stack.control
    control.revoke(consented.tenant, consented.client_id)
    story.stack.admin.post(f"grants/{consented.grant['id']}/verify")
    story.fill(consented.address("box"), 2)
    accepted = story.post_message(token, letter(1, consented.address("bob"), f"{consented.domain} held"))
    entry = accepted.json()["id"]

    waiting = [_connection_status(story, connection) for connection in (incoming, outgoing)]
    held = str(story.stack.admin.get(f"outbox/{entry}")["status"])
    control.consent(consented.tenant, consented.client_id)
    _await_received(story, incoming, 2)
    wait_until("the held mail has arrived", lambda: story.copies(f"{consented.domain} held"))

    assert (202, ["waiting", "waiting"], "queued") == (accepted.status_code, waiting, held)
    assert {1} == set(story.copies(f"{consented.domain} held").values())
    assert "active" == _connection_status(story, incoming)


def test_a_broken_secret_stops_every_call_and_its_rotation_resumes_all(story: Story, consented: Organisation) -> None:
    """An expired secret makes connections wait without a call to Graph; the new secret moves what waited at once."""
    control, admin = story.stack.control, story.stack.admin
    incoming = story.connect_incoming(consented, "box")
    # A run that is under way has its token, and would take what comes.
    wait_until("its first run is over", lambda: admin.get(f"connections/{incoming['id']}")["last_run_at"])
    _, token = story.connect_outgoing(consented, "ann", send_rate=0)
    app = next(a for a in control.registrations() if a["client_id"] == consented.client_id)
    for secret_id in app["secrets"]:
        control.expire_secret(consented.client_id, secret_id)
    admin.post(f"grants/{consented.grant['id']}/verify")
    story.fill(consented.address("box"), 1)
    story.post_message(token, letter(1, consented.address("bob"), f"{consented.domain} sunday"))
    waiting, had = _connection_status(story, incoming), _received(story, incoming)

    fresh = control.add_secret(consented.client_id)["value"]
    rotated = admin.post(f"credentials/{consented.credential['id']}/secret", {"client_secret": fresh})
    _await_received(story, incoming, 1)
    wait_until("the held mail has arrived", lambda: story.copies(f"{consented.domain} sunday"))

    assert ("waiting", 0, True) == (waiting, had, rotated["proven"])
    assert {1} == set(story.copies(f"{consented.domain} sunday").values())


def test_a_refusal_of_graph_has_the_grant_checked_while_the_token_lives(story: Story, consented: Organisation) -> None:
    """The product still holds a good token; Graph's 403 alone makes the grant looked at, and the revocation noticed."""
    connection = story.connect_incoming(consented, "box")
    story.stack.control.set_principal(consented.tenant, consented.client_id, roles=[])
    story.stack.admin.post(f"connections/{connection['id']}/fetch")

    revoked = story.await_status(consented, "revoked")

    assert ["Mail.ReadWrite", "Mail.Send", "User.Read.All"] == revoked["roles"]["missing"]
    assert "waiting" == _connection_status(story, connection)


def test_a_revoked_tenant_is_erased_and_the_report_counts_it(story: Story, consented: Organisation) -> None:
    """After revocation a purge removes mail, connections and grant, and leaves only its figures."""
    admin = story.stack.admin
    story.fill(consented.address("box"), 3)
    incoming = story.connect_incoming(consented, "box")
    outgoing, token = story.connect_outgoing(consented, "ann", send_rate=0)
    entry = story.post_message(token, letter(1, consented.address("bob"), f"{consented.domain} sent")).json()["id"]
    _await_received(story, incoming, 3)
    wait_until("it has arrived", lambda: story.copies(f"{consented.domain} sent"))
    mail = admin.get(f"connections/{incoming['id']}/received")["data"][0]["id"]
    path = f"grants/{consented.grant['id']}"
    with pytest.raises(RefusedError) as early:
        admin.delete(f"{path}?purge=true")
    story.stack.control.revoke(consented.tenant, consented.client_id)
    admin.post(f"{path}/verify")
    with pytest.raises(RefusedError) as kept:
        admin.delete(path)

    begun = admin.delete(f"{path}?purge=true")
    report = wait_until("the purge has ended", lambda: _finished(admin.get(f"{path}/purge")))

    gone = [
        path,
        f"connections/{incoming['id']}",
        f"connections/{outgoing['id']}",
        f"received/{mail}",
        f"outbox/{entry}",
    ]
    assert (409, "grant_in_use") == (early.value.status, kept.value.problem["code"])
    assert consented.grant["id"] == begun["grant_id"]
    assert (2, 3, 1) == tuple(report["erased"][name] for name in ("connections", "mails", "entries"))
    assert report["erased"]["blobs"] >= 3
    assert [404] * 5 == [admin.raw(path).status_code for path in gone]


def _finished(report: dict[str, Any]) -> dict[str, Any] | None:
    return report if report["status"] == "done" else None

"""The test of a connection: each right apart, nobody's mail touched, and what must stay shut proven shut."""

import pytest

from shared.codes import Code
from shared.connection_admin.checks import Check
from shared.connection_admin.rules import AskedAction
from shared.connections import Action, Connection, Direction
from shared.errors import InvalidRequest, ItemFault, MailboxFault
from shared.grants import Grant
from tests.fakes.entra import ALL_ROLES
from tests.scenes.administration import ANN, BOX, CONTOSO, Administration


@pytest.fixture
def admin() -> Administration:
    """Return a product to which Contoso has consented."""
    return Administration()


@pytest.fixture
def grant(admin: Administration) -> Grant:
    """Return Contoso's grant."""
    return admin.consented()


def run(admin: Administration, connection: Connection, unreachable: str = "") -> dict[str, Check]:
    """Return the checks by name."""
    return {check.name: check for check in admin.connection_checks.run(connection.id, unreachable)}


def moving(admin: Administration, grant: Grant) -> Connection:
    """Return a connection that moves what it has fetched."""
    return admin.connection(grant, after_fetch=AskedAction(Action.MOVE, "Done"))


def sending(admin: Administration, grant: Grant) -> Connection:
    """Return a connection that sends."""
    return admin.connection(grant, direction=Direction.OUTGOING, destination=None)


def test_what_marks_mail_proves_it_on_a_draft_of_its_own(admin: Administration, grant: Grant) -> None:
    """The draft is gone afterwards, also where marking it was refused."""
    connection = moving(admin, grant)
    allowed = run(admin, connection)
    admin.drafts.refusal = MailboxFault("Exchange denied.", Code.MAILBOX_ACCESS_DENIED)
    refused = run(admin, connection)

    assert ["token", "mailbox", "read", "mark"] == list(allowed)
    assert all(check.ok for check in allowed.values())
    assert (False, "mailbox_access_denied") == (refused["mark"].ok, refused["mark"].code)
    assert [] == admin.drafts.standing


def test_what_only_reads_writes_nothing(admin: Administration, grant: Grant) -> None:
    """No right that is not used is asked for."""
    assert ["token", "mailbox", "read"] == list(run(admin, admin.connection(grant)))


def test_the_right_to_send_is_looked_for_in_a_fresh_token(admin: Administration, grant: Grant) -> None:
    """Nothing is sent for it; a token that was fetched before the right was taken away does not count."""
    connection = sending(admin, grant)
    admin.entra.grants[CONTOSO] = tuple(role for role in ALL_ROLES if role != "Mail.Send")

    check = run(admin, connection)["send_as"]

    assert (False, "roles_missing") == (check.ok, check.code)


def test_where_exchange_alone_decides_nobody_can_tell_about_sending(admin: Administration) -> None:
    """An app that Exchange limits to chosen mailboxes has no mail roles in its token."""
    grant = admin.consented(roles=["User.Read.All"])
    scoped = admin.checks.verify(grant.id, BOX.address)
    check = run(admin, sending(admin, scoped))["send_as"]

    assert (True, None) == (scoped.scoped, check.ok)
    assert "without sending" in check.detail


def test_a_mailbox_that_is_shut_is_the_proof(admin: Administration, grant: Grant) -> None:
    """Exchange refuses to show its inbox."""
    admin.directory.shut.add(ANN.address)
    check = run(admin, admin.connection(grant), ANN.address)["unreachable"]

    assert (True, "") == (check.ok, check.code)


def test_a_mailbox_that_opens_is_the_opposite(admin: Administration, grant: Grant) -> None:
    """The sentence says how the app is limited."""
    check = run(admin, admin.connection(grant), ANN.address)["unreachable"]

    assert (False, "mailbox_reachable") == (check.ok, check.code)
    assert "RBAC for Applications" in check.detail


def test_a_mailbox_that_is_not_there_proves_nothing(admin: Administration, grant: Grant) -> None:
    """Whatever does not exist cannot be read either."""
    check = run(admin, admin.connection(grant), "nobody@contoso.example")["unreachable"]

    assert (False, "mailbox_not_found") == (check.ok, check.code)
    assert "proves nothing" in check.detail


def test_another_refusal_is_no_proof(admin: Administration, grant: Grant) -> None:
    """Only a denial is one."""
    connection = admin.connection(grant)
    for _ in ("mailbox", "unreachable"):
        admin.directory.failures.plan("person", ItemFault("no", Code.GRAPH_REFUSED))
    check = run(admin, connection, ANN.address)["unreachable"]

    assert (False, "graph_refused") == (check.ok, check.code)


def test_its_own_mailbox_must_be_reachable(admin: Administration, grant: Grant) -> None:
    """Naming it as the one that must not be is a mistake that the field is told of."""
    connection = admin.connection(grant)
    for name in (BOX.address.upper(), BOX.id):
        with pytest.raises(InvalidRequest) as caught:
            admin.connection_checks.run(connection.id, name)
        assert ["/unreachable_mailbox"] == [fault.pointer for fault in caught.value.faults]

"""Mailboxes that prove what a token does not, connections woken once their grant works, one probe per credential."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from shared.codes import Code
from shared.connections import Direction, Run, run_key
from shared.errors import Fault, GrantFault, InvalidRequest, MailboxFault, Throttled
from shared.grants import Grant, GrantStatus
from shared.mailbox_probe import MailboxProbe
from shared.ports import ANY, Folder, GraphMailbox, Update
from shared.registry import Registry
from shared.rows import decode, encode
from shared.schedule import FETCH, QUEUES, SEND
from shared.times import to_text
from tests.fakes.entra import ALL_ROLES
from tests.fakes.graph_directory import MemoryDirectory
from tests.scenes.administration import ANN, BOX, CONTOSO, FABRIKAM, SECRET, Administration

DENIED = MailboxFault("Denied.", Code.MAILBOX_ACCESS_DENIED)
NO_ROLES = GrantFault("No permissions.", Code.ROLES_MISSING)
UNKNOWN = MailboxFault("No such mailbox.", Code.MAILBOX_NOT_FOUND)


@dataclass
class Guarded(MemoryDirectory):
    """A directory whose mailboxes answer as *answers* says, the others as usual; *asked* lists who was read."""

    answers: dict[str, Fault] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def folder(self, mailbox: GraphMailbox, name_or_id: str) -> Folder:
        """Return the folder, or refuse."""
        self.asked.append(mailbox.user)
        if mailbox.user in self.answers:
            raise self.answers[mailbox.user]
        return super().folder(mailbox, name_or_id)


class Limited(Administration):
    """Contoso, which lets Exchange decide about mailboxes; its token bears User.Read.All alone."""

    def __init__(self, *roles: str) -> None:
        super().__init__()
        self.guarded = Guarded([BOX, ANN])
        object.__setattr__(self.checks, "probe", MailboxProbe(self.tables, self.guarded))
        self.grant = self.consented(roles=roles)
        self.guarded.asked.clear()


@pytest.mark.parametrize("roles", [(), ("User.Read.All",), ("Mail.Send",)])
def test_a_mailbox_that_is_named_and_reached_makes_the_grant_active(roles: tuple[str, ...]) -> None:
    """Neither an empty nor a partial claim is proof of no access; what is missing stays named."""
    admin = Limited(*roles)

    grant = admin.checks.verify(admin.grant.id, ANN.address)

    assert (GrantStatus.ACTIVE, True, ANN.address) == (grant.status, grant.scoped, grant.probe_mailbox)
    assert set(ALL_ROLES) - set(roles) == set(grant.missing)


def test_the_named_mailbox_is_read_again_at_every_verification() -> None:
    """It needs naming once; closed for the app, with no other mailbox known, the grant is revoked."""
    admin = Limited()
    admin.checks.verify(admin.grant.id, ANN.address)
    admin.pass_time(21601)
    assert GrantStatus.ACTIVE is admin.grants.get(admin.grant.id).status

    admin.guarded.answers[ANN.address] = NO_ROLES
    admin.pass_time(21601)

    assert [ANN.address] * 3 == admin.guarded.asked
    assert GrantStatus.REVOKED is admin.grants.get(admin.grant.id).status


@pytest.mark.parametrize("trouble", [Throttled("Slow down."), UNKNOWN])
def test_silence_of_a_mailbox_revokes_nothing(trouble: Fault) -> None:
    """Throttled, or with its mailbox deleted, a limited grant keeps what it had and is looked at again soon."""
    admin = Limited()
    admin.checks.verify(admin.grant.id, ANN.address)
    admin.guarded.answers[ANN.address] = trouble

    grant = admin.checks.verify(admin.grant.id)

    assert (GrantStatus.ACTIVE, trouble.code.value) == (grant.status, grant.fault and grant.fault.code)


def test_the_mailboxes_of_connections_are_probed_where_none_is_named() -> None:
    """A grant that loses its roles to Exchange's own control goes on, since its connection's mailbox is reached."""
    admin = Limited(*ALL_ROLES)
    admin.connection(admin.grant)
    admin.entra.grants[CONTOSO] = ("User.Read.All",)

    grant = admin.checks.verify(admin.grant.id)

    assert (GrantStatus.ACTIVE, True, [BOX.id]) == (grant.status, grant.scoped, admin.guarded.asked)


@pytest.mark.parametrize(("roles", "status"), [((), GrantStatus.REVOKED), (("User.Read.All",), GrantStatus.PARTIAL)])
def test_where_every_mailbox_is_denied_the_roles_decide(roles: tuple[str, ...], status: GrantStatus) -> None:
    """A probe that is refused leaves the judgement to the token."""
    admin = Limited(*ALL_ROLES)
    admin.connection(admin.grant)
    admin.entra.grants[CONTOSO] = roles
    admin.guarded.answers[BOX.id] = DENIED

    assert status is admin.checks.verify(admin.grant.id).status


def test_roles_that_read_mail_need_no_probe() -> None:
    """No mailbox is touched where the token says it all, or where reading proves nothing of what is missing."""
    admin = Limited(*ALL_ROLES)
    admin.checks.verify(admin.grant.id, ANN.address)
    admin.entra.grants[CONTOSO] = ("Mail.ReadWrite",)

    partial = admin.checks.verify(admin.grant.id, ANN.address)

    assert ([], GrantStatus.PARTIAL) == (admin.guarded.asked, partial.status)


def test_a_mailbox_that_is_not_there_is_a_fault_of_the_request() -> None:
    """Whoever names it is told so; the grant stays as it was."""
    admin = Limited()
    admin.guarded.answers["nobody@contoso.example"] = UNKNOWN
    with pytest.raises(InvalidRequest) as refused:
        admin.checks.verify(admin.grant.id, "nobody@contoso.example")

    assert ["/mailbox"] == [fault.pointer for fault in refused.value.faults]
    assert admin.grant.status is admin.grants.get(admin.grant.id).status


def run_of(admin: Administration, connection_id: str) -> Run:
    """Return the run row."""
    return admin.lists.get(connection_id).run


def put_off(admin: Administration, connection_id: str, seconds: float) -> None:
    """Let the connection wait, as its worker does that met a broken grant."""
    found = admin.lists.get(connection_id)
    run = Run(connection_id, found.run.seq, fault=NO_ROLES.recorded(""), failures=3, next_at=_at(admin, seconds))
    key = run_key(connection_id)
    admin.tables.connections.commit(found.connection.shard, [Update(key, encode(run), ANY)])


def _at(admin: Administration, seconds: float) -> str:
    return to_text(admin.clock() + timedelta(seconds=seconds))


@pytest.mark.parametrize(("direction", "kind"), [(Direction.INCOMING, FETCH), (Direction.OUTGOING, SEND)])
def test_connections_are_woken_once_their_grant_works_again(direction: Direction, kind: str) -> None:
    """Whatever they waited for, they are due with the check that finds the grant working, and a message says so."""
    admin = Administration()
    grant = admin.consented()
    connection = admin.connection(grant, direction=direction)
    del admin.entra.grants[CONTOSO]
    admin.checks.verify(grant.id)
    put_off(admin, connection.id, 600)
    admin.entra.grants[CONTOSO] = ALL_ROLES
    admin.wakeups.take(QUEUES[kind])

    admin.checks.verify(grant.id)

    run = run_of(admin, connection.id)
    admin.clock.advance(2)
    bodies = [body for body in admin.wakeups.take(QUEUES[kind]) if body["id"] == connection.id]
    assert [(run.seq, run.due)] == [(body["seq"], body["due"]) for body in bodies]
    assert run.next_at <= to_text(admin.clock())
    assert run.due in admin.due_rows()
    assert not admin.grants.get(grant.id).awaited


def test_a_check_that_dies_while_waking_wakes_again() -> None:
    """The flag that connections wait goes only once they were woken; until then the due row checks again."""
    admin = Administration()
    grant = admin.consented()
    connection = admin.connection(grant)
    del admin.entra.grants[CONTOSO]
    admin.checks.verify(grant.id)
    put_off(admin, connection.id, 86_400)
    admin.entra.grants[CONTOSO] = ALL_ROLES
    admin.tables.connections.failures.before = lambda method: _die_at(admin, method, grant)
    with pytest.raises(Exception, match="no answer"):
        admin.checks.verify(grant.id)
    admin.tables.connections.failures.before = None
    assert True is admin.grants.get(grant.id).awaited

    admin.pass_time(121)

    assert (False, True) == (admin.grants.get(grant.id).awaited, run_of(admin, connection.id).next_at <= _at(admin, 0))


def _die_at(admin: Administration, method: str, grant: Grant) -> None:
    """Let the read of the waiting connection fail, which comes after the grant was written as active."""
    if method == "read" and admin.grants.get(grant.id).usable:
        admin.tables.connections.failures.plan("read")


def test_one_grant_probes_for_all_of_a_broken_credential() -> None:
    """Three tenants of one expired secret: one request per gap, gaps that grow, and all of them resume at its end."""
    admin = Administration()
    credential = admin.credential(tenant="organizations")
    third = "77777777-2222-4333-8444-555555555555"
    for tenant in (CONTOSO, FABRIKAM, third):
        admin.consented(credential, tenant, expected_tenant=tenant)
    admin.entra.expired.add(SECRET)
    for grant in admin.grants.all():
        admin.checks.verify(grant.id)
    admin.entra.requests.clear()

    counts = []
    for _ in range(20):
        admin.pass_time(61)
        counts.append(len(admin.entra.requests))
    admin.entra.expired.clear()
    for _ in range(12):
        admin.pass_time(61)

    assert max(after - before for before, after in zip([0, *counts], counts, strict=False)) == 1
    assert 4 <= counts[-1] <= 7
    assert [None] * 3 == [grant.fault for grant in admin.grants.all()]
    assert Registry(admin.tables).credential(credential.id).record.fault is None


def test_the_record_of_a_grant_of_an_older_version_can_be_read() -> None:
    """Rows written before these fields existed take their defaults."""
    admin = Administration()
    grant = admin.consented()
    newer = ("scoped", "awaited", "probe_mailbox")
    older = decode(Grant, {name: value for name, value in encode(grant).items() if name not in newer})

    assert (False, False, "") == (older.scoped, older.awaited, older.probe_mailbox)

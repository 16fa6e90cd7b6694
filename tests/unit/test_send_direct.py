"""Sending without the right to make drafts: at most one copy, and never a false word about it."""

from dataclasses import replace
from typing import Any

import pytest

from shared.codes import Code
from shared.compose.message import File, Outgoing
from shared.errors import Fault, ItemFault, MailboxFault, Throttled, Unreachable
from shared.grants import Grant, GrantStatus, may_draft
from shared.outbox.work import Status
from shared.ports import GraphMailbox
from tests.fakes.exchange import lost_answer
from tests.scenes.sending import MAIL, Killer, Rights, Sending


class NoDrafts(Rights):
    """Rights of a tenant that did not grant Mail.ReadWrite."""

    def graph_mailbox(self, grant_id: str, user: str) -> GraphMailbox:
        """Return a mailbox in which no draft can be made."""
        return replace(super().graph_mailbox(grant_id, user), may_draft=False)


class Direct(Sending):
    """A mailbox that sends by ``sendMail`` only."""

    def __init__(self, *errors: tuple[Fault, bool], killer: Killer | None = None) -> None:
        super().__init__(killer=killer)
        object.__setattr__(self.drain, "tokens", NoDrafts())
        left: list[Any] = list(errors)
        self.exchange.script = lambda name: left.pop(0) if name == "send_mail" and left else (None, True)


def test_a_mail_goes_without_a_draft() -> None:
    """One request sends it, it is accepted, and no draft was made."""
    world = Direct()
    entry = world.finish(world.accept())

    assert (Status.ACCEPTED, 1) == (entry.status, world.exchange.copies[entry.id])
    assert {"send_mail": 1} == dict(world.exchange.calls)


@pytest.mark.parametrize("happens", [True, False])
def test_an_unknown_answer_stays_unknown(happens: bool) -> None:
    """Whether it was sent or not, nobody can know and nothing is repeated."""
    world = Direct((lost_answer(), happens))
    entry = world.finish(world.accept())

    assert (Status.OUTCOME_UNKNOWN, int(happens)) == (entry.status, world.exchange.copies[entry.id])
    assert entry.fault is not None
    assert Code.OUTCOME_UNKNOWN.value == entry.fault.code
    assert {"send_mail": 1} == dict(world.exchange.calls)


@pytest.mark.parametrize(
    "refusal",
    [
        Throttled("slow down", retry_after=20.0),
        Unreachable("no connection", outcome_unknown=False, retryable=True),
        MailboxFault("quota", Code.SENDING_QUOTA_EXCEEDED, retryable=True, retry_after=60.0),
    ],
)
def test_a_refusal_is_tried_again(refusal: Fault) -> None:
    """What Graph refused was not sent, so the same mail goes once more."""
    world = Direct((refusal, False), (refusal, False))
    entry = world.finish(world.accept())

    assert (Status.ACCEPTED, 1, 3) == (entry.status, world.exchange.copies[entry.id], entry.attempt)


def test_a_refusal_for_good_fails() -> None:
    """A mail that Graph will never take fails with Graph's reason."""
    world = Direct((ItemFault("bad", Code.MESSAGE_REFUSED), False))
    entry = world.finish(world.accept())

    assert (Status.FAILED, 0) == (entry.status, world.exchange.copies[entry.id])


def test_what_does_not_fit_fails_and_says_why() -> None:
    """Files that would need an upload session need the right to make drafts."""
    world = Direct()
    file = File("a.bin", "application/octet-stream", 3_000_000, b"x" * 3_000_000)
    entry = world.finish(world.accept(Outgoing(to=MAIL.to, subject="s", text="t", files=(file,))))

    assert (Status.FAILED, 0) == (entry.status, world.exchange.copies[entry.id])
    assert entry.fault is not None
    assert "Mail.ReadWrite" in entry.fault.detail


def test_a_death_anywhere_never_sends_twice() -> None:
    """Killed at every boundary in turn: one copy and accepted, or unknown with one copy or none."""
    boundaries = 1
    at = 0
    while at <= boundaries:
        killer = Killer(at)
        world = Direct(killer=killer)
        entry = world.finish(world.accept())
        boundaries, at = max(boundaries, len(killer.seen)), at + 1
        copies = world.exchange.copies[entry.id]
        assert copies <= 1
        assert entry.status in (Status.ACCEPTED, Status.OUTCOME_UNKNOWN)
        if entry.status == Status.ACCEPTED:
            assert 1 == copies
    assert boundaries > 8


@pytest.mark.parametrize(
    ("status", "missing", "expected"),
    [
        (GrantStatus.ACTIVE, (), True),
        (GrantStatus.PARTIAL, ("Mail.ReadWrite",), False),
        (GrantStatus.PARTIAL, ("User.Read.All",), True),
        (GrantStatus.ACTIVE, ("Mail.ReadWrite", "Mail.Send"), True),  # scoped by Exchange: a mailbox was reached
        (GrantStatus.UNVERIFIABLE, ("Mail.ReadWrite",), True),
    ],
)
def test_which_grants_let_drafts_be_made(status: GrantStatus, missing: tuple[str, ...], expected: bool) -> None:
    """Only a role that is known to be missing turns a connection to the way without drafts."""
    grant = Grant("g", "c", "t", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", status, missing=missing)
    assert expected == may_draft(grant)

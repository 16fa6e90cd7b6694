"""Tokens of connections: one scope, shown once, two at a time, refused by form before any storage call."""

from dataclasses import replace

import pytest

from shared.codes import Code
from shared.connections import Connection, Direction
from shared.errors import Conflict, InvalidRequest, NotFound, Refused, TooMany
from shared.identifiers import new_token, new_ulid
from shared.rates import Rates
from tests.scenes.administration import Administration


@pytest.fixture
def admin() -> Administration:
    """Return an administration in which Contoso has consented."""
    made = Administration()
    made.consented()
    return made


@pytest.fixture
def sender(admin: Administration) -> Connection:
    """Return an outgoing connection."""
    return admin.connection(admin.grants.all()[0], direction=Direction.OUTGOING)


def test_a_token_names_its_connection(admin: Administration, sender: Connection) -> None:
    """The text that is shown once finds the connection again; the row holds a hash only."""
    row, token = admin.connection_tokens.create(sender.id, "send")

    assert sender == admin.connection_tokens.authenticate(str(token), "send")
    assert str(token).startswith(f"mg_send_{sender.box}")
    assert token.secret not in repr(admin.tables.connections.everything())
    assert [row.id] == [listed.id for listed in admin.connection_tokens.of(sender.id)]


def test_the_last_use_is_shown(admin: Administration, sender: Connection) -> None:
    """A use is noted at most once a minute."""
    _, token = admin.connection_tokens.create(sender.id, "send")
    admin.connection_tokens.authenticate(str(token), "send")
    commits = admin.tables.connections.calls["commit"]
    admin.clock.advance(30)
    admin.connection_tokens.authenticate(str(token), "send")

    assert commits == admin.tables.connections.calls["commit"]
    assert "2026-03-02T09:30:15.000Z" == admin.connection_tokens.of(sender.id)[0].last_used_at


def test_two_tokens_may_be_valid_at_a_time(admin: Administration, sender: Connection) -> None:
    """So that one can be replaced by the other; a third needs a revocation."""
    first, token = admin.connection_tokens.create(sender.id, "send")
    admin.connection_tokens.create(sender.id, "send")
    with pytest.raises(Conflict):
        admin.connection_tokens.create(sender.id, "send")

    admin.connection_tokens.delete(sender.id, first.id)
    admin.connection_tokens.delete(sender.id, first.id)
    admin.connection_tokens.create(sender.id, "send")

    with pytest.raises(NotFound):
        admin.connection_tokens.authenticate(str(token), "send")


def test_two_requests_at_once_cannot_make_a_third_token(admin: Administration, sender: Connection) -> None:
    """The count and the insert are fenced by the connection's row."""
    admin.connection_tokens.create(sender.id, "send")
    others: list[object] = []

    def other(method: str) -> None:
        if method == "commit" and not others:
            others.append(admin.connection_tokens.create(sender.id, "send"))

    admin.tables.connections.failures.before = other
    with pytest.raises(Conflict):
        admin.connection_tokens.create(sender.id, "send")

    assert 2 == len(admin.connection_tokens.of(sender.id))


def test_a_scope_belongs_to_a_direction(admin: Administration, sender: Connection) -> None:
    """What sends cannot be read with, and the other way round."""
    with pytest.raises(InvalidRequest):
        admin.connection_tokens.create(sender.id, "receive")


def test_a_wrong_scope_is_not_found(admin: Administration, sender: Connection) -> None:
    """A token of another scope learns nothing of what exists."""
    _, token = admin.connection_tokens.create(sender.id, "send")

    with pytest.raises(NotFound):
        admin.connection_tokens.authenticate(str(token), "receive")


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "mg_send_x_y_z", pytest.param(str(new_token("send", "short")), id="short id"), "mg_ticket_a_b_c"],
)
def test_what_is_no_token_is_refused_without_a_storage_call(admin: Administration, text: str) -> None:
    """Form and checksum are checked first."""
    calls = admin.tables.calls()
    with pytest.raises(Refused) as refused:
        admin.connection_tokens.authenticate(text, "send")

    assert calls == admin.tables.calls()
    assert (Code.TOKEN_REFUSED if text else Code.TOKEN_MISSING) is refused.value.code


def test_a_token_of_somebodys_own_making_is_not_found(admin: Administration, sender: Connection) -> None:
    """A well-formed token needs the right secret; an id alone opens nothing."""
    row, _ = admin.connection_tokens.create(sender.id, "send")
    for identifier in (row.id, f"{sender.box}{new_ulid()}"):
        with pytest.raises(NotFound):
            admin.connection_tokens.authenticate(str(new_token("send", identifier)), "send")


def test_a_token_of_another_connection_is_not_revoked(admin: Administration, sender: Connection) -> None:
    """Only under its own connection a token can be revoked."""
    other = admin.connection(admin.grants.all()[0], direction=Direction.OUTGOING)
    row, token = admin.connection_tokens.create(sender.id, "send")

    admin.connection_tokens.delete(other.id, row.id)

    assert sender.id == admin.connection_tokens.authenticate(str(token), "send").id


def test_a_token_has_a_rate(admin: Administration, sender: Connection) -> None:
    """Beyond it the caller is told to wait; another token of the same connection goes on."""
    tokens = replace(admin.connection_tokens, rates=Rates(burst=2, monotonic=admin.clock.monotonic))
    (_, noisy), (_, calm) = tokens.create(sender.id, "send"), tokens.create(sender.id, "send")
    for _ in range(2):
        tokens.authenticate(str(noisy), "send")
    with pytest.raises(TooMany):
        tokens.authenticate(str(noisy), "send")

    assert sender.id == tokens.authenticate(str(calm), "send").id

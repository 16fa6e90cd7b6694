"""Consent links and states as values: what their tokens find, and when they are good."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.identifiers import derived_token, parse_token
from shared.tickets import (
    RESULT,
    TICKET,
    cookie_name,
    is_dated_id,
    new_state,
    new_ticket,
    parse_dated,
    partition_of,
    state_key,
    ticket_key,
)

NOW = datetime(2026, 3, 2, 23, 50, tzinfo=UTC)


def test_a_ticket_finds_its_row_by_itself() -> None:
    """The token names day and row; the row holds no secret."""
    ticket, token = new_ticket("cred_x", NOW, 168)

    assert parse_dated(str(token), TICKET) == token
    assert ("20260309", f"t|{ticket.id[9:]}") == (partition_of(token.id), ticket_key(token.id))
    assert token.secret not in repr(ticket)


def test_a_state_over_midnight_stands_under_the_day_of_its_expiry() -> None:
    """What is purged by day is never purged early."""
    state, token, cookie = new_state(new_ticket("cred_x", NOW, 1)[0], NOW)

    assert "20260303" == partition_of(state.id)
    assert state.id == token.id == cookie.id
    assert token.secret_hash != cookie.secret_hash
    assert state_key(state.id).startswith("s|")


@pytest.mark.parametrize(
    ("changes", "status"),
    [({}, "open"), ({"grant_id": "g"}, "used"), ({"withdrawn_at": "x", "grant_id": "g"}, "withdrawn")],
)
def test_a_ticket_has_one_status(changes: dict[str, str], status: str) -> None:
    """Withdrawn outweighs used, used outweighs expired."""
    ticket, _ = new_ticket("cred_x", NOW, 1)
    changed = type(ticket)(**{**{name: getattr(ticket, name) for name in ticket.__slots__}, **changes})

    assert status == changed.status(NOW)
    assert "expired" == ticket.status(NOW + timedelta(hours=1))


@given(st.data())
def test_any_changed_character_is_refused_before_storage(data: st.DataObject) -> None:
    """A mistyped or forged link fails by its form or checksum."""
    text = str(new_ticket("cred_x", NOW, 1)[1])
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda character: character != text[place]))

    assert parse_token(text[:place] + other + text[place + 1 :], TICKET) is None


@pytest.mark.parametrize("text", ["", "20260303", "20260303.", "2026030x.01ARZ3NDEKTSV4RRFFQ69G5FAV", "²0260303.x"])
def test_only_dated_ids_are_taken(text: str) -> None:
    """Anything else never becomes a partition key."""
    assert not is_dated_id(text)


def test_a_result_token_can_be_made_again_only_with_the_cookie() -> None:
    """The same cookie leads to the same result page, another one to another."""
    state, _, cookie = new_state(new_ticket("cred_x", NOW, 1)[0], NOW)

    assert derived_token(RESULT, state.id, cookie.secret) == derived_token(RESULT, state.id, cookie.secret)
    assert derived_token(RESULT, state.id, cookie.secret) != derived_token(RESULT, state.id, cookie.secret[:-1])
    assert parse_dated(str(derived_token(RESULT, state.id, cookie.secret)), RESULT)


def test_a_cookie_is_bound_to_its_host_on_https_only() -> None:
    """The prefix that browsers enforce needs https; plain http is loopback."""
    assert ("__Host-mg-X", "mg-X") == (cookie_name("20260303.X", secure=True), cookie_name("20260303.X", secure=False))

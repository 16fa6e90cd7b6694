"""How names are made, and how a name or token that is none is refused before any storage call."""

import uuid

import pytest
from hypothesis import given, strategies

from shared import identifiers
from shared.adapters.table_rules import check_key
from shared.identifiers import (
    box_hash,
    box_of,
    grant_id,
    is_connection_id,
    is_guid,
    is_ulid,
    new_connection_id,
    new_entry_id,
    new_token,
    new_ulid,
    parse_token,
    receipt_id,
    same_hash,
    shard_of,
    short_hash,
    split_entry_id,
    split_grant_id,
    split_receipt_id,
)

boxes = strategies.builds(box_hash, strategies.text(), strategies.text(), strategies.text())
ulids = strategies.builds(new_ulid, strategies.integers(0, 2**48 - 1))
connections = boxes.map(new_connection_id)
kinds = strategies.sampled_from(["send", "receive", "ticket", "state"])
token_ids = ulids | strategies.from_regex(r"[0-9A-Za-z.-]{1,64}", fullmatch=True)


@given(first=strategies.integers(0, 2**48 - 1), second=strategies.integers(0, 2**48 - 1))
def test_ulids_sort_by_creation(first: int, second: int) -> None:
    """The earlier id is the smaller text, and each has the form of a ULID."""
    early, late = new_ulid(min(first, second)), new_ulid(max(first, second) + 1)

    assert is_ulid(early)
    assert early < late or max(first, second) + 1 == 2**48


@given(box=boxes)
def test_an_id_finds_its_partition(box: str) -> None:
    """Connection, receipt and entry ids lead back to the mailbox and its shard."""
    connection = new_connection_id(box)

    assert (box, box, box[0]) == (box_of(connection), box_of(box), shard_of(connection))
    assert is_connection_id(connection)


@given(connection=connections, message=strategies.text())
def test_ids_round_trip(connection: str, message: str) -> None:
    """What an id was made from can be read from it, and it fits into a key."""
    receipt, entry = receipt_id(connection, message), new_entry_id(connection)

    assert (connection, short_hash(message)) == split_receipt_id(receipt)
    assert connection == (split_entry_id(entry) or ("",))[0]
    for name in (receipt, entry):
        check_key(name)


@given(connection=connections, message=strategies.text())
def test_the_same_message_has_the_same_id_always(connection: str, message: str) -> None:
    """A receipt's id depends on nothing but connection and message."""
    assert receipt_id(connection, message) == receipt_id(connection, message)


def test_a_mailbox_is_one_whatever_the_case() -> None:
    """Client id, tenant and mailbox are compared without case, and their order counts."""
    assert box_hash("A", "b", "C") == box_hash("a", "B", "c")
    assert box_hash("a", "b", "c") != box_hash("b", "a", "c")


@given(tenant=strategies.uuids().map(str), ulid=ulids)
def test_a_grant_id_names_credential_and_tenant(tenant: str, ulid: str) -> None:
    """A grant's id leads to both of its parents, whatever the case of the tenant."""
    assert (f"cred_{ulid}", tenant) == split_grant_id(grant_id(f"cred_{ulid}", tenant.upper()))


@given(text=strategies.text())
def test_no_text_crashes_a_parser(text: str) -> None:
    """Whatever a caller sends in place of an id is an answer, never an error."""
    for parse in (split_receipt_id, split_entry_id, split_grant_id):
        assert parse(text) is None
    assert parse_token(text, "send") is None
    assert [False, False] == [is_connection_id(text), is_ulid(text)]


@pytest.mark.parametrize(
    "text", ["", "{8a7c0c3e-0000-4000-8000-000000000001}", "8a7c0c3e00004000800000000000000a", "common"]
)
def test_only_the_usual_form_is_a_guid(text: str) -> None:
    """Braces, missing hyphens and words are refused."""
    assert is_guid(str(uuid.UUID(int=1)))
    assert not is_guid(text)


@given(kind=kinds, identifier=token_ids)
def test_a_token_is_read_as_it_was_made(kind: str, identifier: str) -> None:
    """The wire form holds kind, id and secret; only a hash of the secret is for storage."""
    token = new_token(kind, identifier)

    assert token == parse_token(str(token), kind)
    assert token.secret not in token.secret_hash
    assert same_hash(token.secret_hash, parse_token(str(token), kind).secret_hash)  # type: ignore[union-attr]


@given(data=strategies.data(), identifier=ulids)
def test_any_changed_character_is_refused(data: strategies.DataObject, identifier: str) -> None:
    """A token with one character other, missing or doubled is no token: typing errors cost no storage call."""
    text = str(new_token("send", identifier))
    place = data.draw(strategies.integers(0, len(text) - 1))
    other = data.draw(strategies.characters(codec="utf-8").filter(lambda character: character != text[place]))

    for changed in (text[:place] + other + text[place + 1 :], text[:place] + text[place + 1 :]):
        assert parse_token(changed, "send") is None


@given(identifier=ulids)
def test_a_token_of_another_kind_is_refused(identifier: str) -> None:
    """A token opens only what it was made for."""
    assert parse_token(str(new_token("receive", identifier)), "send") is None


def test_tokens_do_not_repeat() -> None:
    """Each token has a secret of its own, of 256 bits."""
    secrets = {new_token("send", "id").secret for _ in range(50)}

    assert 50 == len(secrets)
    assert 62**43 > 2**256
    assert {43} == {len(secret) for secret in secrets}


@pytest.mark.parametrize("name", ["new_ulid", "new_token"])
def test_names_come_from_a_secure_source(name: str) -> None:
    """Ids and tokens are made with `secrets`."""
    assert "secrets" in getattr(identifiers, name).__code__.co_names

"""Filters of the lists of credentials, grants and connections, and what a wrong one is told."""

import itertools
from typing import Any

import pytest

from functions import connections_http, credentials_http, grants_http
from functions.connections_http import ConnectionUseCases
from shared.connection_admin import creation, lists
from shared.connections import Direction
from shared.grants import Grant
from shared.identifiers import new_ulid
from shared.signing import Signing
from tests.scenes.administration import Administration
from tests.scenes.calls import Caller


@pytest.fixture
def admin() -> Administration:
    """Return an administration."""
    return Administration()


@pytest.fixture
def grant(admin: Administration) -> Grant:
    """Return a grant of Contoso that works."""
    return admin.consented()


@pytest.fixture
def caller(admin: Administration) -> Caller:
    """Return the routes that list."""
    use = ConnectionUseCases(
        admin.creation, admin.changes, admin.lists, admin.connection_checks, Signing(admin.tables, admin.vault)
    )
    return Caller(
        credentials_http.blueprint(admin.credentials, admin.checks, admin.links, admin.settings),
        grants_http.blueprint(admin.grants, admin.checks, admin.purge, admin.settings),
        connections_http.blueprint(use, admin.settings),
    )


def ids(answer: Any) -> list[str]:
    """Return the ids on a page."""
    return [item["id"] for item in answer["data"]]


def test_connections_are_filtered_by_state_direction_and_grant(
    admin: Administration, grant: Grant, caller: Caller
) -> None:
    """The effective status counts; filters hold together."""
    works, off, goes_out = [
        admin.connection(grant, **changes).id for changes in ({}, {"enabled": False}, {"direction": Direction.OUTGOING})
    ]

    assert [off] == ids(caller.json("GET", "connections?status=disabled"))
    assert [goes_out] == ids(caller.json("GET", "connections?direction=outgoing"))
    assert [works] == ids(caller.json("GET", f"connections?direction=incoming&status=active&grant_id={grant.id}"))
    assert [] == ids(caller.json("GET", "connections?direction=outgoing&status=disabled"))


def test_pages_of_some_connections_miss_none(
    admin: Administration, grant: Grant, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page ends where it is full, or where enough was looked at; the next goes on behind it."""
    monkeypatch.setattr(lists, "LOOKED_AT", 3)
    # Ids made within one millisecond sort by chance.
    milliseconds = itertools.count(1)
    monkeypatch.setattr(creation, "new_connection_id", lambda box: f"conn_{box}{new_ulid(next(milliseconds))}")
    made = []
    for number in range(10):
        admin.clock.advance(1)
        made.append(admin.connection(grant, enabled=number in (0, 1, 7)).id)
    seen, pages = [], []
    cursor: str | None = ""
    while cursor is not None:
        page = caller.json("GET", f"connections?status=active&limit=2&cursor={cursor}")
        seen += ids(page)
        pages.append(len(page["data"]))
        cursor = page["next_cursor"]

    assert [made[7], made[1], made[0]] == seen
    assert [1, 0, 1, 1] == pages


def test_grants_and_credentials_are_filtered(admin: Administration, grant: Grant, caller: Caller) -> None:
    """By status, and by when they were made: since is included, until is not."""
    admin.clock.advance(60)
    admin.consented(admin.credential(name="Late"))
    late = admin.grants.all()[-1]

    assert {grant.id, late.id} == set(ids(caller.json("GET", "grants?status=active")))
    assert [] == ids(caller.json("GET", "grants?status=revoked"))
    assert [late.id] == ids(caller.json("GET", f"grants?since={late.created_at}"))
    assert [grant.id] == ids(caller.json("GET", f"grants?until={late.created_at}"))
    assert [late.credential_id] == ids(caller.json("GET", f"credentials?status=ready&since={late.created_at}"))
    assert [] == ids(caller.json("GET", "credentials?status=creating"))


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("connections?status=fine", "?status"),
        ("connections?direction=up", "?direction"),
        ("connections?since=yesterday", "?since"),
        ("grants?status=fine", "?status"),
        ("credentials?status=fine", "?status"),
        ("credentials?until=soon", "?until"),
    ],
)
def test_a_wrong_filter_is_named(caller: Caller, query: str, pointer: str) -> None:
    """The answer says which it is and what it may be."""
    answer = caller.json("GET", query)

    assert (422, pointer) == (answer["status"], answer["errors"][0]["pointer"])

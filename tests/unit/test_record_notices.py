"""Notices of grants and credentials: one for each change that matters, in its transaction, and none for the rest."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.codes import Code
from shared.errors import CredentialFault, RowChanged, StorageUnavailable
from shared.grants import Grant, GrantStatus
from shared.identifiers import new_ulid
from shared.notices import IN_RECORDS, EventType, Pending
from shared.registry import Registry, Stored
from shared.rows import decode
from shared.schedule import NOTICE
from shared.times import to_text
from tests.scenes.administration import Administration

DAY = 86_400.0
TENANT = "8a7c0c3e-0000-4000-8000-000000000001"


@pytest.fixture
def admin() -> Administration:
    """Return an administration without any credential."""
    return Administration()


def told(admin: Administration, kind: EventType) -> list[dict[str, Any]]:
    """Return the data of the notices of one type, oldest first; each has a due row."""
    tables = (admin.tables.grants, admin.tables.credentials)
    rows = [values for table in tables for (_, key), values in table.everything().items() if key.startswith(IN_RECORDS)]
    found = [decode(Pending, values) for values in rows]
    dues = [key.rpartition("|")[2] for _, key in admin.tables.connections.everything() if f"|{NOTICE}|" in key]
    assert {pending.owner for pending in found} <= set(dues)
    return [pending.data for pending in sorted(found, key=lambda item: item.at) if pending.type == kind]


def granted(admin: Administration, status: GrantStatus = GrantStatus.PENDING) -> Stored[Grant]:
    """Return a stored grant."""
    credential = f"cred_{new_ulid()}"
    now = to_text(admin.clock())
    grant = Grant(f"grant_{credential[5:]}.{TENANT}", credential, TENANT, now, now, status)
    return Registry(admin.tables).schedule_grant(None, grant, admin.clock())


def test_a_grant_that_is_only_asked_for_is_no_news(admin: Administration) -> None:
    """Neither its making nor another time of its next check is told."""
    stored = granted(admin)
    Registry(admin.tables).schedule_grant(stored, replace(stored.record, awaited=True), admin.clock())

    assert [] == told(admin, EventType.GRANT_CHANGED)


def test_each_move_of_a_grant_is_told_with_the_sentence(admin: Administration) -> None:
    """From which status to which, what is missing, and why connections wait."""
    registry, stored = Registry(admin.tables), granted(admin)
    for status in (GrantStatus.PROPAGATING, GrantStatus.ACTIVE, GrantStatus.REVOKED):
        admin.clock.advance(1)
        stored = registry.schedule_grant(stored, replace(stored.record, status=status), admin.clock())
    admin.clock.advance(1)
    registry.delete_grant(stored)

    found = told(admin, EventType.GRANT_CHANGED)
    moves = [("pending", "propagating"), ("propagating", "active"), ("active", "revoked"), ("revoked", "deleted")]
    assert moves == [(data["before"], data["status"]) for data in found]
    assert [True, False, True, False] == [bool(data["detail"]) for data in found]


def test_a_move_that_someone_else_overtook_is_not_told(admin: Administration) -> None:
    """The notice is in the transaction that failed; what is left of it is a due row that finds nothing."""
    registry, stored = Registry(admin.tables), granted(admin)
    registry.schedule_grant(stored, stored.record, admin.clock())
    with pytest.raises(RowChanged):
        registry.schedule_grant(stored, replace(stored.record, status=GrantStatus.ACTIVE), admin.clock())

    assert [] == told(admin, EventType.GRANT_CHANGED)


def test_a_move_without_an_answer_is_told_all_the_same(admin: Administration) -> None:
    """Whoever dies after the write has left notice and due row behind."""
    registry, stored = Registry(admin.tables), granted(admin)
    admin.tables.grants.failures.plan("commit", after_effect=True)
    with pytest.raises(StorageUnavailable):
        registry.schedule_grant(stored, replace(stored.record, status=GrantStatus.ACTIVE), admin.clock())

    assert ["active"] == [data["status"] for data in told(admin, EventType.GRANT_CHANGED)]


def test_a_credential_that_begins_to_fail_is_told_once(admin: Administration) -> None:
    """Another fault is news again, the same one is not, and neither is its end."""
    registry = Registry(admin.tables)
    stored = registry.credential(admin.credential().id)
    faults = (Code.SECRET_EXPIRED, Code.SECRET_EXPIRED, Code.CREDENTIAL_REFUSED, None)
    for code in faults:
        admin.clock.advance(1)
        fault = CredentialFault("Make a new one.", code).recorded(to_text(admin.clock())) if code else None
        stored = registry.save_credential(stored, replace(stored.record, fault=fault))

    found = told(admin, EventType.CREDENTIAL_FAILED)
    assert [Code.SECRET_EXPIRED, Code.CREDENTIAL_REFUSED] == [data["code"] for data in found]
    assert {"Make a new one."} == {data["detail"] for data in found}


def test_a_proof_that_ends_is_told_at_each_threshold(admin: Administration) -> None:
    """As the audit log says it: 30, 14, 7 and 1 day before, and at the end."""
    credential = admin.credential(secret_expires_at=to_text(admin.clock() + timedelta(days=40)))
    for _ in range(45 * 2):
        admin.pass_time(DAY / 2)

    found = told(admin, EventType.CREDENTIAL_EXPIRING)
    assert [30, 14, 7, 1, 0] == [data["days"] for data in found]
    assert {credential.id} == {data["credential_id"] for data in found}

"""The rows of a receipt: what they are called, how they change, how they are packed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.errors import RecordedFault
from shared.ports import ANY, Delete, Row, Update, Upsert
from shared.receipts import (
    DELIVER,
    Receipt,
    ReceiptStatus,
    Work,
    change,
    index_key,
    insertion,
    moved,
    packed,
    read_receipt,
    view_key,
    work_range,
)
from shared.rows import encode

NOW = datetime(2026, 11, 22, 7, 0, 0, 123000, tzinfo=UTC)
RECEIPT = Receipt("a" * 32, "g", ReceiptStatus.STORED, "2026-11-22T07:00:00.123Z")
TRYING = replace(RECEIPT, status=ReceiptStatus.RETRYING, fault=RecordedFault("c", "d.", "2026-11-22T07:00:00.000Z"))


def test_a_receipt_survives_its_row() -> None:
    """Every field comes back as it was written."""
    assert read_receipt(encode(TRYING)) == TRYING


def test_newer_receipts_come_first_in_every_list() -> None:
    """Index keys sort newest first."""
    later = replace(RECEIPT, stored_at="2026-11-22T07:00:00.124Z")
    assert index_key(later) < index_key(RECEIPT)
    assert view_key(replace(TRYING, stored_at=later.stored_at)) < view_key(TRYING)


def test_rare_statuses_have_an_index_row_that_comes_and_goes() -> None:
    """It is made with the status and removed with it, in the transaction that changes the receipt."""
    assert view_key(TRYING) in [operation.key for operation in insertion(TRYING, [])]
    assert [type(operation) for operation in change(RECEIPT, TRYING, "e")] == [Update, Upsert]
    assert [type(operation) for operation in change(TRYING, RECEIPT, "e")] == [Update, Delete]
    update = change(RECEIPT, replace(RECEIPT, attempts=1), "e")
    assert update == [Update("m|" + "a" * 32, {"attempts": 1}, "e")]


def test_work_sorts_by_time_and_is_found_up_to_a_moment() -> None:
    """A range up to now holds what is due now and nothing later."""
    work = Work(DELIVER, NOW, "b" * 32, 2)
    first, last = work_range(DELIVER, NOW)
    assert first < work.key < last
    assert Work(DELIVER, NOW + timedelta(milliseconds=1), "0" * 32).key > last
    assert Work.from_row(Row(work.key, {"attempts": 2}, ANY)) == work


def test_work_that_is_put_off_counts_an_attempt() -> None:
    """Its old row goes as the new one comes; at the same moment it is one row."""
    work = Work(DELIVER, NOW, "b" * 32)
    later = NOW + timedelta(seconds=5)
    assert moved(work, later) == [Delete(work.key), replace(work, at=later, attempts=1).insert()]
    assert moved(work, NOW) == [Update(work.key, {"attempts": 1, "snapshot": ""}, ANY)]


@given(st.lists(st.integers(0, 6), max_size=300))
def test_packing_keeps_groups_whole_and_transactions_small(sizes: list[int]) -> None:
    """Nothing is lost, nothing is split, and no transaction is over a hundred."""
    groups = [[Upsert(f"{number}-{item}", {}) for item in range(size)] for number, size in enumerate(sizes)]
    parts = packed(groups)
    assert [group for part in parts for group in part] == [group for group in groups if group]
    assert all(0 < sum(map(len, part)) <= 100 for part in parts)

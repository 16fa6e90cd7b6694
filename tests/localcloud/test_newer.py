"""A version that writes more than the present one knows, and the present one, which reads it."""

from dataclasses import dataclass

import pytest

from localcloud import newer
from shared import rows
from shared.adapters.table_storage import StorageTable
from shared.errors import RecordedFault
from shared.rows import decode, encode
from shared.schedule import FETCH, Wakeup


@dataclass(frozen=True)
class Record:
    """A record with records inside."""

    name: str
    faults: tuple[RecordedFault, ...] = ()
    last: RecordedFault | None = None


@pytest.fixture(autouse=True)
def _newer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StorageTable, "commit", StorageTable.commit)
    monkeypatch.setattr(rows, "_adapter", rows._adapter)
    monkeypatch.setattr(Wakeup, "to_body", Wakeup.to_body)
    newer.install({newer.SWITCH: "1"})


def test_records_of_a_newer_version_are_read() -> None:
    """A field more at every depth changes nothing of what is understood."""
    fault = RecordedFault("code", "detail", "2026-01-01T00:00:00.000Z")
    record = Record("x", (fault,), fault)

    written = encode(record)

    assert [1, 1] == [str(written[name]).count(newer.PROPERTY) for name in ("faults", "last")]
    assert record == decode(Record, {**written, newer.PROPERTY: "newer"})


def test_messages_of_a_newer_version_are_read() -> None:
    """The field is there, and is left alone."""
    wakeup = Wakeup(FETCH, "conn", 3, "due|20260302T093000000Z|fetch|conn")

    assert newer.PROPERTY in wakeup.to_body()
    assert wakeup == Wakeup.from_body(wakeup.to_body())


def test_the_kind_of_a_newer_version_is_none_of_ours() -> None:
    """Such a message is refused, not taken for something else."""
    with pytest.raises(ValueError, match="not a wake-up"):
        Wakeup.from_body({**Wakeup(newer.KIND, "conn").to_body()})

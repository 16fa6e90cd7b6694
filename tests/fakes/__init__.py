"""In-memory forms of the ports; each passes the same contract suite as the real adapter."""

from tests.fakes.blobs import MemoryBlobs, MemoryBlobStore
from tests.fakes.clock import MovableClock
from tests.fakes.failures import Failures
from tests.fakes.tables import MemoryTable, MemoryTables
from tests.fakes.vault import MemoryVault
from tests.fakes.wakeups import MemoryWakeups, Sent

__all__ = [
    "Failures",
    "MemoryBlobStore",
    "MemoryBlobs",
    "MemoryTable",
    "MemoryTables",
    "MemoryVault",
    "MemoryWakeups",
    "MovableClock",
    "Sent",
]

"""Run one tick in a process of its own, as the Functions worker does, and print how much memory it took."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from shared.adapters.queue_storage import StorageWakeups
from shared.adapters.storage_account import StorageAccount
from shared.adapters.table_storage import StorageTables
from shared.tick import Tick
from shared.times import now_utc

STATUS = Path("/proc/self/status")
"""Where Linux keeps the peak of this program; getrusage's is never less than that of the process that started it."""


def main() -> None:
    """Tick once on the storage of ``MAIL_STORAGE``; print what was due, and the peak of resident memory."""
    account = StorageAccount(os.environ["MAIL_STORAGE"])
    result = Tick(StorageTables(account), StorageWakeups(account), now_utc).run()
    found = re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text())
    peak = int(found[1]) / 1024 if found else 0.0
    print(json.dumps({"due": result.due, "woken": result.woken, "peak_mb": round(peak, 1)}))


if __name__ == "__main__":
    main()

"""What a run of fetch leaves in the run log: one row where it took something or failed, none where all was quiet."""

import time

from shared.fetch.job import Job
from shared.ports import Table
from shared.run_log import RunLine, note


def note_run(log: Table, job: Job) -> None:
    """Add a row for the run of *job*, if it did something; costs nothing otherwise, and never raises."""
    if not job.taken and job.trouble is None:
        return
    outcome = "failed" if job.trouble is not None else "more" if job.more else "done"
    seconds = round(time.monotonic() - job.began, 3)
    line = RunLine("fetch", "", outcome, seconds, pages=job.pages, taken=job.taken, fault=job.trouble)
    note(log, job.connection.id, line, job.now())

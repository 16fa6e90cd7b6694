"""What a fetch tells of itself: that a connection has failed or works again, and that a message was given up."""

from dataclasses import replace
from datetime import datetime

from shared.fetch.job import Job
from shared.notices import EventType, Notice
from shared.ports import Operation
from shared.receipts import Receipt, public_id


def tell(job: Job) -> None:
    """Put word of it into the job's transaction where its record is about to say for the first time that it stopped."""
    run = job.run
    if run.stopped == run.alarmed:
        return
    if not run.stopped and job.trouble is not None:  # a person asked for another try, which failed
        return
    fault = run.fault
    data: dict[str, object] = {"connection_id": run.connection_id}
    if run.stopped:
        data |= {
            "status": "stopped",
            "code": fault.code if fault else "",
            "detail": fault.detail if fault else "",
            "microsoft_code": fault.microsoft_code if fault else "",
            "failing_since": run.failing_since,
        }
    else:
        detail = "The mailbox can be read again. Mail of the time between is fetched now."
        data |= {"status": "active", "detail": detail}
    kind = EventType.CONNECTION_FAILED if run.stopped else EventType.CONNECTION_RECOVERED
    notice = Notice(kind, run.connection_id, data, job.now())
    job.notices.append(notice.in_box(run.connection_id))
    job.seen = True
    job.run = replace(run, alarmed=run.stopped)


def quarantined(job: Job, receipt: Receipt, now: datetime) -> Operation:
    """Return the row that tells that *receipt* was given up, for the transaction that says so of the receipt."""
    job.seen = True
    identifier, fault = public_id(job.connection.id, receipt.hash), receipt.fault
    data = {
        "connection_id": job.connection.id,
        "received_id": identifier,
        "code": fault.code if fault else "",
        "detail": fault.detail if fault else "",
        "microsoft_code": fault.microsoft_code if fault else "",
        "attempts": receipt.fetch_attempts,
        "what_to_do": "POST received/{id}/retry fetches it again.",
    }
    return Notice(EventType.MESSAGE_QUARANTINED, identifier, data, now).in_receipts(job.connection.id)

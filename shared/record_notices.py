"""What is told of grants, credentials and failed work: which notice a change of their records means, if any."""

from datetime import datetime

from shared.codes import Code
from shared.credentials import Credential
from shared.grants import Grant, GrantStatus, standing_fault
from shared.notices import EventType, Notice, marked_id
from shared.schedule import Wakeup

DELETED = "deleted"


def grant_changed(before: Grant | None, after: Grant, now: datetime) -> Notice | None:
    """Return the notice of a grant whose status moved, or None; one that was only asked for is no news."""
    was = before.status if before else GrantStatus.PENDING
    return None if was is after.status else _grant(after, was.value, after.status.value, now)


def grant_deleted(grant: Grant, now: datetime) -> Notice:
    """Return the notice of a grant that is no more."""
    return _grant(grant, grant.status.value, DELETED, now)


def credential_failed(before: Credential, after: Credential, now: datetime) -> Notice | None:
    """Return the notice of a credential that began to fail, or fails in another way; None else."""
    fault, was = after.fault, before.fault.code if before.fault else ""
    if fault is None or fault.code == was:
        return None
    data = {
        "credential_id": after.id,
        "code": fault.code,
        "detail": fault.detail,
        "microsoft_code": fault.microsoft_code or None,
    }
    mark = marked_id("credential.failed", after.id, fault.code, fault.at)
    return Notice(EventType.CREDENTIAL_FAILED, after.id, data, now, mark)


def credential_expiring(credential: Credential, days: int, now: datetime) -> Notice:
    """Return the notice that the proof in use ends in *days* days, 0 for now."""
    ends = credential.secret_expires_at
    when = f"ends in {days} day{'s' if days > 1 else ''}" if days else "has ended"
    data = {
        "credential_id": credential.id,
        "auth_method": credential.auth_method.value,
        "expires_at": ends,
        "days": days,
        "detail": f"The {credential.auth_method.value} of the credential {when}. "
        "Make a new one in the portal and POST it to credentials/{id}/secret.",
    }
    mark = marked_id("credential.expiring", credential.id, str(ends), str(days))
    return Notice(EventType.CREDENTIAL_EXPIRING, credential.id, data, now, mark)


def poison_found(queue: str, wakeup: Wakeup, now: datetime) -> Notice:
    """Return the notice of work that failed five times in a row."""
    data = {
        "queue": queue,
        "kind": wakeup.kind,
        "id": wakeup.id,
        "detail": "This work failed five times in a row. It is tried again by itself; the log says why it failed.",
    }
    mark = marked_id("poison.found", wakeup.kind, wakeup.id, str(wakeup.seq), wakeup.due)
    return Notice(EventType.POISON_FOUND, wakeup.id, data, now, mark)


def sent_by_others(connection_id: str, entry_id: str, now: datetime) -> Notice:
    """Return the notice of a mail that lies in Sent Items although it was still queued."""
    data = {
        "connection_id": connection_id,
        "message_id": entry_id,
        "code": Code.SENT_BY_OTHERS.value,
        "detail": "A mail that was still queued lies in Sent Items, so it is not sent once more. Somebody sent its "
        "draft by hand, or there is a defect: report it with the message's id.",
    }
    mark = marked_id("sent_by_others", entry_id)
    return Notice(EventType.CONNECTION_FAILED, connection_id, data, now, mark)


def _grant(grant: Grant, was: str, status: str, now: datetime) -> Notice:
    fault = standing_fault(grant) if status != DELETED else None
    data = {
        "grant_id": grant.id,
        "credential_id": grant.credential_id,
        "tenant": grant.tenant,
        "before": was,
        "status": status,
        "missing": list(grant.missing),
        "code": fault.code.value if fault else None,
        "detail": fault.detail if fault else None,
    }
    mark = marked_id("grant.changed", grant.id, grant.created_at, str(grant.seq), status)
    return Notice(EventType.GRANT_CHANGED, grant.id, data, now, mark)

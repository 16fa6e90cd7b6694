"""How a connection fares: its effective state, derived from its credential, grant, run and delivery."""

from dataclasses import asdict, dataclass
from typing import Any

from shared.connections import Connection, Delivery, Destination, Direction, Redelivery, Run, Status
from shared.errors import Fault, RecordedFault
from shared.notices import wanted

MODE = "microsoft_graph_oauth2"


@dataclass(frozen=True, slots=True)
class Shown:
    """A connection with everything that says how it fares; *standing* is why it must wait, None where it need not."""

    connection: Connection
    run: Run
    delivery: Delivery | None
    standing: Fault | None


@dataclass(frozen=True, slots=True)
class Effective:
    """The effective *status*, the *fault* behind it, and when the next attempt comes ('' where none does)."""

    status: Status
    fault: RecordedFault | None = None
    next_attempt_at: str = ""


def effective(shown: Shown) -> Effective:
    """Return the state that an administrator sees; the first reason not to work decides."""
    run, delivery = shown.run, shown.delivery
    if not shown.connection.enabled:
        return Effective(Status.DISABLED)
    if shown.standing is not None:
        return Effective(Status.WAITING, shown.standing.recorded(""))
    if run.stopped:
        return Effective(Status.STOPPED, run.fault, run.next_at)
    if delivery is not None and delivery.disabled:
        return Effective(Status.STOPPED, delivery.fault)
    if run.failures and run.fault is not None:
        return Effective(Status.BACKING_OFF, run.fault, run.next_at)
    if delivery is not None and delivery.paused:
        return Effective(Status.BACKING_OFF, delivery.fault, delivery.next_at)
    return Effective(Status.ACTIVE)


def view(shown: Shown) -> dict[str, Any]:
    """Return the connection as answers show it."""
    connection, state = shown.connection, effective(shown)
    common: dict[str, Any] = {
        "id": connection.id,
        "direction": connection.direction.value,
        "name": connection.name,
        "status": state.status.value,
        "fault": fault_view(state.fault),
        "next_attempt_at": state.next_attempt_at or None,
        "enabled": connection.enabled,
        "mode": MODE,
        "grant_id": connection.grant_id,
        "mailbox": {"id": connection.mailbox, "address": connection.address, "name": connection.mailbox_name},
        "created_at": connection.created_at,
        "version": connection.version,
        "last_run_at": shown.run.last_run_at or None,
        "last_success_at": shown.run.last_success_at or None,
    }
    return common | (_incoming(shown) if connection.direction is Direction.INCOMING else _outgoing(connection))


def fault_view(fault: RecordedFault | None) -> dict[str, Any] | None:
    """Return a recorded fault as answers show it."""
    if fault is None:
        return None
    return {**asdict(fault), "at": fault.at or None}


def destination_view(destination: Destination, delivery: Delivery | None) -> dict[str, Any]:
    """Return a destination and how it fares as answers show them."""
    hidden = ("signing_version", "signing_rotated_at", "signing_superseded", "events")
    shown = {name: value for name, value in asdict(destination).items() if value and name not in hidden}
    fares = delivery or Delivery("")
    shown |= {
        "events": list(wanted(destination.events)),
        "status": "disabled" if fares.disabled else "paused" if fares.paused else "active",
        "failing_since": fares.failing_since or None,
        "fault": fault_view(fares.fault),
    }
    if destination.type == "webhook":
        shown |= {
            "signing_version": destination.signing_version,
            "signing_secret_rotated_at": destination.signing_rotated_at or None,
            "signing_overlap_until": max(destination.signing_superseded, default=None),
        }
    return shown


def redelivery_view(redelivery: Redelivery) -> dict[str, Any]:
    """Return a redelivery as answers show it; *selected* counts what was put in line so far."""
    return {
        "id": redelivery.id,
        "status": redelivery.status,
        "since": redelivery.since or None,
        "until": redelivery.until or None,
        "started_at": redelivery.asked_at,
        "finished_at": redelivery.finished_at or None,
        "selected": redelivery.selected,
        "without_content": redelivery.without_content,
    }


def _incoming(shown: Shown) -> dict[str, Any]:
    connection, destination, delivery = shown.connection, shown.connection.destination, shown.delivery
    return {
        "folder": {"id": connection.folder_id, "name": connection.folder_name},
        "interval_minutes": connection.interval_minutes,
        "start": _start(connection),
        "after_fetch": {
            "action": connection.after_fetch.action.value,
            "folder": {"id": connection.after_fetch.folder_id, "name": connection.after_fetch.folder_name}
            if connection.after_fetch.folder_id
            else None,
        },
        "destination": destination_view(destination, delivery) if destination else None,
        "automatic_mail": connection.automatic_mail,
        "retention_days": connection.retention_days,
        "limits": asdict(connection.limits),
        "next_run_at": shown.run.next_at or None,
        "fetched": shown.run.taken,
        "swept": shown.run.swept,
        "swept_at": shown.run.swept_at or None,
        "holes": shown.run.holes,
        "delivered": delivery.delivered if delivery else 0,
        "failed": delivery.failed if delivery else 0,
        "redelivery": redelivery_view(delivery.redelivery) if delivery and delivery.redelivery else None,
    }


def _start(connection: Connection) -> str | dict[str, str]:
    if connection.continues:
        return {"continue_from": connection.continues[-1]}
    return connection.start if connection.start in ("now", "all") else {"since": connection.start}


def _outgoing(connection: Connection) -> dict[str, Any]:
    webhook = connection.destination
    return {
        "status_webhook": {
            "url": webhook.url,
            "signing_version": webhook.signing_version,
            "signing_secret_rotated_at": webhook.signing_rotated_at or None,
            "signing_overlap_until": max(webhook.signing_superseded, default=None),
        }
        if webhook
        else None,
        "hold_hours": connection.hold_hours,
        "max_message_mb": connection.max_message_mb,
        "send_rate": connection.send_rate,
        "recipient_allow_list": list(connection.recipient_allow_list),
    }

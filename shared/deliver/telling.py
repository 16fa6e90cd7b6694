"""How one notice is told to one target: a signed post, or a message on the destination's queue."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.codes import Code
from shared.connections import Connection, Destination
from shared.deliver.alert_bodies import AlertFormat, alert_body
from shared.deliver.handing import QUEUE_PREFIX, Secrets
from shared.errors import Fault
from shared.notices import ALARMS, EventType, Handed, Pending, wanted
from shared.ports import Clock, Wakeups, Webhooks
from shared.signing import Sign, signature_headers, signing_versions


class Target(StrEnum):
    """Who is told, the operator first; the value names the property of the row that records it."""

    ALERT = "alert"
    DESTINATION = "destination"

    def handed(self, pending: Pending) -> Handed:
        """Return how this target fares with a notice."""
        return pending.alert if self is Target.ALERT else pending.destination


@dataclass(frozen=True, slots=True)
class Alerts:
    """
    The operator's webhook: *url* ('' where there is none), and the *secret* that signs ('' for no signature).

    *form* is what is posted there.
    """

    url: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    form: AlertFormat = AlertFormat.CLOUDEVENTS


@dataclass(frozen=True, slots=True)
class Told:
    """What came of telling: nothing wrong, or a *fault*; *gone* where the target wants no more of it."""

    fault: Fault | None = None
    gone: bool = False

    @property
    def answered(self) -> bool:
        """Whether the target is there: another notice may fare better."""
        return self.fault is None or self.fault.code is Code.DESTINATION_REFUSED


@dataclass(frozen=True, slots=True)
class Telling:
    """Tells targets; *clock* dates signatures."""

    wakeups: Wakeups
    webhooks: Webhooks
    secrets: Secrets
    sign: Sign
    alerts: Alerts
    clock: Clock

    def concerns(self, target: Target, pending: Pending, connection: Connection | None) -> bool:
        """Tell whether *target* wants a notice; *connection* is the one that it tells of, None if there is none."""
        if target is Target.ALERT:
            return bool(self.alerts.url) and pending.type in ALARMS
        if connection is None or connection.destination is None:
            return False
        return pending.type == EventType.TEST or pending.type in wanted(connection.destination.events)

    def tell(self, target: Target, pending: Pending, connection: Connection | None, now: datetime) -> Told:
        """Send the event of a notice, whose bytes are fixed; *now* is storage's time. Raises `StorageError`."""
        try:
            if target is Target.ALERT:
                secrets = [self.alerts.secret] if self.alerts.secret else []
                return self._post(self.alerts.url, secrets, pending, self.alerts.form)
            if connection is None or connection.destination is None:
                return Told()
            return self._hand(connection.id, connection.destination, pending, now)
        except Fault as fault:
            return Told(fault)

    def _hand(self, connection_id: str, destination: Destination, pending: Pending, now: datetime) -> Told:
        if destination.type == "queue":
            if not destination.name.startswith(QUEUE_PREFIX):
                raise Fault("The destination's queue must begin with out-.", Code.DESTINATION_FORBIDDEN)
            self.wakeups.put(destination.name, json.loads(pending.event))
            return Told()
        numbers = signing_versions(destination, now)
        secrets = [self.secrets.signing_secret(connection_id, number) for number in numbers]
        return self._post(destination.url, secrets, pending)

    def _post(
        self, url: str, secrets: Sequence[str], pending: Pending, form: AlertFormat = AlertFormat.CLOUDEVENTS
    ) -> Told:
        body, media_type = alert_body(form, pending.event)
        signed = {"webhook-id": pending.id}
        if secrets:
            signed = signature_headers(self.sign, secrets, pending.id, self.clock(), body)
        answer = self.webhooks.post(url, body, {"Content-Type": media_type, **signed})
        if 200 <= answer.status < 300:
            return Told()
        detail = f"The receiver of a notice answered {answer.status} instead of 2xx."
        fault = Fault(detail, Code.DESTINATION_REFUSED, retryable=True, retry_after=answer.retry_after)
        return Told(fault, gone=answer.status == 410)

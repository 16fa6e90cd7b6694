"""A test event, handed to a connection's destination at once, so that a person sees what comes of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from shared.audit import Audit
from shared.codes import Code
from shared.connection_rows import Found, find
from shared.connections import Destination
from shared.errors import Fault, InvalidRequest, StorageError
from shared.events import CONTENT_TYPE, EventMaker, to_bytes
from shared.identifiers import new_ulid
from shared.notices import EventType
from shared.ports import Clock, Tables, Wakeups, Webhooks
from shared.signing import Sign, Signing, signature_headers, signing_versions
from shared.times import to_text


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a test event; *status* is what the destination answered, None for no answer or a queue."""

    ok: bool
    event_id: str
    status: int | None = None
    code: str = ""
    detail: str = ""
    milliseconds: int = 0


@dataclass(frozen=True, slots=True)
class DestinationTrial:
    """Hands test events over, signed and guarded as mail is; nothing counts for or against the destination."""

    tables: Tables
    webhooks: Webhooks
    wakeups: Wakeups
    signing: Signing
    sign: Sign
    events: EventMaker
    audit: Audit
    clock: Clock
    monotonic: Callable[[], float] = time.monotonic

    def run(self, connection_id: str) -> Trial:
        """Hand a test event over now. Raises `NotFound`, `InvalidRequest`."""
        found = find(self.tables, connection_id)
        destination = found.connection.destination
        if destination is None:
            raise InvalidRequest("The connection has no destination.", code=Code.INVALID_REQUEST)
        event_id, began = f"evt_{new_ulid()}", self.monotonic()
        status: int | None = None
        code, detail = "", ""
        try:
            status = self._hand_over(found, destination, event_id)
            if status is not None and not 200 <= status < 300:
                code, detail = Code.DESTINATION_REFUSED.value, f"The destination answered {status} instead of 2xx."
        except (Fault, StorageError) as error:
            code, detail = error.code.value, error.detail
        milliseconds = round((self.monotonic() - began) * 1000)
        self.audit.write("connection.test_destination", code or "done", connection_id=connection_id)
        return Trial(not code, event_id, status, code, detail, milliseconds)

    def _hand_over(self, found: Found, destination: Destination, event_id: str) -> int | None:
        connection_id, now = found.connection.id, found.storage_time
        event = {
            "specversion": "1.0",
            "type": EventType.TEST.value,
            "id": event_id,
            "source": f"{self.events.base_url}/api/connections/{connection_id}",
            "time": to_text(now),
            "dataschema": "urn:mailgrant:schema:test:1",
            "datacontenttype": "application/json",
            "data": {"connection_id": connection_id, "detail": "An administrator tests this destination."},
        }
        if destination.type == "queue":
            self.wakeups.put(destination.name, event)
            return None
        secrets = [self.signing.signing_secret(connection_id, number) for number in signing_versions(destination, now)]
        body = to_bytes(event)
        signed = signature_headers(self.sign, secrets, event_id, self.clock(), body)
        return self.webhooks.post(destination.url, body, {"Content-Type": CONTENT_TYPE, **signed}).status

"""The signing secret of a connection's webhook: a new one, while the ones before still sign for a time."""

from dataclasses import dataclass, replace
from datetime import timedelta

from shared.audit import Audit
from shared.codes import Code
from shared.connection_admin.incoming import delivery_woken
from shared.connection_rows import Found, find
from shared.connections import Connection, Destination, connection_key
from shared.errors import Conflict, FieldFault, InvalidRequest, RowChanged, RowExists, RowMissing
from shared.ports import Delete, Operation, Tables, Update, Wakeups
from shared.refusals import refuse_if
from shared.rows import encode
from shared.signing import Signing, signing_versions
from shared.times import from_text, to_text
from shared.waking import wake

OVERLAP_HOURS = 24
MOST_HOURS = 168
MOST_AT_ONCE = 5


@dataclass(frozen=True, slots=True)
class SecretRotation:
    """Rotates signing secrets, which are derived and never stored."""

    tables: Tables
    signing: Signing
    wakeups: Wakeups
    audit: Audit

    def rotate(self, connection_id: str, overlap_hours: int = OVERLAP_HOURS) -> tuple[Connection, str]:
        """
        Return the connection with its next secret, which is shown this once.

        For *overlap_hours* every event bears a signature by the secrets before as well; 0 ends them at once. Repeated
        after a lost answer it gives one more secret, and none that is in use ends early for that. Raises `NotFound`,
        `InvalidRequest`, `Conflict`, and as `Vault.get`.
        """
        if not 0 <= overlap_hours <= MOST_HOURS:
            message = f"overlap_hours must be from 0 to {MOST_HOURS}"
            refuse_if([FieldFault("/overlap_hours", "out_of_range", message)])
        while True:
            found = find(self.tables, connection_id)
            destination = _webhook(found)
            rotated = _rotated(destination, found, timedelta(hours=overlap_hours))
            secret = self.signing.signing_secret(connection_id, rotated.signing_version)
            after = replace(found.connection, destination=rotated, version=found.connection.version + 1)
            if self._written(found, after):
                version = str(rotated.signing_version)
                self.audit.write("connection.rotate_signing", "done", connection_id=connection_id, version=version)
                return after, secret

    def _written(self, found: Found, after: Connection) -> bool:
        """Write the configuration; whoever delivers at this moment with the secrets before ends after its batch."""
        values = {name: encode(after)[name] for name in ("destination", "version")}
        operations: list[Operation] = [Update(connection_key(after.id), values, found.etag(connection_key(after.id)))]
        ended, wakeups = [], []
        live = found.delivery
        if live is not None and live.claim and from_text(live.lease_until) > found.storage_time:
            changed = delivery_woken(found, replace(live, claim="", lease_until=""))
            operations, ended, wakeups = [*operations, *changed.operations], list(changed.ended), changed.wakeups
        while True:
            try:
                self.tables.connections.commit(after.shard, [*operations, *(Delete(key) for key in ended)])
            except RowMissing as error:
                if error.key not in ended:
                    return False
                ended.remove(error.key)
            except (RowChanged, RowExists):
                return False
            else:
                break
        for wakeup in wakeups:
            wake(self.wakeups, wakeup)
        return True


def _webhook(found: Found) -> Destination:
    destination = found.connection.destination
    if destination is None or destination.type != "webhook":
        detail = "Only a connection that delivers to a webhook has a signing secret."
        raise InvalidRequest(detail, code=Code.INVALID_REQUEST)
    return destination


def _rotated(destination: Destination, found: Found, overlap: timedelta) -> Destination:
    now = found.storage_time
    in_use = len(signing_versions(destination, now))
    if overlap and in_use >= MOST_AT_ONCE:
        detail = f"{in_use} signing secrets are in use. Wait for one to end, or rotate with overlap_hours 0."
        raise Conflict(detail)
    # Times that are over stay in line, for their places say which secrets they are of; the oldest go.
    older = destination.signing_superseded[1 - MOST_AT_ONCE :] if overlap else ()
    ends = (*older, to_text(now + overlap)) if overlap else ()
    return replace(
        destination,
        signing_version=destination.signing_version + 1,
        signing_rotated_at=to_text(now),
        signing_superseded=ends,
    )

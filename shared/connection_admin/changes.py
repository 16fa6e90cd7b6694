"""What becomes of a connection: changed, fetched now, deleted."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from shared.audit import Audit
from shared.codes import Code
from shared.connection_admin.folders import refuse_taken_folder, resolve_action
from shared.connection_admin.incoming import Consequences, change_told, consequences, due_now
from shared.connection_admin.rules import (
    AskedAction,
    action_faults,
    destination_faults,
    out_of_range,
    status_webhook_faults,
    wrong_direction,
)
from shared.connection_rows import (
    Found,
    changed_run,
    fence,
    find,
    leave_grant,
    refuse_fetching,
    tidying,
    tombstone,
    tombstone_key,
    woken_by,
)
from shared.connections import Connection, Direction, connection_key, delivery_key, run_key
from shared.errors import (
    Conflict,
    FieldFault,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    RowChanged,
    RowExists,
    RowMissing,
)
from shared.identifiers import hook_secret_name
from shared.keep_rows import deleted, keep_key
from shared.outbox.rows import GATE_KEY
from shared.ports import ANY, Clock, Delete, GraphDirectory, Operation, Tables, Update, Upsert, Vault, Wakeups, Webhooks
from shared.refusals import refuse_if
from shared.rows import encode
from shared.schedule import SEND, Wakeup
from shared.times import from_text
from shared.tokens import Tokens
from shared.waking import wake

FIXED = ("direction", "grant_id", "mailbox", "folder", "start")
MOST_COUNTED = 1000  # one read
_WORK = (
    ("receipts", "wd|", "wd~", "undelivered mails"),
    ("receipts", "wf|", "wf~", "mails still to be fetched again"),
    ("receipts", "wa|", "wa~", "mails still to be marked or moved"),
    ("outbox", "w|", "w~", "open sends"),
)


@dataclass(frozen=True, slots=True)
class ConnectionChanges:
    """The use cases of a connection that exists."""

    tables: Tables
    tokens: Tokens
    directory: GraphDirectory
    webhooks: Webhooks
    wakeups: Wakeups
    audit: Audit
    clock: Clock
    vault: Vault

    def change(
        self, connection_id: str, changes: Mapping[str, Any], if_match: int | None = None, *, dry_run: bool = False
    ) -> Connection:
        """
        Set *changes*, fields of `Connection` (``after_fetch`` as `AskedAction`), and fence a running fetch off.

        A *dry_run* does all but write.

        Raises `NotFound`, `InvalidRequest`, `Conflict` for what cannot change, `PreconditionFailed` where *if_match* is
        not the present version.
        """
        refuse_fixed(changes)
        connection = find(self.tables, connection_id).connection
        refuse_if(self._faults(connection, changes))
        asked = changes.get("after_fetch")
        values = dict(changes)
        if "status_webhook" in values:
            values["destination"] = values.pop("status_webhook")
        if isinstance(asked, AskedAction):
            mailbox = self.tokens.graph_mailbox(connection.grant_id, connection.mailbox)
            values["after_fetch"] = resolve_action(self.directory, mailbox, asked)
            if values["after_fetch"].folder_id == connection.folder_id:
                message = "mail cannot be moved into the folder that is read: it would be fetched again"
                refuse_if([FieldFault("/after_fetch/folder", "same_folder", message)])
        while True:
            found = find(self.tables, connection_id)
            if if_match is not None and if_match != found.connection.version:
                raise PreconditionFailed("The connection has changed since. Read it again and repeat the change.")
            after = replace(found.connection, **_kept(found, values), version=found.connection.version + 1)
            refuse_taken_folder(after, found.rows)
            if dry_run:
                return after
            if self._written(found, after, values):
                self.audit.write(
                    "connection.change", "done", connection_id=connection_id, fields=",".join(sorted(values))
                )
                return after

    def fetch(self, connection_id: str) -> None:
        """
        Make an incoming connection due now, even a stopped one; does nothing more while a fetch is under way.

        Raises `NotFound`, `InvalidRequest` for an outgoing connection, `Conflict` for a disabled one.
        """
        while True:
            found = find(self.tables, connection_id)
            if found.connection.direction is not Direction.INCOMING:
                raise InvalidRequest("An outgoing connection fetches nothing.", code=Code.INVALID_REQUEST)
            if not found.connection.enabled:
                raise Conflict("The connection is disabled. Enable it, and it is fetched at once.")
            run = found.run
            if run.claim and run.next_at and from_text(run.next_at) > found.storage_time:
                return
            changed = due_now(found)
            if self._committed(found.connection, changed.operations, changed.ended):
                self._wake(changed.wakeups)
                self.audit.write("connection.fetch", "done", connection_id=connection_id)
                return

    def delete(self, connection_id: str, *, discard: bool = False, dry_run: bool = False) -> None:
        """
        Remove the connection; a tombstone keeps mailbox, folder and cursor, and its housekeeping purges what it kept.

        No error where it is gone. Raises `Conflict` (work_pending) while mail is fetched, undelivered or not yet
        marked, or sends are open, unless *discard*: mail that is given up is not fetched again. A *dry_run* only asks.
        """
        while True:
            try:
                found = find(self.tables, connection_id)
            except NotFound:
                return
            if not discard:
                refuse_fetching(found)
                self._refuse_pending(connection_id)
            if dry_run:
                return
            outgoing = found.connection.direction is Direction.OUTGOING
            self._forget_secrets(found)
            if outgoing:
                self._close(connection_id, discard=discard)
            if self._removed(found, discard=discard):
                if outgoing:
                    wake(self.wakeups, Wakeup(SEND, connection_id, due=woken_by(found).key))
                leave_grant(self.tables, connection_id, found.connection.grant_id)
                self.audit.write("connection.delete", "discarded" if discard else "done", connection_id=connection_id)
                return

    def _forget_secrets(self, found: Found) -> None:
        """Remove what Key Vault holds for the connection's hooks, while there are rows that name it."""
        first = f"b|{found.connection.box}|hook|"
        for key, row in found.rows.items():
            mine = key.startswith(first) and row.values.get("connection_id") == found.connection.id
            if mine and row.values.get("secret_version"):
                self.vault.delete(hook_secret_name(key.removeprefix(first)))

    def _close(self, connection_id: str, *, discard: bool) -> None:
        """Let no mail in any more, and look once more for those that slipped in before: then the gate opens again."""
        with suppress(RowMissing):
            self.tables.outbox.commit(connection_id, [Delete(GATE_KEY)])
        if discard:
            return
        try:
            self._refuse_pending(connection_id)
        except Conflict:
            self.tables.outbox.commit(connection_id, [Upsert(GATE_KEY, {"open": True})])
            raise

    def _faults(self, connection: Connection, changes: Mapping[str, Any]) -> list[FieldFault]:
        faults = [*wrong_direction(connection.direction, changes), *out_of_range(changes)]
        if isinstance(changes.get("after_fetch"), AskedAction):
            faults += action_faults(changes["after_fetch"])
        if changes.get("status_webhook") is not None:
            faults += status_webhook_faults(changes["status_webhook"], self.webhooks)
        if "destination" in changes:
            destination = changes["destination"]
            missing = FieldFault("/destination", "missing", "an incoming connection cannot be without a destination")
            faults += [missing] if destination is None else destination_faults(destination, self.webhooks)
        return faults

    def _written(self, found: Found, after: Connection, values: Mapping[str, Any]) -> bool:
        """Write config and run at once; the run row's new etag makes a running fetch's commit fail."""
        if after.direction is Direction.INCOMING:
            changed = consequences(found, after, destination="destination" in values, enabled="enabled" in values)
        else:
            changed = _of_outgoing(found, after)
        config = Update(connection_key(after.id), encode(after), found.etag(connection_key(after.id)))
        told = change_told(found, after, values)
        operations = [fence(after.box, found.rows), config, *changed.operations, *told.operations]
        if not self._committed(after, operations, changed.ended):
            return False
        self._wake([*changed.wakeups, *told.wakeups])
        return True

    def _wake(self, wakeups: Sequence[Wakeup]) -> None:
        for wakeup in wakeups:
            wake(self.wakeups, wakeup)

    def _removed(self, found: Found, *, discard: bool) -> bool:
        connection = found.connection
        run, delivery = run_key(connection.id), delivery_key(connection.id)
        kept = self.tables.connections.get(connection.shard, keep_key(connection.id))
        operations: list[Operation] = [
            fence(connection.box, found.rows),
            Upsert(tombstone_key(connection.id), encode(tombstone(found, discarded=discard))),
            Delete(connection_key(connection.id), found.etag(connection_key(connection.id))),
            Delete(run, found.etag(run)),
            *deleted(kept, connection.id, found.storage_time),
        ]
        dues = [found.run.due]
        if found.delivery is not None:
            operations.append(Delete(delivery, found.etag(delivery)))
            dues.append(found.delivery.due)
        if connection.direction is Direction.OUTGOING:
            last = woken_by(found)
            operations += [Upsert(one.key, one.values) for one in (last, tidying(found))]
            dues = [due for due in dues if due != last.key]
        dues.append(str(kept.values.get("due", "")) if kept else "")
        operations += [
            Delete(key, ANY)
            for key, row in found.rows.items()
            if key.startswith((f"b|{connection.box}|tok|", f"b|{connection.box}|hook|"))
            and row.values.get("connection_id") == connection.id
        ]
        return self._committed(connection, operations, [due for due in dues if due])

    def _committed(self, connection: Connection, operations: list[Operation], dues: list[str]) -> bool:
        """Commit together with the removal of due rows that may have been moved on meanwhile; False to look again."""
        left = list(dues)
        while True:
            try:
                self.tables.connections.commit(connection.shard, [*operations, *(Delete(key, ANY) for key in left)])
            except RowMissing as error:
                if error.key not in left:
                    return False
                left.remove(error.key)
            except (RowChanged, RowExists):
                return False
            else:
                return True

    def _refuse_pending(self, connection_id: str) -> None:
        counts = []
        for name, first, last, words in _WORK:
            table = self.tables.receipts if name == "receipts" else self.tables.outbox
            number = len(table.read(connection_id, first, last, MOST_COUNTED + 1).rows)
            if number:
                counts.append(f"{number if number <= MOST_COUNTED else f'more than {MOST_COUNTED}'} {words}")
        if counts:
            detail = f"There is work left: {' and '.join(counts)}. Wait, or delete with ?discard=true to give it up."
            raise Conflict(detail, Code.WORK_PENDING)


def _of_outgoing(found: Found, after: Connection) -> Consequences:
    """Return what changing an outgoing connection means: once enabled again it sends what it let pass."""
    run = replace(found.run, config_version=after.version)
    if not after.enabled or found.connection.enabled:
        return Consequences([changed_run(found, run)], [], [])
    run, due = replace(run, fault=None, failures=0, failing_since=""), woken_by(found)
    # No seq: the run waits for the end of the hold, and word of that state would be dropped.
    wakeups = [Wakeup(SEND, found.connection.id, due=due.key)]
    return Consequences([changed_run(found, run), Upsert(due.key, due.values)], [], wakeups)


def _kept(found: Found, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return *values* with what they leave as it is: limits not named, a new destination's secrets and events."""
    if "limits" in values:
        values = {**values, "limits": replace(found.connection.limits, **values["limits"])}
    new, old = values.get("destination"), found.connection.destination
    if new is None:
        return dict(values)
    if old is None:  # the secrets of a webhook that was taken away do not come back
        return {**values, "destination": replace(new, signing_version=found.connection.version + 1)}
    kept = {name: getattr(old, name) for name in ("signing_version", "signing_rotated_at", "signing_superseded")}
    return {**values, "destination": replace(new, **kept, events=new.events or old.events)}


def refuse_fixed(changes: Mapping[str, Any]) -> None:
    """Raise `Conflict` for what a connection keeps for life."""
    fixed = [name for name in FIXED if name in changes]
    if fixed:
        detail = f"{', '.join(fixed)} cannot change. Delete the connection and create it anew."
        raise Conflict(detail)

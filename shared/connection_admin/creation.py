"""How a connection comes to be: mailbox and folder resolved, its place in the grant noted, its rows made at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared.aftercare import Aftercare
from shared.audit import Audit
from shared.connection_admin.folders import refuse_taken_folder, resolve_action, resolve_folder
from shared.connection_admin.heirs import Heir, first_run, heir_of
from shared.connection_admin.rules import START_NOW, NewConnection, faults_of, not_previewed
from shared.connection_rows import fence, join_grant, leave_grant, tombstone_key
from shared.connections import (
    Connection,
    Delivery,
    Direction,
    Run,
    box_key,
    connection_key,
    delivery_key,
    run_key,
)
from shared.errors import (
    Conflict,
    FieldFault,
    InvalidRequest,
    MailboxFault,
    NotFound,
    RowChanged,
    RowExists,
)
from shared.identifiers import app_hash, box_hash, new_connection_id
from shared.keep_rows import first_keeping
from shared.outbox.rows import GATE_KEY
from shared.ports import Clock, GraphDirectory, Insert, MailCount, Operation, Row, Tables, Upsert, Wakeups, Webhooks
from shared.refusals import refuse_if
from shared.registry import Registry
from shared.rows import encode
from shared.schedule import FETCH, SEND, DueRow, Wakeup
from shared.times import to_text
from shared.tokens import Tokens
from shared.turns import Box
from shared.waking import wake


@dataclass(frozen=True, slots=True)
class Preview:
    """How many mails a new connection would take, received at *since* (RFC 3339, '' for ever) or later."""

    count: MailCount
    since: str


@dataclass(frozen=True, slots=True)
class ConnectionCreation:
    """The use case of making a connection; with *turns_by_app* all new ones of an app share one turn."""

    tables: Tables
    tokens: Tokens
    directory: GraphDirectory
    webhooks: Webhooks
    wakeups: Wakeups
    audit: Audit
    clock: Clock
    turns_by_app: bool = False

    def create(self, asked: NewConnection, fields: Mapping[str, Any]) -> Connection:
        """
        Make a connection; *fields* is the request as sent, for naming faults.

        Raises `InvalidRequest` that names every fault, `Conflict` (folder_in_use), and the `Fault` of grant or Graph.
        """
        refuse_if(faults_of(asked, fields, self.webhooks))
        connection = self._resolved(asked)
        join_grant(self.tables, connection)
        if connection.direction is Direction.OUTGOING:
            self.tables.outbox.commit(connection.id, [Upsert(GATE_KEY, {"open": True})])
        try:
            connection = self._insert(connection, asked.continue_from)
        except (Conflict, InvalidRequest):
            leave_grant(self.tables, connection.id, connection.grant_id)
            raise
        self.audit.write("connection.create", "done", connection_id=connection.id, grant_id=connection.grant_id)
        return connection

    def preview(self, asked: NewConnection, fields: Mapping[str, Any]) -> Preview:
        """
        Return how much mail the connection would take at its start, and make nothing.

        Raises as `create` does.
        """
        connection, now = self._examined(asked, fields, not_previewed(asked))
        since = first_run(connection, now).since
        if connection.start == START_NOW:
            return Preview(MailCount(0, exact=True), since)
        mailbox = self.tokens.graph_mailbox(connection.grant_id, connection.mailbox)
        return Preview(self.directory.mail_count(mailbox, connection.folder_id, since), since)

    def examine(self, asked: NewConnection, fields: Mapping[str, Any]) -> None:
        """Refuse what `create` would refuse at this moment, and make nothing. Raises as `create` does."""
        self._examined(asked, fields)

    def _examined(
        self, asked: NewConnection, fields: Mapping[str, Any], more: Iterable[FieldFault] = ()
    ) -> tuple[Connection, datetime]:
        """Return the connection as it would be, and storage's time; *more* are faults that stand beside its own."""
        refuse_if([*more, *faults_of(asked, fields, self.webhooks)])
        connection = self._resolved(asked)
        box, shard = connection.box, connection.shard
        read = self.tables.connections.read(shard, f"b|{box}|", f"b|{box}~")
        refuse_taken_folder(connection, {row.key: row for row in read.rows})
        return connection, read.storage_time

    def _box(self, client_id: str, tenant: str, mailbox: str) -> str:
        return app_hash(client_id) if self.turns_by_app else box_hash(client_id, tenant, mailbox)

    def _resolved(self, asked: NewConnection) -> Connection:
        """Return the connection with mailbox and folders as Graph knows them; ids for good, names as labels."""
        registry = Registry(self.tables)
        try:
            grant = registry.grant(asked.grant_id).record
        except NotFound as error:
            raise InvalidRequest(error.detail, [FieldFault("/grant_id", "not_found", error.detail)]) from None
        credential = registry.credential(grant.credential_id).record
        mailbox = self.tokens.graph_mailbox(grant.id, asked.mailbox)
        try:
            person = self.directory.person(mailbox)
        except MailboxFault as fault:
            raise InvalidRequest(
                fault.detail, [FieldFault("/mailbox", fault.code.value, fault.detail)], fault.code
            ) from None
        mailbox = replace(mailbox, user=person.id)
        connection = Connection(
            id=new_connection_id(self._box(credential.client_id, grant.tenant, person.id)),
            direction=asked.direction,
            name=asked.name,
            grant_id=grant.id,
            tenant=grant.tenant,
            mailbox=person.id,
            address=person.address,
            mailbox_name=person.name,
            created_at=to_text(self.clock()),
            enabled=asked.enabled,
            **asked.options,
        )
        if asked.direction is Direction.OUTGOING:
            return replace(connection, destination=asked.destination)
        folder_id, folder_name = resolve_folder(self.directory, mailbox, asked.folder, "/folder")
        action = resolve_action(self.directory, mailbox, asked.after_fetch)
        if action.folder_id == folder_id:
            message = "mail cannot be moved into the folder that is read: it would be fetched again"
            refuse_if([FieldFault("/after_fetch/folder", "same_folder", message)])
        return replace(
            connection,
            folder_id=folder_id,
            folder_name=folder_name,
            start=asked.start,
            after_fetch=action,
            destination=asked.destination,
        )

    def _insert(self, connection: Connection, continue_from: str) -> Connection:
        """Make all rows in one transaction, fenced against other changes to the mailbox's connections."""
        box, shard = connection.box, connection.shard
        while True:
            read = self.tables.connections.read(shard, f"b|{box}|", f"b|{box}~")
            rows = {row.key: row for row in read.rows}
            refuse_taken_folder(connection, rows)
            now = read.storage_time
            heir = Heir(connection, first_run(connection, now))
            if continue_from:
                heir = heir_of(connection, continue_from, rows)
            connection = heir.connection
            operations = [fence(box, rows), *_rows_of(heir, now, rows), *first_keeping(connection, now)]
            if box_key(box) not in rows:
                operations.append(Insert(box_key(box), encode(Box())))
            try:
                self.tables.connections.commit(shard, operations)
            except (RowChanged, RowExists):
                continue
            if connection.direction is Direction.INCOMING and connection.enabled:
                due = DueRow(now, FETCH, connection.id)
                wake(self.wakeups, Wakeup(FETCH, connection.id, 0, due.key))
            return connection


def _rows_of(heir: Heir, now: datetime, rows: Mapping[str, Row]) -> list[Operation]:
    """Return the rows of a new connection; *rows* are those of its mailbox."""
    connection, run = heir.connection, heir.run
    config = Insert(connection_key(connection.id), encode(connection))
    if connection.direction is Direction.OUTGOING:
        return [config, *_first_of_outgoing(connection, now, rows)]
    delivery = Insert(delivery_key(connection.id), encode(Delivery(connection.id)))
    made: list[Operation] = [config, delivery, *heir.operations]
    if not connection.enabled:  # it is due once it is enabled
        return [*made, Insert(run_key(connection.id), encode(run))]
    due = DueRow(now, FETCH, connection.id)
    run = replace(run, next_at=to_text(now), due=due.key)
    return [*made, Insert(run_key(connection.id), encode(run)), due.insert()]


def _first_of_outgoing(connection: Connection, now: datetime, rows: Mapping[str, Row]) -> list[Operation]:
    """Return the first run; after a connection that was deleted it removes that one's old drafts, sent from or not."""
    run = Run(connection.id)
    if not any(key.startswith(tombstone_key(f"conn_{connection.box}")) for key in rows):
        return [Insert(run_key(connection.id), encode(run))]
    care = Aftercare().after_working(now)
    at = care.next_at() or now
    due = DueRow(at, SEND, connection.id)
    run = replace(run, aftercare=care, next_at=to_text(at), due=due.key)
    return [due.insert(), Insert(run_key(connection.id), encode(run))]

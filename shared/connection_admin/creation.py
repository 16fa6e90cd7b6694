"""How a connection comes to be: mailbox and folder resolved, its place in the grant noted, its rows made at once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared.audit import Audit
from shared.connection_admin.folders import refuse_taken_folder, resolve_action, resolve_folder
from shared.connection_admin.rules import START_ALL, START_NOW, NewConnection, faults_of
from shared.connection_rows import fence, join_grant, leave_grant
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
from shared.identifiers import box_hash, new_connection_id
from shared.outbox.rows import GATE_KEY
from shared.ports import Clock, GraphDirectory, Insert, Operation, Tables, Upsert, Wakeups, Webhooks
from shared.refusals import refuse_if
from shared.registry import Registry
from shared.rows import encode
from shared.schedule import FETCH, DueRow, Wakeup
from shared.times import from_text, to_text
from shared.tokens import Tokens
from shared.turns import Box
from shared.waking import wake


@dataclass(frozen=True, slots=True)
class ConnectionCreation:
    """The use case of making a connection."""

    tables: Tables
    tokens: Tokens
    directory: GraphDirectory
    webhooks: Webhooks
    wakeups: Wakeups
    audit: Audit
    clock: Clock

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
            self._insert(connection)
        except Conflict:
            leave_grant(self.tables, connection.id, connection.grant_id)
            raise
        self.audit.write("connection.create", "done", connection_id=connection.id, grant_id=connection.grant_id)
        return connection

    def _resolved(self, asked: NewConnection) -> Connection:
        """Return the connection with mailbox and folders as Graph knows them; ids for good, names as labels."""
        registry = Registry(self.tables)
        try:
            grant = registry.grant(asked.grant_id).record
        except NotFound as error:
            raise InvalidRequest(error.detail, [FieldFault("/grant_id", "not_found", error.detail)]) from None
        credential = registry.credential(grant.credential_id).record
        if asked.direction is Direction.INCOMING and not credential.place.has_delta:
            message = f"mail cannot be fetched from the cloud {credential.cloud} yet: its Graph has no delta query"
            refuse_if([FieldFault("/direction", "not_in_this_cloud", message)])
        mailbox = self.tokens.graph_mailbox(grant.id, asked.mailbox)
        try:
            person = self.directory.person(mailbox)
        except MailboxFault as fault:
            raise InvalidRequest(
                fault.detail, [FieldFault("/mailbox", fault.code.value, fault.detail)], fault.code
            ) from None
        mailbox = replace(mailbox, user=person.id)
        connection = Connection(
            id=new_connection_id(box_hash(credential.client_id, grant.tenant, person.id)),
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
            return connection
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

    def _insert(self, connection: Connection) -> None:
        """Make all rows in one transaction, fenced against other changes to the mailbox's connections."""
        box, shard = connection.box, connection.shard
        while True:
            read = self.tables.connections.read(shard, f"b|{box}|", f"b|{box}~")
            rows = {row.key: row for row in read.rows}
            refuse_taken_folder(connection, rows)
            now = read.storage_time
            operations = [fence(box, rows), *_rows_of(connection, now)]
            if box_key(box) not in rows:
                operations.append(Insert(box_key(box), encode(Box())))
            try:
                self.tables.connections.commit(shard, operations)
            except (RowChanged, RowExists):
                continue
            if connection.direction is Direction.INCOMING and connection.enabled:
                due = DueRow(now, FETCH, connection.id)
                wake(self.wakeups, Wakeup(FETCH, connection.id, 0, due.key))
            return


def _rows_of(connection: Connection, now: datetime) -> list[Operation]:
    config = Insert(connection_key(connection.id), encode(connection))
    if connection.direction is Direction.OUTGOING:
        return [config, Insert(run_key(connection.id), encode(Run(connection.id)))]
    delivery = Insert(delivery_key(connection.id), encode(Delivery(connection.id)))
    run = Run(connection.id, since=_since(connection, now))
    if not connection.enabled:  # it is due once it is enabled
        return [config, Insert(run_key(connection.id), encode(run)), delivery]
    due = DueRow(now, FETCH, connection.id)
    run = replace(run, next_at=to_text(now), due=due.key)
    return [config, Insert(run_key(connection.id), encode(run)), delivery, due.insert()]


def _since(connection: Connection, now: datetime) -> str:
    """Return the time before which nothing is taken, '' where everything is; *now* is storage's, not the host's."""
    if connection.start == START_ALL:
        return ""
    return to_text(now) if connection.start == START_NOW else to_text(from_text(connection.start))

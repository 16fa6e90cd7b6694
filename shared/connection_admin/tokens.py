"""Tokens of a connection: each has one scope, is shown once, and is known by its hash only."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from shared.audit import Audit
from shared.codes import Code
from shared.connection_rows import find
from shared.connections import Connection, connection_key, token_key
from shared.errors import Conflict, InvalidRequest, NotFound, Refused, RowChanged, RowExists, RowMissing, StorageError
from shared.identifiers import BOX_LENGTH, Token, box_of, is_ulid, new_token, new_ulid, parse_token, same_hash, shard_of
from shared.ports import ANY, Clock, Delete, Insert, Tables, Update
from shared.rates import Rates
from shared.rows import decode, encode, readable
from shared.times import from_text, to_text

SEND = "send"
RECEIVE = "receive"
SCOPES = (SEND, RECEIVE)
MOST_PER_SCOPE = 2
SEEN_EVERY = timedelta(minutes=1)
_REFUSED = "This token is not one of ours. Make one with POST connections/{id}/tokens."
_UNKNOWN = "There is no such connection for this token. It may have been revoked, or be of another scope."


@dataclass(frozen=True, slots=True)
class ConnectionToken:
    """A token's row; its id begins with the connection's box hash."""

    id: str
    connection_id: str
    scope: str
    secret_hash: str
    created_at: str
    last_used_at: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionTokens:
    """Makes, lists and revokes tokens, and recognises them."""

    tables: Tables
    audit: Audit
    clock: Clock
    rates: Rates = field(default_factory=Rates)

    def create(self, connection_id: str, scope: str) -> tuple[ConnectionToken, Token]:
        """
        Make a token and return its row and its text, which is shown this once.

        Raises `NotFound`, `InvalidRequest` for a scope that the direction does not have, `Conflict` beyond two.
        """
        while True:
            found = find(self.tables, connection_id)
            connection = found.connection
            wanted = SEND if connection.direction.value == "outgoing" else RECEIVE
            if scope != wanted:
                detail = f"Tokens of {connection.direction.value} connections have the scope {wanted}."
                raise InvalidRequest(detail)
            if len([token for token in self._of(connection) if token.scope == scope]) >= MOST_PER_SCOPE:
                raise Conflict("Two tokens of a scope may be valid at a time. Revoke one first.", Code.CONFLICT)
            token = new_token(scope, f"{connection.box}{new_ulid()}")
            row = ConnectionToken(token.id, connection_id, scope, token.secret_hash, to_text(self.clock()))
            config = connection_key(connection_id)
            fence = Update(config, {"version": connection.version}, found.etag(config))
            try:
                self.tables.connections.commit(connection.shard, [fence, Insert(token_key(token.id), encode(row))])
            except (RowChanged, RowExists, RowMissing):
                continue
            self.audit.write("token.create", scope, connection_id=connection_id, token_id=token.id)
            return row, token

    def of(self, connection_id: str) -> list[ConnectionToken]:
        """Return the tokens of a connection, newest first. Raises `NotFound`."""
        return self._of(find(self.tables, connection_id).connection)

    def delete(self, connection_id: str, token_id: str) -> None:
        """Revoke a token; no error where it is gone."""
        box = box_of(connection_id)
        if not _is_token_id(token_id) or not token_id.startswith(box):
            return
        row = self.tables.connections.get(shard_of(box), token_key(token_id))
        if row is None or row.values.get("connection_id") != connection_id:
            return
        with suppress(RowMissing):
            self.tables.connections.commit(shard_of(box), [Delete(token_key(token_id), ANY)])
        self.audit.write("token.delete", "done", connection_id=connection_id, token_id=token_id)

    def authenticate(self, text: str, scope: str) -> Connection:
        """
        Return the connection that a caller's token names.

        Form and checksum are checked before any storage call. Raises `Refused` (token_missing, token_refused),
        `NotFound` where the token is of another scope, revoked, or never was, and `TooMany`.
        """
        if not text:
            detail = "Send the connection's token as Bearer, in X-Mailgrant-Token, or as the password of HTTP Basic."
            raise Refused(detail, Code.TOKEN_MISSING)
        if any(parse_token(text, other) for other in SCOPES if other != scope):
            raise NotFound(_UNKNOWN)
        token = parse_token(text, scope)
        if token is None or not _is_token_id(token.id):
            raise Refused(_REFUSED, Code.TOKEN_REFUSED)
        shard = shard_of(token.id)
        row = self.tables.connections.get(shard, token_key(token.id))
        if row is None or not same_hash(str(row.values.get("secret_hash", "")), token.secret_hash):
            raise NotFound(_UNKNOWN)
        known = decode(ConnectionToken, row.values)
        config = self.tables.connections.get(shard, connection_key(known.connection_id))
        if config is None or known.scope != scope:
            raise NotFound(_UNKNOWN)
        self.rates.take(known.id)
        self._seen(shard, known)
        return decode(Connection, config.values)

    def _of(self, connection: Connection) -> list[ConnectionToken]:
        first = f"b|{connection.box}|tok|"
        rows = self.tables.connections.read(connection.shard, first, f"{first[:-1]}~").rows
        tokens = [readable(ConnectionToken, row.key, row.values) for row in rows]
        mine = [token for token in tokens if token and token.connection_id == connection.id]
        return sorted(mine, key=lambda token: token.id, reverse=True)

    def _seen(self, shard: str, token: ConnectionToken) -> None:
        """Note the last use, at most once a minute; a lost note harms nobody."""
        now = self.clock()
        if token.last_used_at and now - from_text(token.last_used_at) < SEEN_EVERY:
            return
        with suppress(StorageError):
            self.tables.connections.commit(shard, [Update(token_key(token.id), {"last_used_at": to_text(now)}, ANY)])


def _is_token_id(text: str) -> bool:
    box, ulid = text[:BOX_LENGTH], text[BOX_LENGTH:]
    return len(box) == BOX_LENGTH and all(c in "0123456789abcdef" for c in box) and is_ulid(ulid)

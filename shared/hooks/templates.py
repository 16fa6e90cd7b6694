"""Templates of a connection: stored whole or not at all, checked before they are kept, and rendered for a payload."""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from shared.audit import Audit
from shared.connection_rows import find
from shared.connections import Connection, Direction
from shared.errors import (
    Conflict,
    FieldFault,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    RowChanged,
    RowExists,
    RowMissing,
    TemplateRefused,
)
from shared.hooks.rows import hooks_of
from shared.identifiers import is_connection_id
from shared.ports import ANY, Clock, Delete, Insert, Operation, Row, Tables, Update
from shared.rows import Value
from shared.times import to_text

if TYPE_CHECKING:
    from shared.templating import Source

RECIPIENTS = ("to", "cc", "bcc")
PARTS = (*RECIPIENTS, "reply_to", "subject", "text", "html")
FIRST, LAST = "tpl|", "tpl~"
MOST_TEMPLATES = 100
MOST_RECIPIENTS = 50
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
MOST_CHARACTERS = 240_000
"""Of all parts of a template: a row takes 1 MiB of UTF-16, in which some characters take four bytes."""
_PIECE = 16_000
"""Characters of one table property, which takes 64 KiB of UTF-16; some characters take two units of it."""
_SEPARATORS = re.compile(r"[,;\n]")


@dataclass(frozen=True, slots=True)
class Stored:
    """A template as it is kept: the sources of its *parts*, and its *version*."""

    connection_id: str
    name: str
    parts: Mapping[str, str]
    version: int
    updated_at: str

    def compiled(self) -> "dict[str, Source]":
        """Return its parts, ready to be rendered."""
        return compiled(self.parts)


@dataclass(frozen=True, slots=True)
class MailTemplates:
    """Keeps the templates of outgoing connections, each in one row of the outbox."""

    tables: Tables
    audit: Audit
    clock: Clock

    def put(self, connection_id: str, name: str, parts: Mapping[str, str], if_version: int | None = None) -> Stored:
        """
        Make a template or replace it.

        Raises `NotFound`, `InvalidRequest` naming the part and the line, `Conflict` beyond 100 templates, and
        `PreconditionFailed` where *if_version* is not the version that stands.
        """
        connection = self._connection(connection_id)
        refuse(faults_of(connection, name, parts))
        for _ in range(4):
            before = self._find(connection_id, name)
            if if_version is not None and if_version != (before[0].version if before else 0):
                raise PreconditionFailed("The template was changed since. Read it again, then repeat the change.")
            if before is None and len(self.all(connection_id)) >= MOST_TEMPLATES:
                raise Conflict(f"A connection may have {MOST_TEMPLATES} templates. Delete one first.")
            after = Stored(connection_id, name, dict(parts), before[0].version + 1 if before else 1, self._now())
            try:
                self.tables.outbox.commit(connection_id, [_write(after, before[1] if before else "")])
            except (RowExists, RowChanged, RowMissing):
                continue
            self.audit.write("template.put", name, connection_id=connection_id)
            return after
        raise Conflict("The template is being changed by somebody else. Repeat the request.")

    def get(self, connection_id: str, name: str) -> Stored:
        """Return a template. Raises `NotFound`."""
        known = is_connection_id(connection_id) and _NAME.fullmatch(name)  # no key of a row may hold every character
        found = self._find(connection_id, name) if known else None
        if found is None:
            raise NotFound("There is no such template. GET connections/{id}/templates lists those there are.")
        return found[0]

    def all(self, connection_id: str) -> list[Stored]:
        """Return a connection's templates by name. Raises `NotFound`."""
        self._connection(connection_id)
        return [_read(connection_id, row) for row in self.tables.outbox.read(connection_id, FIRST, LAST).rows]

    def delete(self, connection_id: str, name: str) -> None:
        """Remove a template, no error where it is gone. Raises `Conflict` while a hook uses it."""
        if not is_connection_id(connection_id) or not _NAME.fullmatch(name):
            return  # there can be none, and no key of a row may hold every character
        using = [hook.id for hook in hooks_of(self.tables, connection_id) if hook.template == name]
        if using:
            raise Conflict(f"{len(using)} hooks use this template. Delete them first.")
        try:
            self.tables.outbox.commit(connection_id, [Delete(_key(name), ANY)])
        except RowMissing:
            return
        self.audit.write("template.delete", name, connection_id=connection_id)

    def _connection(self, connection_id: str) -> Connection:
        connection = find(self.tables, connection_id).connection
        if connection.direction is not Direction.OUTGOING:
            raise Conflict("Templates belong to outgoing connections; this one is incoming.")
        return connection

    def _find(self, connection_id: str, name: str) -> tuple[Stored, str] | None:
        row = self.tables.outbox.get(connection_id, _key(name))
        return (_read(connection_id, row), row.etag) if row else None

    def _now(self) -> str:
        return to_text(self.clock())


def faults_of(connection: Connection, name: str, parts: Mapping[str, str]) -> list[FieldFault]:
    """Return everything that is wrong with a template before it is stored."""
    faults = []
    if not _NAME.fullmatch(name):
        message = "a name has at most 64 small letters, digits, hyphens and underscores"
        faults.append(FieldFault("?name", "invalid", message))
    if len(_text_of(parts)) > MOST_CHARACTERS:
        message = f"all parts together take more than {MOST_CHARACTERS} characters as JSON, where some signs take six"
        faults.append(FieldFault("", "too_long", message))
    given = {part: source for part, source in parts.items() if source}
    if not any(part in given for part in RECIPIENTS):
        faults.append(FieldFault("/to", "missing", "give recipients in to, cc or bcc"))
    if "text" not in given and "html" not in given:
        faults.append(FieldFault("/text", "missing", "give text, html or both"))
    for part, source in given.items():
        try:
            made = checked(source, html=part == "html")
        except TemplateRefused as error:
            faults.append(FieldFault(f"/{part}", "not_a_template", str(error)))
            continue
        if part in RECIPIENTS and not made.constant and not connection.recipient_allow_list:
            message = "recipients from the payload need the connection's recipient_allow_list; set it first"
            faults.append(FieldFault(f"/{part}", "needs_allow_list", message))
    return faults


def refuse(faults: list[FieldFault]) -> None:
    """Raise `InvalidRequest` where there are *faults*."""
    if faults:
        names = ", ".join(dict.fromkeys(fault.pointer for fault in faults))
        raise InvalidRequest(f"The template has {len(faults)} faults: {names}. See errors for each.", faults)


def checked(source: str, *, html: bool) -> "Source":
    """Return *source*, ready to be rendered. Raises `TemplateRefused`."""
    # Jinja takes a twentieth of a cold start, and hardly any start needs it.
    from shared import templating  # noqa: PLC0415 - see above

    return templating.checked(source, html=html)


def compiled(parts: Mapping[str, str]) -> "dict[str, Source]":
    """Return the *parts* that are not empty, ready to be rendered. Raises `TemplateRefused`."""
    return {part: checked(source, html=part == "html") for part, source in parts.items() if source}


@lru_cache(maxsize=256)
def compiled_once(parts: tuple[tuple[str, str], ...]) -> "dict[str, Source]":
    """Return what `compiled` does, kept for the next call of the same hook."""
    return compiled(dict(parts))


def render(parts: "Mapping[str, Source]", variables: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the mail for *variables* as a body of ``POST messages``.

    Raises `InvalidRequest` naming the part that cannot be rendered with this payload.
    """
    made: dict[str, Any] = {}
    for part, source in parts.items():
        try:
            text = source.render(variables).encode("utf-8", "replace").decode().replace("\x00", "")
        except TemplateRefused as error:
            raise InvalidRequest(
                f"The template's {part} cannot be rendered: {error}",
                [FieldFault(f"/{part}", "not_rendered", str(error))],
            ) from None
        if part in (*RECIPIENTS, "reply_to"):
            made[part] = [item for piece in _SEPARATORS.split(text) if (item := piece.strip())]
        else:
            made[part] = _one_line(text) if part == "subject" else text
    count = sum(len(made.get(part, ())) for part in RECIPIENTS)
    if count > MOST_RECIPIENTS:
        message = f"the template makes {count} recipients; a hook's mail may have {MOST_RECIPIENTS}"
        raise InvalidRequest(message, [FieldFault("/to", "too_many", message)])
    return made


def _one_line(text: str) -> str:
    plain = "".join(" " if unicodedata.category(sign) in ("Cc", "Zl", "Zp") else sign for sign in text)
    return " ".join(plain.split())


def _key(name: str) -> str:
    return f"{FIRST}{name}"


def _text_of(parts: Mapping[str, str]) -> str:
    return json.dumps(dict(parts), ensure_ascii=False)


def _write(template: Stored, etag: str) -> Operation:
    text = _text_of(template.parts)
    pieces = [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
    values: dict[str, Value] = {"version": template.version, "updated_at": template.updated_at, "pieces": len(pieces)}
    values |= {f"piece{number}": piece for number, piece in enumerate(pieces)}
    return Update(_key(template.name), values, etag) if etag else Insert(_key(template.name), values)


def _read(connection_id: str, row: Row) -> Stored:
    pieces = [str(row.values.get(f"piece{number}", "")) for number in range(int(row.values.get("pieces", 0)))]
    parts = json.loads("".join(pieces) or "{}")
    version, updated = int(row.values.get("version", 0)), str(row.values.get("updated_at", ""))
    return Stored(connection_id, row.key.partition("|")[2], parts, version, updated)

"""Hooks of a connection: each is one address that can do nothing but send one template."""

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from shared.audit import Audit
from shared.codes import Code
from shared.connection_rows import find
from shared.connections import Connection, connection_key
from shared.errors import (
    Conflict,
    FieldFault,
    InvalidRequest,
    NotFound,
    Refused,
    RowChanged,
    RowExists,
    RowMissing,
    TemplateRefused,
)
from shared.hooks.payloads import payload_of
from shared.hooks.rows import Hook, hook_key, hooks_of
from shared.hooks.templates import MailTemplates, Stored, checked, compiled_once, faults_of, refuse, render
from shared.identifiers import (
    BOX_LENGTH,
    Token,
    box_of,
    hook_secret_name,
    is_ulid,
    new_token,
    new_ulid,
    parse_token,
    same_hash,
    shard_of,
)
from shared.ports import ANY, Clock, Delete, Insert, Tables, Update, Vault
from shared.rates import Rates
from shared.rows import decode, encode
from shared.signing import Signing
from shared.times import to_text

KIND = "hook"
STANDARD, HMAC = "standard_webhooks", "hmac_sha256"
MOST_HOOKS = 20
MOST_KEY = 255
DEDUPE_BYTES = 1024
LEAST_SECRET_BYTES = 16
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_UNKNOWN = "There is no such hook. It may have been revoked."
Verified = Callable[[str, bytes, Mapping[str, str]], bool]
"""Tells whether a body bears a valid signature of Standard Webhooks by a secret."""


@dataclass(frozen=True, slots=True)
class NewHook:
    """What a person asks for; *secret* is the source's own, '' for one that is made here."""

    template: str
    verify: str = ""
    header: str = ""
    secret: str = field(default="", repr=False)
    dedupe_key: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """A new hook, its *token*, and the *secret* to give to its source ('' where it signs by its own, or not at all)."""

    hook: Hook
    token: Token
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """What a source sent; header names in lower case."""

    body: bytes = field(repr=False)
    content_type: str
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rendered:
    """The mail that a call asks for, as a body of ``POST messages``; *key* is the hook's own idempotency key."""

    hook: Hook
    connection: Connection
    mail: Mapping[str, Any] = field(repr=False)
    key: str = ""

    def key_of(self, sent: str) -> str:
        """
        Return the key of the call, whose source gave *sent* ('' for none).

        It counts for this hook alone: a source gives one id to all whom it tells of an event, each with its own mail.
        """
        return f"hook:{self.hook.id}:sent:{sent}" if sent else self.key


@dataclass(frozen=True, slots=True)
class Hooks:
    """Makes, lists and revokes hooks, and turns calls of them into mails."""

    tables: Tables
    templates: MailTemplates
    vault: Vault
    signing: Signing
    verified: Verified
    audit: Audit
    clock: Clock
    rates: Rates = field(default_factory=Rates)

    def create(self, connection_id: str, asked: NewHook) -> Made:
        """
        Make a hook; its token and secret are shown this once.

        Raises `NotFound`, `InvalidRequest`, `Conflict` beyond 20, `CredentialFault` where the vault keeps no secret.
        """
        refuse(list(_faults(asked)))
        for _ in range(4):
            found = find(self.tables, connection_id)
            template = self._template(connection_id, asked.template)
            refuse(faults_of(found.connection, template.name, template.parts))
            if len(hooks_of(self.tables, connection_id)) >= MOST_HOOKS:
                raise Conflict(f"A connection may have {MOST_HOOKS} hooks. Delete one first.")
            token = new_token(KIND, f"{found.connection.box}{new_ulid()}")
            version = self.vault.put(hook_secret_name(token.id), asked.secret) if asked.secret else ""
            hook = Hook(
                token.id,
                connection_id,
                asked.template,
                token.secret_hash,
                to_text(self.clock()),
                asked.verify,
                asked.header,
                version,
                asked.dedupe_key,
            )
            config = connection_key(connection_id)
            fence = Update(config, {"version": found.connection.version}, found.etag(config))
            try:
                self.tables.connections.commit(found.connection.shard, [fence, Insert(hook_key(hook.id), encode(hook))])
            except (RowChanged, RowExists, RowMissing):
                self._forget_secret(hook)
                continue
            self.audit.write("hook.create", asked.template, connection_id=connection_id, hook_id=hook.id)
            return Made(hook, token, self._own_secret(hook) if asked.verify and not asked.secret else "")
        raise Conflict("The connection is being changed by somebody else. Repeat the request.")

    def of(self, connection_id: str) -> list[Hook]:
        """Return the hooks of a connection, newest first. Raises `NotFound`."""
        return hooks_of(self.tables, connection_id)

    def delete(self, connection_id: str, hook_id: str) -> None:
        """Revoke a hook; no error where it is gone."""
        if not _is_hook_id(hook_id) or not hook_id.startswith(box_of(connection_id)):
            return
        row = self.tables.connections.get(shard_of(hook_id), hook_key(hook_id))
        if row is None or row.values.get("connection_id") != connection_id:
            return
        self._forget_secret(decode(Hook, row.values))  # first, so that a repeat finds what a death has left
        with suppress(RowMissing):
            self.tables.connections.commit(shard_of(hook_id), [Delete(hook_key(hook_id), ANY)])
        self.audit.write("hook.delete", "done", connection_id=connection_id, hook_id=hook_id)

    def render(self, token: str, call: Call) -> Rendered:
        """
        Return the mail that a call of a hook asks for.

        Form and checksum of the token are checked before any storage call. Raises `NotFound`, `Refused` for a missing
        or wrong signature, `TooMany`, and `InvalidRequest` for a body that cannot be read or rendered.
        """
        hook, connection = self._authenticated(token)
        self._verify(hook, call)
        template = self._template(hook.connection_id, hook.template)
        variables = {"payload": payload_of(call.body, call.content_type), "received_at": to_text(self.clock())}
        refuse(faults_of(connection, template.name, template.parts))  # the allow-list may have gone since
        mail = render(compiled_once(tuple(sorted(template.parts.items()))), variables)
        return Rendered(hook, connection, mail, _key(hook, variables))

    def preview(self, connection_id: str, name: str, parts: Mapping[str, str] | None, payload: Any) -> dict[str, Any]:
        """Return what a template, or *parts* not stored yet, makes of *payload*. Raises as `render` of templates."""
        connection = find(self.tables, connection_id).connection
        wanted = parts if parts is not None else self.templates.get(connection_id, name).parts
        refuse([fault for fault in faults_of(connection, name, wanted) if fault.code != "needs_allow_list"])
        variables = {"payload": payload, "received_at": to_text(self.clock())}
        return render(compiled_once(tuple(sorted(wanted.items()))), variables)

    def _template(self, connection_id: str, name: str) -> Stored:
        try:
            return self.templates.get(connection_id, name)
        except NotFound:
            message = "there is no template of this name; PUT connections/{id}/templates/{name} makes one"
            raise InvalidRequest(message, [FieldFault("/template", "unknown", message)]) from None

    def _authenticated(self, text: str) -> tuple[Hook, Connection]:
        token = parse_token(text, KIND)
        if token is None or not _is_hook_id(token.id):
            raise NotFound(_UNKNOWN)
        row = self.tables.connections.get(shard_of(token.id), hook_key(token.id))
        if row is None or not same_hash(str(row.values.get("secret_hash", "")), token.secret_hash):
            raise NotFound(_UNKNOWN)
        hook = decode(Hook, row.values)
        config = self.tables.connections.get(shard_of(token.id), connection_key(hook.connection_id))
        if config is None:
            raise NotFound(_UNKNOWN)
        self.rates.take(hook.id)
        return hook, decode(Connection, config.values)

    def _verify(self, hook: Hook, call: Call) -> None:
        if not hook.verify:
            return
        if hook.secret_version:
            secret = self.vault.get(hook_secret_name(hook.id), hook.secret_version)
        else:
            secret = self._own_secret(hook)
        if hook.verify == STANDARD:
            valid = self.verified(secret, call.body, call.headers)
        else:
            valid = _hmac_matches(secret, call.body, call.headers.get(hook.header.lower(), ""))
        if not valid:
            detail = "The signature is missing, wrong or too old. Give the source the secret of this hook."
            raise Refused(detail, Code.SIGNATURE_REFUSED)

    def _own_secret(self, hook: Hook) -> str:
        """Return the secret that is derived for a hook, in the form that its kind of signature uses."""
        secret = self.signing.hook_secret(hook.id)
        return secret if hook.verify == STANDARD else secret.removeprefix("whsec_")

    def _forget_secret(self, hook: Hook) -> None:
        if hook.secret_version:
            self.vault.delete(hook_secret_name(hook.id))


def _faults(asked: NewHook) -> list[FieldFault]:
    faults = []
    if asked.verify not in ("", STANDARD, HMAC):
        faults.append(FieldFault("/verify/type", "unknown", f"give {STANDARD} or {HMAC}, or leave verify out"))
    if asked.verify == HMAC and not _HEADER.fullmatch(asked.header):
        faults.append(FieldFault("/verify/header", "invalid", "name the header that holds the signature"))
    if asked.verify == STANDARD and asked.header:
        faults.append(FieldFault("/verify/header", "unknown", f"{STANDARD} has headers of its own; leave this out"))
    if asked.verify == STANDARD and asked.secret and not _is_standard(asked.secret):
        faults.append(FieldFault("/verify/secret", "invalid", "a secret of Standard Webhooks is whsec_ and base64"))
    if asked.secret and not asked.verify:
        faults.append(FieldFault("/verify/type", "missing", "say how the source signs with this secret"))
    if len(asked.dedupe_key.encode()) > DEDUPE_BYTES:
        faults.append(FieldFault("/dedupe_key", "too_long", f"a dedupe_key takes at most {DEDUPE_BYTES} bytes"))
    try:
        checked(asked.dedupe_key, html=False)
    except TemplateRefused as error:
        faults.append(FieldFault("/dedupe_key", "not_a_template", str(error)))
    return faults


def _is_standard(secret: str) -> bool:
    try:
        return len(b64decode(secret.removeprefix("whsec_"), validate=True)) >= LEAST_SECRET_BYTES
    except ValueError:
        return False


def _key(hook: Hook, variables: Mapping[str, Any]) -> str:
    """Return the idempotency key that the hook makes of a call, '' for none; long ones are hashed."""
    if not hook.dedupe_key:
        return ""
    try:
        text = checked(hook.dedupe_key, html=False).render(variables).strip()
    except TemplateRefused as error:
        message = f"The hook's dedupe_key cannot be rendered: {error}"
        raise InvalidRequest(message, [FieldFault("/dedupe_key", "not_rendered", str(error))]) from None
    if not text:
        return ""
    return f"hook:{hook.id}:{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()}"


def _hmac_matches(secret: str, body: bytes, given: str) -> bool:
    """Tell whether *given* is the HMAC-SHA256 of *body*, in hexadecimal or base64, with or without ``sha256=``."""
    digest = hmac.digest(secret.encode(), body, "sha256")
    sent = given.strip().removeprefix("sha256=").encode()
    return any(hmac.compare_digest(sent, form) for form in (digest.hex().encode(), b64encode(digest)))


def _is_hook_id(text: str) -> bool:
    box, ulid = text[:BOX_LENGTH], text[BOX_LENGTH:]
    return len(box) == BOX_LENGTH and all(c in "0123456789abcdef" for c in box) and is_ulid(ulid)

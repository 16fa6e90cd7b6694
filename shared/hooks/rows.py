"""A hook's row, which stands beside its connection's."""

from dataclasses import dataclass, field

from shared.connection_rows import find
from shared.identifiers import box_of
from shared.ports import Tables
from shared.rows import readable


@dataclass(frozen=True, slots=True)
class Hook:
    """
    A hook; its id begins with the connection's box hash.

    *verify* is how its source signs ('' for not at all), *header* where the signature stands for ``hmac_sha256``,
    *secret_version* the version of the source's secret in Key Vault ('' where ours is derived). *dedupe_key* is the
    template that makes the idempotency key of a call that brings none.
    """

    id: str
    connection_id: str
    template: str
    secret_hash: str = field(repr=False)
    created_at: str
    verify: str = ""
    header: str = ""
    secret_version: str = ""
    dedupe_key: str = ""


def hook_key(hook_id: str) -> str:
    """Return the key of a hook's row."""
    return f"b|{box_of(hook_id)}|hook|{hook_id}"


def hooks_of(tables: Tables, connection_id: str) -> list[Hook]:
    """Return the hooks of a connection, newest first. Raises `NotFound`."""
    found = find(tables, connection_id)
    first = f"b|{found.connection.box}|hook|"
    hooks = [readable(Hook, key, row.values) for key, row in found.rows.items() if key.startswith(first)]
    mine = [hook for hook in hooks if hook and hook.connection_id == connection_id]
    return sorted(mine, key=lambda hook: hook.id, reverse=True)

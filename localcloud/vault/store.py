"""What does one simulated vault hold: secrets by name and version, and the soft-deleted ones."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_RETENTION_DAYS = 90
_ATTRIBUTES = ("enabled", "exp", "nbf")


class VaultError(Exception):
    """A request that the vault refuses with *status* and its error code."""

    def __init__(self, status: int, code: str, message: str, inner: str | None = None) -> None:
        super().__init__(message)
        self.status, self._code, self._message, self._inner = status, code, message, inner

    def body(self) -> dict[str, Any]:
        """Return the error envelope of Key Vault."""
        error: dict[str, Any] = {"code": self._code, "message": self._message}
        if self._inner is not None:
            error["innererror"] = {"code": self._inner}
        return {"error": error}


@dataclass
class _Version:
    id: str
    value: str
    attributes: dict[str, Any]
    content_type: str | None
    tags: dict[str, str] | None


@dataclass
class _Secret:
    versions: list[_Version] = field(default_factory=list)
    deleted_at: int | None = None


class Vault:
    """One vault at *url*; *clock* gives epoch seconds."""

    def __init__(self, url: str, clock: Callable[[], float]) -> None:
        self._url = url
        self._clock = clock
        self._secrets: dict[str, _Secret] = {}

    def set(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Add a version; a soft-deleted name answers 409."""
        if not isinstance(body.get("value"), str):
            raise VaultError(400, "BadParameter", "Property value is required and must be a string.")
        secret = self._secrets.setdefault(name.casefold(), _Secret())
        if secret.deleted_at is not None:
            text = f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in "
            text += "this state, the secret can only be recovered or purged."
            raise VaultError(409, "Conflict", text, "ObjectIsDeletedButRecoverable")
        now = int(self._clock())
        attributes: dict[str, Any] = {"enabled": True, "created": now, "updated": now}
        attributes |= {"recoveryLevel": "Recoverable+Purgeable", "recoverableDays": _RETENTION_DAYS}
        attributes |= _given(body)
        version = _Version(uuid.uuid4().hex, body["value"], attributes, body.get("contentType"), body.get("tags"))
        secret.versions.append(version)
        return self._bundle(name, version)

    def get(self, name: str, version_id: str | None) -> dict[str, Any]:
        """Return a version with its value, the newest by default; a disabled one answers 403."""
        version = self._version(name, version_id)
        if not version.attributes["enabled"]:
            text = "Operation get is not allowed on a disabled secret."
            raise VaultError(403, "Forbidden", text, "SecretDisabled")
        return self._bundle(name, version)

    def update(self, name: str, version_id: str | None, body: dict[str, Any]) -> dict[str, Any]:
        """Change what describes a version; its value stays."""
        version = self._version(name, version_id)
        version.attributes |= {**_given(body), "updated": int(self._clock())}
        version.content_type = body.get("contentType", version.content_type)
        version.tags = body.get("tags", version.tags)
        return self._item(name, version)

    def list_secrets(self, page: tuple[int, int]) -> dict[str, Any]:
        """Return a page (offset, size) of the newest version of every secret, without values."""
        live = [(name, secret) for name, secret in sorted(self._secrets.items()) if secret.deleted_at is None]
        items = [self._item(name, secret.versions[-1], named=False) for name, secret in live]
        return self._paged("/secrets", items, page)

    def list_versions(self, name: str, page: tuple[int, int]) -> dict[str, Any]:
        """Return a page of a secret's versions, without values."""
        self._version(name, None)
        items = [self._item(name, version) for version in self._secrets[name.casefold()].versions]
        return self._paged(f"/secrets/{name}/versions", items, page)

    def delete(self, name: str) -> dict[str, Any]:
        """Soft-delete a secret with all its versions."""
        self._version(name, None)
        self._secrets[name.casefold()].deleted_at = int(self._clock())
        return self.deleted(name)

    def list_deleted(self, page: tuple[int, int]) -> dict[str, Any]:
        """Return a page of what is soft-deleted."""
        names = [name for name, secret in sorted(self._secrets.items()) if secret.deleted_at is not None]
        return self._paged("/deletedsecrets", [self._grave(name) for name in names], page)

    def deleted(self, name: str) -> dict[str, Any]:
        """Return a soft-deleted secret, without its value."""
        self._deleted(name)
        return self._grave(name)

    def recover(self, name: str) -> dict[str, Any]:
        """Undo a deletion."""
        secret = self._deleted(name)
        secret.deleted_at = None
        return self._item(name, secret.versions[-1], named=False)

    def purge(self, name: str) -> None:
        """Destroy a soft-deleted secret, whose name is free again afterwards."""
        self._deleted(name)
        del self._secrets[name.casefold()]

    def _version(self, name: str, version_id: str | None) -> _Version:
        secret = self._secrets.get(name.casefold())
        if secret is not None and secret.deleted_at is None:
            for version in reversed(secret.versions):
                if not version_id or version.id == version_id:
                    return version
        text = f"A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret "
        text += "you may be able to recover it using the correct recovery command."
        raise VaultError(404, "SecretNotFound", text)

    def _deleted(self, name: str) -> _Secret:
        secret = self._secrets.get(name.casefold())
        if secret is None or secret.deleted_at is None:
            raise VaultError(404, "SecretNotFound", f"Deleted Secret not found: {name}")
        return secret

    def _item(self, name: str, version: _Version, *, named: bool = True) -> dict[str, Any]:
        suffix = f"/{version.id}" if named else ""
        item = {"id": f"{self._url}/secrets/{name}{suffix}", "attributes": version.attributes}
        if version.content_type is not None:
            item["contentType"] = version.content_type
        if version.tags is not None:
            item["tags"] = version.tags
        return item

    def _bundle(self, name: str, version: _Version) -> dict[str, Any]:
        return {"value": version.value, **self._item(name, version)}

    def _grave(self, name: str) -> dict[str, Any]:
        secret = self._secrets[name.casefold()]
        deleted_at = secret.deleted_at or 0
        return {
            "recoveryId": f"{self._url}/deletedsecrets/{name}",
            "deletedDate": deleted_at,
            "scheduledPurgeDate": deleted_at + _RETENTION_DAYS * 86_400,
            **self._item(name, secret.versions[-1]),
        }

    def _paged(self, path: str, items: list[dict[str, Any]], page: tuple[int, int]) -> dict[str, Any]:
        offset, size = page
        following = offset + size
        link = f"{self._url}{path}?api-version=7.6&maxresults={size}&$skiptoken={following}"
        return {"value": items[offset:following], "nextLink": link if following < len(items) else None}


def _given(body: dict[str, Any]) -> dict[str, Any]:
    attributes = body.get("attributes") or {}
    return {name: attributes[name] for name in _ATTRIBUTES if attributes.get(name) is not None}

"""How does a test or a demo speak to the local cloud's control endpoint."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import httpx

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType


class ControlClient:
    """
    Steers the local cloud at *base_url* (``LOCALCLOUD_CONTROL_URL``) with its *token*; usable as a context manager.

    Every method raises `httpx.HTTPStatusError` with the endpoint's own words where a request was refused.
    """

    def __init__(self, base_url: str, token: str, *, timeout: float = 60.0) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=timeout, trust_env=False)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # Directories

    def add_tenant(self, domain: str, display_name: str, tenant_id: str | None = None) -> dict[str, Any]:
        """Create a tenant; return it with its ``id``."""
        body = {"domain": domain, "display_name": display_name, "id": tenant_id}
        return self._object("POST", "/tenants", body)

    def tenants(self) -> list[dict[str, Any]]:
        """Return every tenant with its users and principals."""
        return self._list("GET", "/tenants")

    def tenant(self, tenant: str) -> dict[str, Any]:
        """Return the tenant with this id or domain."""
        return self._object("GET", f"/tenants/{tenant}")

    def remove_tenant(self, tenant: str) -> None:
        """Delete a tenant."""
        self._call("DELETE", f"/tenants/{tenant}")

    def add_user(self, tenant: str, address: str, display_name: str, **details: Any) -> dict[str, Any]:
        """Create a user (*details*: ``mailbox_state``, ``administrator_roles`` by name or id); return it."""
        body = {"address": address, "display_name": display_name, **details}
        return self._object("POST", f"/tenants/{tenant}/users", body)

    def change_user(self, tenant: str, user: str, **details: Any) -> dict[str, Any]:
        """Change what *details* name of the user with this id or address."""
        return self._object("PATCH", f"/tenants/{tenant}/users/{quote(user)}", details)

    def remove_user(self, tenant: str, user: str) -> None:
        """Delete a user."""
        self._call("DELETE", f"/tenants/{tenant}/users/{quote(user)}")

    def add_registration(
        self, home_tenant: str, display_name: str, redirect_uris: Sequence[str], **details: Any
    ) -> dict[str, Any]:
        """
        Register an app; return it with its ``client_id`` and, once, its ``secret`` (``secret_id``, ``value``).

        *details*: ``multitenant``, ``required_roles``, ``client_id``, ``secret`` (False: none), ``expires_in_seconds``.
        """
        body = {"home_tenant": home_tenant, "display_name": display_name, "redirect_uris": list(redirect_uris)}
        return self._object("POST", "/registrations", body | details)

    def registrations(self) -> list[dict[str, Any]]:
        """Return every app registration, secrets by id only."""
        return self._list("GET", "/registrations")

    def change_registration(self, client_id: str, **details: Any) -> dict[str, Any]:
        """Change what *details* name, ``redirect_uris`` or ``federated_subjects`` for example."""
        return self._object("PATCH", f"/registrations/{client_id}", details)

    def remove_registration(self, client_id: str) -> None:
        """Delete a registration and its principals."""
        self._call("DELETE", f"/registrations/{client_id}")

    def add_secret(self, client_id: str, *, expires_in_seconds: float | None = None) -> dict[str, Any]:
        """Add a client secret; return ``secret_id``, ``value`` and ``expires_at``."""
        body = {} if expires_in_seconds is None else {"expires_in_seconds": expires_in_seconds}
        return self._object("POST", f"/registrations/{client_id}/secrets", body)

    def expire_secret(self, client_id: str, secret_id: str, *, in_seconds: float = 0) -> None:
        """Let a secret expire *in_seconds* from now."""
        body = {"expires_in_seconds": in_seconds}
        self._call("PATCH", f"/registrations/{client_id}/secrets/{secret_id}", body)

    def remove_secret(self, client_id: str, secret_id: str) -> None:
        """Remove a secret."""
        self._call("DELETE", f"/registrations/{client_id}/secrets/{secret_id}")

    def add_certificate(self, client_id: str, certificate_pem: str) -> str:
        """Register a certificate as the app's credential; return its thumbprint (``x5t#S256``)."""
        body = {"certificate": certificate_pem}
        return str(self._object("POST", f"/registrations/{client_id}/certificates", body)["thumbprint"])

    def remove_certificate(self, client_id: str, thumbprint: str) -> None:
        """Remove a certificate."""
        self._call("DELETE", f"/registrations/{client_id}/certificates/{thumbprint}")

    def identities(self) -> list[dict[str, Any]]:
        """Return the managed identities; the system-assigned one has no name."""
        return self._list("GET", "/identities")

    def add_identity(self, tenant: str, name: str) -> dict[str, Any]:
        """Create a user-assigned managed identity."""
        return self._object("POST", "/identities", {"tenant": tenant, "name": name})

    # Consent

    def consent(self, tenant: str, client_id: str, roles: Sequence[str] | None = None) -> dict[str, Any]:
        """Grant *roles* (all required ones by default) without the page."""
        body = {} if roles is None else {"roles": list(roles)}
        return self._object("PUT", f"/tenants/{tenant}/principals/{client_id}", body)

    def set_principal(self, tenant: str, client_id: str, **details: Any) -> dict[str, Any]:
        """Change ``enabled`` or ``roles`` of an app in a tenant at once, without propagation."""
        return self._object("PATCH", f"/tenants/{tenant}/principals/{client_id}", details)

    def disable_principal(self, tenant: str, client_id: str) -> None:
        """Disable the app in a tenant, as under Enterprise applications."""
        self.set_principal(tenant, client_id, enabled=False)

    def revoke(self, tenant: str, client_id: str) -> None:
        """Remove the app from a tenant."""
        self._call("DELETE", f"/tenants/{tenant}/principals/{client_id}")

    # Behaviour

    def modes(self) -> dict[str, Any]:
        """Return every switch that is set."""
        return self._object("GET", "/modes")

    def set_modes(self, **modes: Any) -> dict[str, Any]:
        """Set the switches named; None takes one back to its default. Names with a colon go in as ``**{…}``."""
        return self._object("PUT", "/modes", modes)

    def add_fault(self, service: str, operation: str, effect: dict[str, Any], **details: Any) -> str:
        """Script a fault (*details*: ``key``, ``skip``, ``times``); return its id."""
        body = {"service": service, "operation": operation, "effect": effect, **details}
        return str(self._object("POST", "/faults", body)["id"])

    def faults(self) -> dict[str, Any]:
        """Return the ``waiting`` faults and how often each operation was ``hits``."""
        return self._object("GET", "/faults")

    def remove_fault(self, identifier: str) -> None:
        """Forget one fault; no error where it has happened."""
        self._call("DELETE", f"/faults/{identifier}")

    def clear_faults(self) -> None:
        """Forget every fault that has not happened yet."""
        self._call("DELETE", "/faults")

    def counters(self) -> dict[str, int]:
        """Return how often each operation of each service was asked for."""
        return self._object("GET", "/counters")

    def reset_counters(self) -> None:
        """Begin counting anew."""
        self._call("DELETE", "/counters")

    def record_traffic(self, *, on: bool) -> None:
        """Switch recording on, from an empty list, or off."""
        self._call("PUT", "/recording", {"on": on})

    def traffic(self) -> list[dict[str, Any]]:
        """Return the recorded exchanges."""
        return self._list("GET", "/traffic")

    # Mail

    def deliver_mime(self, address: str, mime: bytes, folder: str = "inbox", received_at: float | None = None) -> str:
        """Put a message into a mailbox, received now or at *received_at* (epoch seconds); return its immutable id."""
        query = {"folder": folder} | ({} if received_at is None else {"received_at": str(received_at)})
        path = f"/mail/mailboxes/{quote(address)}/messages"
        response = self._http.post(path, params=query, content=mime, headers={"Content-Type": "message/rfc822"})
        return str(_checked(response).json()["id"])

    def deliver_many(self, address: str, mails: Sequence[bytes], folder: str = "inbox") -> list[str]:
        """Put many messages into a mailbox in one request; return their immutable ids."""
        body = [base64.b64encode(mime).decode() for mime in mails]
        path = f"/mail/mailboxes/{quote(address)}/messages/bulk"
        answer = _checked(self._http.post(path, params={"folder": folder}, json=body)).json()
        return [str(found) for found in answer["ids"]]

    def mailbox(self, address: str) -> dict[str, Any]:
        """Return a mailbox: ``folders`` and ``messages`` with their state and the hash of their MIME."""
        return self._object("GET", f"/mail/mailboxes/{quote(address)}")

    def message_mime(self, address: str, message: str) -> bytes:
        """Return the MIME text of a message, as the mailbox holds it."""
        return self._call("GET", f"/mail/mailboxes/{quote(address)}/messages/{quote(message)}/raw").content

    def delete_message(self, address: str, message: str, *, to: str = "purges") -> None:
        """Delete a message for good, or *to* ``deleteditems`` as a person would."""
        self._call("DELETE", f"/mail/mailboxes/{quote(address)}/messages/{quote(message)}?to={quote(to)}")

    def move_message(self, address: str, message: str, destination: str) -> dict[str, Any]:
        """Move a message to another folder, by id or well-known name; return its ``id`` and ``immutable_id``."""
        path = f"/mail/mailboxes/{quote(address)}/messages/{quote(message)}/move"
        return self._object("POST", path, {"destination": destination})

    def poison_message(self, address: str, message: str, kind: str = "full") -> None:
        """Make Exchange unable to read a message (``full``), or even to name it (``hard``); '' heals it."""
        path = f"/mail/mailboxes/{quote(address)}/messages/{quote(message)}/poison"
        self._call("PUT", path, {"kind": kind})

    def received(self, address: str) -> list[dict[str, Any]]:
        """Return the copies that arrived at *address*: ids, subjects, hashes of attachments, ``X-`` headers."""
        return self._list("GET", f"/mail/received/{quote(address)}")

    def all_received(self) -> list[dict[str, Any]]:
        """Return the copies that arrived anywhere."""
        return self._list("GET", "/mail/received")

    def external_received(self, address: str) -> list[dict[str, Any]]:
        """Return the copies that left every tenant for *address*."""
        return [copy for copy in self.received(address) if copy.get("external")]

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        return _checked(self._http.request(method, path, json=body))

    def _object(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer: dict[str, Any] = self._call(method, path, body).json()
        return answer

    def _list(self, method: str, path: str) -> list[dict[str, Any]]:
        answer: list[dict[str, Any]] = self._call(method, path).json()
        return answer


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_error:
        message = f"{response.status_code} from {response.request.url.path}: {response.text}"
        raise httpx.HTTPStatusError(message, request=response.request, response=response)
    return response

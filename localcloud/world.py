"""
What the simulated Microsoft cloud consists of: tenants, people, app registrations, consent, faults and counters.

Every simulated service reads and changes this one object; the control endpoint is the only other writer.
Mail itself lives in `localcloud.mail.mailboxes`.
"""

from __future__ import annotations

import secrets
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GRAPH_APP_ROLES = {
    "Mail.ReadWrite": "e2a3a72e-5f79-4c64-b1b1-878b674786c9",
    "Mail.Send": "b633e1c5-b582-4048-a93e-9f11b44c7e96",
    "User.Read.All": "df021288-bdef-4463-88db-98f22de89214",
}
GLOBAL_ADMINISTRATOR = "62e90394-69f5-4237-9190-012177145e10"
PRIVILEGED_ROLE_ADMINISTRATOR = "e8611ab8-c189-46e8-94e1-60213ab1f814"
DEFAULT_MODES: dict[str, Any] = {"latency_ms": 0.0, "propagation_seconds": 0.0, "token_seconds": 3599}


@dataclass
class User:
    """A person of a tenant, with a mailbox unless *mailbox_state* says otherwise."""

    id: str
    address: str
    display_name: str
    mailbox_state: str = "enabled"  # enabled | none | soft_deleted | access_denied
    administrator_roles: tuple[str, ...] = ()


@dataclass
class Tenant:
    """One Entra directory; *principals* maps client id to the service principal that consent created."""

    id: str
    domain: str
    display_name: str
    users: dict[str, User] = field(default_factory=dict)
    principals: dict[str, ServicePrincipal] = field(default_factory=dict)

    def find_user(self, key: str) -> User | None:
        """Return the user with this object id, address or user principal name."""
        lowered = key.casefold()
        return self.users.get(key) or next(
            (user for user in self.users.values() if user.address.casefold() == lowered), None
        )


@dataclass
class ServicePrincipal:
    """What consent made of an app in a tenant; rights become visible at *visible_at* (simulated propagation)."""

    object_id: str
    roles: set[str]
    created_at: float
    visible_at: float
    enabled: bool = True


@dataclass
class Registration:
    """
    An app registration.

    *secrets* maps secret value to its expiry (epoch seconds), *secret_ids* the portal's "Secret ID" to the value.
    *certificates* maps the unpadded base64url SHA-256 of a certificate to its PEM text. *federated_subjects* are the
    federated identity credentials, each with ``issuer``, ``subject`` and ``audience``.
    """

    client_id: str
    home_tenant: str
    display_name: str
    redirect_uris: list[str]
    multitenant: bool = True
    required_roles: tuple[str, ...] = tuple(GRAPH_APP_ROLES)
    secrets: dict[str, float] = field(default_factory=dict)
    secret_ids: dict[str, str] = field(default_factory=dict)
    certificates: dict[str, str] = field(default_factory=dict)
    federated_subjects: list[dict[str, str]] = field(default_factory=list)

    def add_secret(self, expires_at: float, value: str | None = None) -> tuple[str, str]:
        """Add a client secret that holds until *expires_at* and return its id and value."""
        secret_id, secret = str(uuid.uuid4()), value or secrets.token_urlsafe(30)
        self.secrets[secret] = expires_at
        self.secret_ids[secret_id] = secret
        return secret_id, secret

    def remove_secret(self, secret_id: str) -> None:
        """Remove a client secret; an unknown id raises KeyError."""
        self.secrets.pop(self.secret_ids.pop(secret_id), None)


@dataclass
class ManagedIdentity:
    """An identity that Azure gives to a resource; *name* is None for the system-assigned one."""

    client_id: str
    principal_id: str
    tenant_id: str
    name: str | None = None

    @property
    def resource_id(self) -> str:
        """Return the Azure resource id that its tokens carry as ``xms_mirid``."""
        group = "/subscriptions/00000000-0000-4000-8000-000000000000/resourcegroups/local/providers"
        if self.name is None:
            return f"{group}/Microsoft.Web/sites/mailgrant"
        return f"{group}/Microsoft.ManagedIdentity/userAssignedIdentities/{self.name}"


@dataclass
class Fault:
    """
    A scripted misbehaviour of one operation.

    *effect* is data: ``{"kind": "status", "status": 429, "headers": {…}, "body": …, "when": "before"|"after"}``,
    ``{"kind": "reset", "when": …}``, ``{"kind": "drip", "seconds_per_byte": …}``, ``{"kind": "delay", "seconds": …}``,
    ``{"kind": "html", "status": …}``, or a kind that only the operation knows. *when* ``after`` means that the
    operation takes effect first and the caller is told otherwise.
    """

    service: str
    operation: str
    effect: dict[str, Any]
    key: str | None = None
    skip: int = 0
    times: int = 1
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


class Faults:
    """The scripted faults, consumed in order of arrival."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self.hits: Counter[str] = Counter()

    def add(self, fault: Fault) -> str:
        """Add a fault and return its id."""
        with self._lock:
            self._faults.append(fault)
        return fault.id

    def remove(self, identifier: str) -> None:
        """Forget one fault; no error where it has happened."""
        with self._lock:
            self._faults = [fault for fault in self._faults if fault.id != identifier]

    def clear(self) -> None:
        """Forget every fault."""
        with self._lock:
            self._faults.clear()

    def waiting(self) -> list[Fault]:
        """Return the faults that have not happened yet."""
        with self._lock:
            return list(self._faults)

    def take(self, service: str, operation: str, *keys: str) -> Fault | None:
        """Return the next fault for this operation whose key is None or one of *keys*, and count it down."""
        with self._lock:
            for fault in self._faults:
                if fault.service != service or fault.operation not in (operation, "*"):
                    continue
                if fault.key is not None and fault.key not in keys:
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                if fault.times > 0:
                    fault.times -= 1
                    if fault.times == 0:
                        self._faults.remove(fault)
                self.hits[f"{service}.{operation}"] += 1
                return fault
        return None


class World:
    """The whole simulated cloud. *clock* gives epoch seconds, so that tests can move it."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.tenants: dict[str, Tenant] = {}
        self.registrations: dict[str, Registration] = {}
        self.identities: list[ManagedIdentity] = []
        self.faults = Faults()
        self.counters: Counter[str] = Counter()
        # Switches that last until changed: latency_ms, propagation_seconds, token_seconds and the modes of sending.
        self.modes: dict[str, Any] = dict(DEFAULT_MODES)
        self.traffic: list[dict[str, Any]] | None = None  # a list once recording is switched on

    def reset_counters(self) -> None:
        """Begin counting requests and faults anew."""
        self.counters.clear()
        self.faults.hits.clear()

    def reset_mode(self, name: str) -> None:
        """Take a mode back to its default, or away where it has none."""
        self.modes.pop(name, None)
        if name in DEFAULT_MODES:
            self.modes[name] = DEFAULT_MODES[name]

    def find_tenant(self, key: str) -> Tenant | None:
        """Return the tenant with this id or verified domain."""
        lowered = key.casefold()
        return self.tenants.get(lowered) or next(
            (tenant for tenant in self.tenants.values() if tenant.domain == lowered), None
        )

    def add_tenant(self, domain: str, display_name: str, tenant_id: str | None = None) -> Tenant:
        """Create a tenant and return it."""
        tenant = Tenant(tenant_id or str(uuid.uuid4()), domain.casefold(), display_name)
        self.tenants[tenant.id] = tenant
        return tenant

    def add_user(self, tenant: Tenant, address: str, display_name: str, **details: Any) -> User:
        """Create a user and return it."""
        user = User(str(uuid.uuid4()), address, display_name, **details)
        tenant.users[user.id] = user
        return user

    def add_registration(
        self, home: Tenant, display_name: str, redirect_uris: list[str], **details: Any
    ) -> Registration:
        """Register an app in *home*, whose directory gets its service principal at once, as the portal does it."""
        client_id = details.pop("client_id", None) or str(uuid.uuid4())
        registration = Registration(client_id, home.id, display_name, redirect_uris, **details)
        self.registrations[client_id] = registration
        now = self.clock()
        home.principals[client_id] = ServicePrincipal(str(uuid.uuid4()), set(), now, now)
        return registration

    def add_identity(self, tenant: Tenant, name: str | None = None) -> ManagedIdentity:
        """Create a managed identity: user-assigned with a *name*, else the system-assigned one."""
        identity = ManagedIdentity(str(uuid.uuid4()), str(uuid.uuid4()), tenant.id, name)
        self.identities.append(identity)
        return identity

    def consent(self, tenant: Tenant, registration: Registration, roles: set[str] | None = None) -> ServicePrincipal:
        """Grant *roles* (all required ones by default) to the app in *tenant*, visible after the propagation delay."""
        now = self.clock()
        principal = tenant.principals.get(registration.client_id)
        granted = set(registration.required_roles) if roles is None else roles
        visible_at = now + float(self.modes.get(f"propagation_seconds:{tenant.id}", self.modes["propagation_seconds"]))
        principal = ServicePrincipal(principal.object_id if principal else str(uuid.uuid4()), granted, now, visible_at)
        tenant.principals[registration.client_id] = principal
        return principal

    def revoke(self, tenant: Tenant, client_id: str) -> None:
        """Remove the app from *tenant*, as an administrator does under Enterprise applications."""
        tenant.principals.pop(client_id, None)

    def record(self, entry: Mapping[str, Any]) -> None:
        """Keep one exchange for the contract test, where recording is on."""
        if self.traffic is not None:
            self.traffic.append(dict(entry))

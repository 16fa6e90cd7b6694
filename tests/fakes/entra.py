"""Entra in memory: tenants with what they granted, secrets that are right or wrong, and failures on demand."""

import threading
from dataclasses import dataclass, field
from itertools import count

from shared.codes import Code
from shared.errors import CredentialFault, GrantFault, Microsoft
from shared.ports import AccessToken
from tests.fakes.failures import Failures

ALL_ROLES = ("Mail.ReadWrite", "Mail.Send", "User.Read.All")


@dataclass
class MemoryEntra:
    """
    The `Entra` port; *grants* maps tenant ids to granted roles (None: unreadable tokens), *domains* names to tenants.

    *good* and *expired* are the secrets that Entra knows. *requests* lists each token fetched; *failures* makes
    ``token`` and ``tenant_of`` fail.
    """

    grants: dict[str, tuple[str, ...] | None] = field(default_factory=dict)
    domains: dict[str, str] = field(default_factory=dict)
    good: set[str] = field(default_factory=set)
    expired: set[str] = field(default_factory=set)
    expires_in: float = 3599.0
    requests: list[str] = field(default_factory=list)
    failures: Failures = field(default_factory=Failures)
    _cache: dict[tuple[str, str, str], AccessToken] = field(default_factory=dict)
    _numbers: count = field(default_factory=lambda: count(1))  # type: ignore[type-arg]
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def token(
        self, *, login_host: str, tenant: str, client_id: str, secret: str, scope: str, fresh: bool
    ) -> AccessToken:
        """Return a token; *fresh* never takes one from a cache."""
        key = (tenant, client_id, secret)
        with self._lock:
            if key in self._cache and not fresh:
                return self._cache[key]
            self.requests.append(tenant)
            with self.failures.around("token"):
                self._cache[key] = self._issued(tenant, secret)
            return self._cache[key]

    def tenant_of(self, *, login_host: str, name: str) -> str:
        """Return the id of the tenant that *name* stands for."""
        with self.failures.around("tenant_of"):
            if name not in self.domains and name not in self.grants:
                raise GrantFault("There is no such tenant in this cloud.", Code.TENANT_UNKNOWN)
            return self.domains.get(name, name)

    def _issued(self, tenant: str, secret: str) -> AccessToken:
        if secret in self.expired:
            raise CredentialFault("Expired.", Code.SECRET_EXPIRED, microsoft=Microsoft(code="AADSTS7000222"))
        if secret not in self.good:
            raise CredentialFault("Wrong.", Code.SECRET_WRONG, microsoft=Microsoft(code="AADSTS7000215"))
        if tenant not in self.grants:
            raise GrantFault("Not consented.", Code.APP_NOT_CONSENTED, microsoft=Microsoft(code="AADSTS700016"))
        return AccessToken(f"token-{next(self._numbers)}", self.expires_in, self.grants[tenant], tenant)

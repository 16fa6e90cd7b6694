"""Key Vault and Entra, as promises."""

from dataclasses import dataclass, field
from typing import Protocol


class Vault(Protocol):
    """Key Vault secrets, always by pinned version."""

    def put(self, name: str, value: str) -> str:
        """Store a new version and return its version id. Raises `CredentialFault` (vault_*)."""

    def get(self, name: str, version: str) -> str:
        """Return a version's value. Raises `CredentialFault` (vault_*)."""

    def delete(self, name: str) -> None:
        """Soft-delete the secret with all versions; no error where it is gone."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A Graph token; *roles* is None where it could not be decoded. *expires_in* in seconds."""

    value: str = field(repr=False)
    expires_in: float
    roles: tuple[str, ...] | None
    tenant: str = ""


class Entra(Protocol):
    """Tokens of one tenant for one app, by client credentials."""

    def token(
        self, *, login_host: str, tenant: str, client_id: str, secret: str, scope: str, fresh: bool
    ) -> AccessToken:
        """
        Return a token; *fresh* never takes one from a cache.

        Raises `CredentialFault`, `GrantFault`, `Throttled`, `Unreachable`.
        """

    def tenant_of(self, *, login_host: str, name: str) -> str:
        """
        Return the id of the tenant that *name*, its id or one of its domains, stands for.

        Raises `GrantFault` (tenant_unknown), `Throttled`, `Unreachable`.
        """


@dataclass(frozen=True, slots=True)
class SignedIn:
    """
    Who signed in, by an id token whose issuer, audience, nonce and time were checked.

    *tenant* and *person* are ids; *address* is a label that its tenant chose; *roles* are the directory roles held
    (``wids``), empty where the registration does not ask for them.
    """

    tenant: str
    person: str
    address: str = field(repr=False)
    roles: tuple[str, ...] = ()


class SignIn(Protocol):
    """The second half of an OpenID Connect sign-in: a code becomes a person."""

    def redeem(
        self, *, login_host: str, client_id: str, secret: str, redirect_uri: str, code: str, verifier: str, nonce: str
    ) -> SignedIn:
        """
        Return who signed in; a *code* is good once. The way out named the SHA-256 of *nonce* and of *verifier* (PKCE).

        Raises `CredentialFault`, `GrantFault` (sign_in_refused), `Throttled`, `Unreachable`.
        """

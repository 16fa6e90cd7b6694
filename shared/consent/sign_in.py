"""Whose answer a consent was: the sign-in that follows it where any organisation may have answered."""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from urllib.parse import urlencode

from shared.codes import Code
from shared.credentials import ORGANIZATIONS, PERSONAL_TENANT, Credential
from shared.errors import CredentialFault, Fault
from shared.identifiers import Token
from shared.ports import Clock, Entra, SignedIn, SignIn, Vault
from shared.proofs import identity_of, identity_value
from shared.settings import Settings
from shared.tickets import State
from shared.times import to_text

# Whoever may grant application permissions of Microsoft Graph (entra-docs `grant-admin-consent.md`), and nobody else:
# another administrator could not have given the consent, so their sign-in does not prove whose consent it was.
ADMINISTRATOR_ROLES: Mapping[str, str] = {
    "62e90394-69f5-4237-9190-012177145e10": "Global Administrator",
    "e8611ab8-c189-46e8-94e1-60213ab1f814": "Privileged Role Administrator",
}
_OTHER_VERSION_MAY_WORK = (Code.SECRET_WRONG, Code.SECRET_EXPIRED, Code.ASSERTION_REFUSED, Code.IDENTITY_UNAVAILABLE)
_AGAIN = "Open the link that you were sent once more, accept, and sign in. Until then no access is used here."


@dataclass(frozen=True, slots=True)
class SigningIn:
    """Sends an administrator to sign in after the consent, and learns from Microsoft who did."""

    entra: Entra
    vault: Vault
    sign_in: SignIn
    settings: Settings
    clock: Clock

    def way_out(self, credential: Credential, token: Token, cookie: Token) -> str:
        """Return the address of Microsoft's sign-in page for the state *token*, whose browser has *cookie*."""
        query = {
            "client_id": credential.client_id,
            "response_type": "code",
            "response_mode": "query",
            "redirect_uri": self.settings.redirect_uri,
            "scope": "openid profile",
            "state": str(token),
            "nonce": sha256(_nonce(cookie).encode()).hexdigest(),
            "code_challenge": _base64url(sha256(_verifier(cookie).encode()).digest()),
            "code_challenge_method": "S256",
        }
        host = credential.place.login_host  # never the tenant that the callback named: it may be forged
        return f"https://{host}/{ORGANIZATIONS}/oauth2/v2.0/authorize?{urlencode(query)}"

    def after(self, state: State, credential: Credential, cookie: Token, code: str) -> State:
        """
        Return *state* with who signed in, or with the problem that stands in the way of a grant.

        To be called for a consumed state only, since it spends the code.
        """
        try:
            person = self._redeemed(credential, cookie, code)
        except Fault as fault:
            return replace(
                state,
                problem=fault.code.value,
                detail=f"{fault.detail} {_AGAIN}",
                microsoft_code=fault.microsoft.code,
                trace_id=fault.microsoft.trace_id,
            )
        problem, detail = _problem(state, person)
        if problem:
            return replace(state, problem=problem.value, detail=detail, person=person.person)
        seen = replace(
            state,
            person=person.person,
            administrator=any(role in ADMINISTRATOR_ROLES for role in person.roles),
            signed_in_at=to_text(self.clock()),
        )
        if proven(seen):
            return seen
        return replace(seen, signed_in_as=person.address, domain=self._domain(credential, person))

    def _redeemed(self, credential: Credential, cookie: Token, code: str) -> SignedIn:
        """Redeem with the proof that is in use, or with another that the row pins."""
        refused: CredentialFault | None = None
        for version in credential.versions():
            try:
                return self._with(version, credential, cookie, code)
            except CredentialFault as fault:
                if fault.code not in _OTHER_VERSION_MAY_WORK:
                    raise
                refused = refused or fault
        raise refused or CredentialFault("The credential has no secret yet.")

    def _with(self, version: str, credential: Credential, cookie: Token, code: str) -> SignedIn:
        identity = identity_of(version)
        audience = credential.place.token_exchange_audience
        return self.sign_in.redeem(
            login_host=credential.place.login_host,
            client_id=credential.client_id,
            secret=identity_value(identity, audience) if identity else self.vault.get(credential.secret_name, version),
            redirect_uri=self.settings.redirect_uri,
            code=code,
            verifier=_verifier(cookie),
            nonce=_nonce(cookie),
        )

    def _domain(self, credential: Credential, person: SignedIn) -> str:
        """Return the domain of the person's address if it is their tenant's, else ''; a guest brings a foreign one."""
        domain = person.address.rpartition("@")[2].lower()
        try:
            known = "." in domain and self.entra.tenant_of(login_host=credential.place.login_host, name=domain)
        except Fault:
            return ""
        return domain if known == person.tenant else ""


def proven(state: State) -> bool:
    """Tell whether the sign-in, or what the link expected, proves whose tenant it is."""
    return state.administrator or state.expected_tenant == state.tenant


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    """Return 32 bytes derived from *key* (HKDF-SHA256, RFC 5869, one block)."""
    return hmac.digest(hmac.digest(salt, key, "sha256"), info + b"\x01", "sha256")


def _problem(state: State, person: SignedIn) -> tuple[Code | None, str]:
    if person.tenant == PERSONAL_TENANT:
        detail = f"A personal Microsoft account signed in; only organisations can consent. {_AGAIN}"
        return Code.PERSONAL_ACCOUNTS_UNSUPPORTED, detail
    if person.tenant != state.tenant:
        detail = f"You signed in at another organisation than the one that consented. {_AGAIN}"
        return Code.WRONG_TENANT, detail
    if state.expected_tenant and person.tenant != state.expected_tenant:
        return Code.WRONG_TENANT, f"Another organisation answered than was asked. {_AGAIN}"
    return None, ""


def _verifier(cookie: Token) -> str:
    """Return the PKCE verifier (RFC 7636): 43 characters that only the browser's cookie can make again."""
    return _derived(cookie, b"pkce verifier")


def _nonce(cookie: Token) -> str:
    return _derived(cookie, b"nonce")


def _derived(cookie: Token, purpose: bytes) -> str:
    return _base64url(hkdf(cookie.secret.encode(), cookie.id.encode(), purpose))


def _base64url(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()

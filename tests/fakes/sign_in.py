"""The sign-in page in memory: whoever comes gets a code, which is good once and only with its PKCE verifier."""

from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import parse_qs, urlsplit

from shared.codes import Code
from shared.errors import CredentialFault, GrantFault
from shared.ports import SignedIn
from tests.fakes.failures import Failures

PERSON = "5e0f0000-0000-4000-8000-0000000000ad"


@dataclass
class MemorySignIn:
    """The `SignIn` port; *good* are the app's secrets, *redeemed* counts the codes spent; *failures* of ``redeem``."""

    good: set[str] = field(default_factory=set)
    redeemed: int = 0
    failures: Failures = field(default_factory=Failures)
    _codes: dict[str, tuple[dict[str, str], SignedIn]] = field(default_factory=dict)

    def at_page(
        self,
        location: str,
        tenant: str,
        *,
        address: str = "ada@contoso.example",
        roles: tuple[str, ...] = (),
        person: str = PERSON,
    ) -> dict[str, str]:
        """Sign in on the page at *location*; return the parameters that go back to the app."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        code = f"code-{len(self._codes)}"
        self._codes[code] = (query, SignedIn(tenant, person, address, roles))
        return {"code": code, "state": query["state"]}

    def redeem(
        self, *, login_host: str, client_id: str, secret: str, redirect_uri: str, code: str, verifier: str, nonce: str
    ) -> SignedIn:
        """Return who signed in."""
        with self.failures.around("redeem"):
            if secret not in self.good:
                raise CredentialFault("Wrong.", Code.SECRET_WRONG)
            query, person = self._codes.pop(code, ({}, None))
            challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
            asked = (client_id, redirect_uri, challenge, sha256(nonce.encode()).hexdigest())
            if person is None or asked != tuple(
                query[name] for name in ("client_id", "redirect_uri", "code_challenge", "nonce")
            ):
                raise GrantFault("Microsoft did not accept the code.", Code.SIGN_IN_REFUSED)
            self.redeemed += 1
            return person

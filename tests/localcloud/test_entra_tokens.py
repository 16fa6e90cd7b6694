"""What the simulated Entra ID signs, and what a service accepts as a bearer token."""

from __future__ import annotations

import jwt
import pytest

from localcloud.entra.tokens import GRAPH_AUDIENCES, VAULT_AUDIENCE, TokenIssuer, TokenRejected
from localcloud.world import Registration, Tenant, World

NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def issuer() -> TokenIssuer:
    """Return an issuer whose clock stands at NOW unless a test replaces it."""
    return TokenIssuer(World(lambda: NOW))


@pytest.fixture
def contoso(issuer: TokenIssuer) -> Tenant:
    """Return a tenant of its own for each test."""
    return issuer.world.add_tenant("contoso.example", "Contoso")


@pytest.fixture
def app(issuer: TokenIssuer, contoso: Tenant) -> Registration:
    """Return an app that Contoso has consented to."""
    registration = issuer.world.add_registration(contoso, "Mailgrant", [])
    issuer.world.consent(contoso, registration)
    return registration


def test_claims(issuer: TokenIssuer, contoso: Tenant, app: Registration) -> None:
    """A Graph token carries the claims by which the product judges a grant, in the v1.0 format."""
    claims = issuer.verify(issuer.issue_app_token(contoso, app), GRAPH_AUDIENCES)

    expected = {
        "aud": "https://graph.microsoft.com", "iss": f"https://sts.windows.net/{contoso.id}/", "tid": contoso.id,
        "appid": app.client_id, "appidacr": "1", "idtyp": "app", "oid": contoso.principals[app.client_id].object_id,
        "roles": ["Mail.ReadWrite", "Mail.Send", "User.Read.All"], "ver": "1.0", "exp": NOW + 3599,
    }  # fmt: skip
    assert expected == {name: claims[name] for name in expected}


def test_key_set_verifies(issuer: TokenIssuer, contoso: Tenant, app: Registration) -> None:
    """Anyone can check a token's RS256 signature with the published key set."""
    token = issuer.issue_app_token(contoso, app)
    key = jwt.PyJWKSet.from_dict(issuer.key_set())[jwt.get_unverified_header(token)["kid"]]
    options: jwt.types.Options = {"verify_exp": False, "verify_aud": False, "verify_nbf": False, "verify_iat": False}

    assert contoso.id == jwt.decode(token, key, algorithms=["RS256"], options=options)["tid"]


def test_no_roles_no_claim(issuer: TokenIssuer, contoso: Tenant, app: Registration) -> None:
    """Without visible roles the claim is absent, not empty; a vault token never has it."""
    bare = issuer.verify(issuer.issue_app_token(contoso, app, roles=set()), GRAPH_AUDIENCES)
    vault = issuer.verify(issuer.issue_app_token(contoso, app, VAULT_AUDIENCE), (VAULT_AUDIENCE,))

    assert (False, False) == ("roles" in bare, "roles" in vault)


def test_wrong_audience(issuer: TokenIssuer, contoso: Tenant, app: Registration) -> None:
    """A token for another resource is refused."""
    with pytest.raises(TokenRejected, match="Invalid audience"):
        issuer.verify(issuer.issue_app_token(contoso, app, VAULT_AUDIENCE), GRAPH_AUDIENCES)


def test_expired(issuer: TokenIssuer, contoso: Tenant, app: Registration) -> None:
    """A token is refused from the second in which it expires, also one that was accepted before."""
    token = issuer.issue_app_token(contoso, app, seconds=10)
    issuer.verify(token, GRAPH_AUDIENCES)
    issuer.world.clock = lambda: NOW + 10
    try:
        with pytest.raises(TokenRejected, match="token is expired"):
            issuer.verify(token, GRAPH_AUDIENCES)
    finally:
        issuer.world.clock = lambda: NOW


@pytest.mark.parametrize(
    ("token", "message"), [("", "empty"), ("opaque", "CompactToken parsing failed"), ("a.b.c", "CompactToken")]
)
def test_no_token(issuer: TokenIssuer, token: str, message: str) -> None:
    """What is no token is refused in Graph's words."""
    with pytest.raises(TokenRejected, match=message):
        issuer.verify(token, GRAPH_AUDIENCES)


def test_foreign_signature(issuer: TokenIssuer, contoso: Tenant, app: Registration) -> None:
    """A token signed by somebody else is refused, and so is one that claims to need no signature."""
    foreign = TokenIssuer(issuer.world).issue_app_token(contoso, app)
    unsigned = jwt.encode({"aud": GRAPH_AUDIENCES[0], "exp": NOW + 60}, "", algorithm="none")
    for token, message in ((foreign, "Signature is invalid"), (unsigned, "CompactToken")):
        with pytest.raises(TokenRejected, match=message):
            issuer.verify(token, GRAPH_AUDIENCES)

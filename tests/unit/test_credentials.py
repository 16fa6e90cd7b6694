"""What an administrator may type in for a credential, and which words come back for what is wrong."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.credentials import Place, examine, promoted
from shared.errors import FieldFault
from tests.scenes.administration import CONTOSO, Administration, asked_credential

NOW = datetime(2026, 3, 2, tzinfo=UTC)
TOKEN_URL = f"https://login.microsoftonline.com/{CONTOSO}/oauth2/v2.0/token"
AUTH_URL = f"https://login.microsoftonline.com/{CONTOSO}/adminconsent"


def codes(faults: list[FieldFault]) -> set[tuple[str, str]]:
    """Return pointer and code of each fault."""
    return {(fault.pointer, fault.code) for fault in faults}


def from_urls(token: str, auth: str | None = None) -> tuple[Place, list[FieldFault]]:
    """Examine a credential given by its endpoint URLs."""
    asked = asked_credential(cloud=None, tenant=None, token_endpoint_url=token, auth_endpoint_url=auth)
    return examine(asked, NOW)


@pytest.mark.parametrize("tenant", [CONTOSO, "contoso.example", "organizations", "CONTOSO.EXAMPLE"])
def test_a_tenant_may_be_named_in_three_ways(tenant: str) -> None:
    """Its id, one of its domains, and organizations for a multitenant registration are all taken."""
    assert (Place("global", tenant.lower()), []) == examine(asked_credential(tenant=tenant), NOW)


@pytest.mark.parametrize("tenant", ["common", "consumers", "9188040d-6c67-4c5b-b112-36a304b66dad"])
def test_personal_accounts_are_refused_by_name(tenant: str) -> None:
    """Whatever stands for personal Microsoft accounts is refused with the reason."""
    _, faults = examine(asked_credential(tenant=tenant), NOW)

    assert {("/tenant", "personal_accounts_unsupported")} == codes(faults)


def test_endpoints_are_taken_as_the_portal_shows_them() -> None:
    """Both endpoint URLs name cloud and tenant, so that neither need be known."""
    assert (Place("global", CONTOSO), []) == from_urls(TOKEN_URL, AUTH_URL)


def test_an_older_login_host_of_the_same_cloud_is_taken() -> None:
    """Every login host of a cloud stands for that cloud."""
    place, faults = from_urls(TOKEN_URL.replace("login.microsoftonline.com", "login.windows.net"))

    assert (Place("global", CONTOSO), []) == (place, faults)


def test_a_v1_token_endpoint_is_refused_with_what_to_copy() -> None:
    """The V1 endpoint, which the portal shows beside the V2 one, has a code of its own."""
    _, faults = from_urls(TOKEN_URL.replace("/v2.0", ""))

    assert {("/token_endpoint_url", "v1_endpoint")} == codes(faults)
    assert "copy the V2 endpoint" in faults[0].message


@pytest.mark.parametrize(
    "url",
    [
        TOKEN_URL.replace("login.microsoftonline.com", "login.evil.example"),
        TOKEN_URL.replace("https://login.microsoftonline.com", "https://login.microsoftonline.com.evil.example"),
        TOKEN_URL.replace("https://login.microsoftonline.com", "https://login.microsoftonline.com@evil.example"),
    ],
)
def test_only_microsoft_hosts_are_taken(url: str) -> None:
    """A host outside the cloud table is refused, however alike it looks."""
    _, faults = from_urls(url)

    assert ("/token_endpoint_url", "unknown_cloud") in codes(faults)


@pytest.mark.parametrize(
    "url", [TOKEN_URL.replace("https:", "http:"), TOKEN_URL + "?x=1", "nonsense", TOKEN_URL.replace(".com", ".com:444")]
)
def test_what_is_no_endpoint_is_refused(url: str) -> None:
    """Another scheme, a port, a query, and text that is no URL are refused."""
    _, faults = from_urls(url)

    assert ("/token_endpoint_url", "not_an_endpoint") in codes(faults)


def test_endpoints_of_two_registrations_are_refused() -> None:
    """Endpoint URLs that name different tenants cannot both be right."""
    _, faults = from_urls(TOKEN_URL, AUTH_URL.replace(CONTOSO, "fabrikam.example"))

    assert {("/auth_endpoint_url", "differs")} == codes(faults)


def test_both_ways_at_once_are_refused() -> None:
    """Cloud and tenant together with endpoint URLs would leave open which counts."""
    _, faults = examine(asked_credential(token_endpoint_url=TOKEN_URL), NOW)

    assert {("/token_endpoint_url", "ambiguous")} == codes(faults)


def test_a_pasted_secret_id_is_told_from_a_secret() -> None:
    """A GUID is the Secret ID, and the sentence says which column to copy."""
    _, faults = examine(asked_credential(client_secret="0f6e1f9a-7d5e-4c3b-9a51-6a1f4e0c2b11"), NOW)

    assert {("/client_secret", "secret_id_instead_of_value")} == codes(faults)
    assert "copy the column Value" in faults[0].message


def test_all_faults_are_named_together() -> None:
    """Five faults in one request give five faults in one answer."""
    asked = asked_credential(
        client_id="mailgrant", client_secret="short", cloud="mars", tenant="x", secret_expires_at="soon"
    )

    pointers = {pointer for pointer, _ in codes(examine(asked, NOW)[1])}

    assert {"/client_id", "/client_secret", "/cloud", "/secret_expires_at"} == pointers


@pytest.mark.parametrize(("text", "code"), [("tomorrow", "not_a_time"), ("2020-01-01T00:00:00Z", "in_the_past")])
def test_an_expiry_must_be_a_time_ahead(text: str, code: str) -> None:
    """What is no time, or lies in the past, is refused."""
    _, faults = examine(asked_credential(secret_expires_at=text), NOW)

    assert {("/secret_expires_at", code)} == codes(faults)


def test_a_promoted_secret_brings_its_expiry_and_keeps_the_old_one_as_fallback() -> None:
    """Promotion moves the candidate into use; what was active becomes the fallback."""
    credential = replace(
        Administration().credential(), candidate_version="new", candidate_expires_at="2027-01-01T00:00:00.000Z"
    )

    after = promoted(credential, "new", NOW)

    assert ("new", "", credential.active_version) == (
        after.active_version,
        after.candidate_version,
        after.fallback_version,
    )
    assert "2027-01-01T00:00:00.000Z" == after.secret_expires_at


@pytest.mark.parametrize(
    "url",
    [
        f"https://login.microsoftonline.com:abc/{CONTOSO}/oauth2/v2.0/token",
        f"https://[login.microsoftonline.com/{CONTOSO}/oauth2/v2.0/token",
        f"https://me@login.microsoftonline.com/{CONTOSO}/oauth2/v2.0/token",
        f"https://login.microsoftonline.com:443/{CONTOSO}/oauth2/v2.0/token",
    ],
)
def test_a_url_that_is_none_is_a_fault_like_any_other(url: str) -> None:
    """What Python's parser raises on is a caller's mistake, not ours."""
    asked = asked_credential(cloud=None, tenant=None, token_endpoint_url=url)

    assert "/token_endpoint_url" in {pointer for pointer, _ in codes(examine(asked, NOW)[1])}

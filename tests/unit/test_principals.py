"""Whom the header of Easy Auth names, and what each role may do."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Refused
from shared.principals import MAX_HEADER, Role, admit, forged, header_of, principal_of

TENANT = "8a7c0c3e-0000-4000-8000-000000000001"
LONG = "http://schemas.microsoft.com/identity/claims/"


def header(*claims: tuple[str, str]) -> str:
    """Return the header that says *claims*."""
    return header_of([{"typ": kind, "val": value} for kind, value in claims])


@pytest.mark.parametrize(("tenant", "person"), [("tid", "oid"), (f"{LONG}tenantid", f"{LONG}objectidentifier")])
def test_both_namings_of_claims_are_read(tenant: str, person: str) -> None:
    """The platform names claims as tokens do, or by the long addresses of old."""
    found = principal_of(header((tenant, TENANT), (person, "ada"), ("roles", "Mailgrant.Admin"), ("roles", "Other")))

    assert found is not None
    assert (TENANT, "ada", {"Mailgrant.Admin", "Other"}) == (found.tenant, found.object_id, set(found.roles))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "e30=",
        header(("oid", "ada")),
        header(("tid", TENANT)),
        base64.b64encode(b"[1]").decode(),
        base64.b64encode(b'{"auth_typ": "aad", "claims": [1]}').decode(),
        base64.b64encode(json.dumps({"auth_typ": "github", "claims": []}).encode()).decode(),
        f"{forged(TENANT)},{forged(TENANT)}",
        "A" * (MAX_HEADER + 4),
    ],
)
def test_what_names_nobody_is_nobody(text: str) -> None:
    """Absent, broken, of another provider, doubled, without tenant or person, or without end."""
    assert principal_of(text) is None


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: base64.b64encode(raw).decode()))
def test_any_text_is_borne(text: str) -> None:
    """No header makes it fail."""
    assert principal_of(text) is None


CASES = [
    (Role.ADMIN, True, False, True),
    (Role.ADMIN, False, True, True),
    (Role.VIEWER, False, False, True),
    (Role.VIEWER, True, False, False),
    (Role.VIEWER, False, True, False),
    ("mailgrant.admin", False, False, False),
    ("", False, False, False),
]


@pytest.mark.parametrize(("role", "writes", "content", "admitted"), CASES)
def test_what_a_role_may_do(role: str, *, writes: bool, content: bool, admitted: bool) -> None:
    """An administrator all, a viewer reading of what is no mail, anybody else nothing."""
    principal = principal_of(header(("tid", TENANT.upper()), ("oid", "ada"), ("roles", role)))
    try:
        found = admit(principal, TENANT, writes=writes, content=content) == principal
    except Refused as refusal:
        found = not refusal.known

    assert admitted == found


def test_another_tenants_administrator_is_refused() -> None:
    """The role counts in our tenant only."""
    principal = principal_of(header(("tid", TENANT.replace("8", "9")), ("oid", "ada"), ("roles", Role.ADMIN)))

    with pytest.raises(Refused) as refusal:
        admit(principal, TENANT, writes=False, content=False)

    assert "not_admitted" == refusal.value.code.value


def test_the_forged_header_would_open_everything() -> None:
    """Else its failure to arrive would prove nothing."""
    principal = principal_of(forged(TENANT))

    assert principal == admit(principal, TENANT, writes=True, content=True)

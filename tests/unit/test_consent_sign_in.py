"""The sign-in that follows a consent where anybody may answer, and what attackers and crashes make of it."""

import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from shared.codes import Code
from shared.consent.sign_in import ADMINISTRATOR_ROLES, hkdf
from shared.consent.trip import Trip
from shared.credentials import PERSONAL_TENANT, Credential
from shared.errors import GrantFault, InvalidRequest, MailgrantError, Refused, StorageUnavailable, Unreachable
from shared.grants import GrantStatus
from shared.proofs import AuthMethod, TypedProof
from shared.schedule import STATE, Wakeup
from tests.fakes.entra import ALL_ROLES
from tests.scenes.administration import CONTOSO, FABRIKAM, Administration, asked_credential

GLOBAL_ADMINISTRATOR = next(iter(ADMINISTRATOR_ROLES))
EXCHANGE_ADMINISTRATOR = "29232cdf-9323-42fd-ade2-1d097af3e4de"


@pytest.fixture
def admin() -> Administration:
    """Return an administration in which Contoso and Fabrikam grant everything once they have consented."""
    made = Administration()
    made.entra.grants |= {CONTOSO: ALL_ROLES, FABRIKAM: ALL_ROLES}
    return made


@pytest.fixture
def credential(admin: Administration) -> Credential:
    """Return a credential under which any organisation may consent."""
    return admin.credential(tenant="organizations")


def jar(trip: Trip) -> dict[str, str]:
    """Return the cookies of the browser that made the trip."""
    return {trip.cookie_name: trip.cookie}


def consent(admin: Administration, credential: Credential, tenant: str = CONTOSO, **link: Any) -> Trip:
    """Accept at Microsoft with *tenant* in the answer; return the way to the sign-in."""
    trip, query = admin.trip(credential, **link)
    params = {"admin_consent": "True", "tenant": tenant, "state": query["state"]}
    return admin.consent.callback(params, jar(trip))


def came_of(admin: Administration, location: str) -> tuple[str, str]:
    """Return problem code and status of the grant that a result page shows."""
    outcome = admin.consent.outcome(location.rpartition("/")[2])
    return outcome.state.problem, outcome.grant.status.value if outcome.grant else ""


def audited(admin: Administration) -> list[tuple[str, str]]:
    """Return action and outcome of what the audit log says of callbacks, in the order of the alphabet."""
    rows = admin.tables.audit.everything().values()
    found = sorted((str(values["action"]), str(values["outcome"])) for values in rows)
    return [pair for pair in found if pair[0] in ("consent.callback", "consent.sign_in")]


def refusal(admin: Administration, params: Mapping[str, str], cookies: Mapping[str, str]) -> Code:
    """Return the code with which an answer is refused; nothing was granted and no code was spent."""
    with pytest.raises(MailgrantError) as refused:
        admin.answer(params, cookies)
    assert [] == admin.grants.all()
    assert 0 == admin.sign_in.redeemed
    return refused.value.code


def test_consent_leads_to_a_sign_in_and_grants_nothing_by_itself(admin: Administration, credential: Credential) -> None:
    """The way on is Microsoft's sign-in page of any organisation, with PKCE and nonce; a second state with a cookie."""
    way = consent(admin, credential)
    parts = urlsplit(way.location)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}

    assert "login.microsoftonline.com/organizations/oauth2/v2.0/authorize" == f"{parts.netloc}{parts.path}"
    assert ("code", "query", "openid profile", "S256") == tuple(
        query[name] for name in ("response_type", "response_mode", "scope", "code_challenge_method")
    )
    assert "https://mail.example/api/consent/callback" == query["redirect_uri"]
    assert way.cookie_name.startswith("__Host-mg-")
    assert [] == admin.grants.all()
    assert [] == admin.state_rows()


@pytest.mark.parametrize("role", ADMINISTRATOR_ROLES)
def test_an_administrator_who_signs_in_proves_the_tenant(
    admin: Administration, credential: Credential, role: str
) -> None:
    """Whoever may consent and belongs to the tenant makes a grant that works; nothing is kept of who they are."""
    location = admin.signs_in(consent(admin, credential), roles=(role,))
    admin.work()

    assert ("", "active") == came_of(admin, location)
    assert "" == admin.grants.all()[0].signed_in_as
    assert [("consent.callback", "consented"), ("consent.sign_in", "signed_in")] == audited(admin)


@pytest.mark.parametrize("roles", [(), (EXCHANGE_ADMINISTRATOR,), ("b79fbf4d-3ef9-4689-8143-76b194e85509",)])
def test_anybody_else_leaves_it_to_the_operator(
    admin: Administration, credential: Credential, roles: tuple[str, ...]
) -> None:
    """Membership is no administration: unconfirmed, unusable, with what the operator needs; confirming helps."""
    admin.signs_in(consent(admin, credential), roles=roles, address="bob@contoso.example")
    admin.work()
    grant = admin.grants.all()[0]

    assert (GrantStatus.UNCONFIRMED, False) == (grant.status, grant.usable)
    assert ("bob@contoso.example", "contoso.example") == (grant.signed_in_as, grant.domain)
    with pytest.raises(GrantFault):
        admin.connection(grant)
    assert GrantStatus.ACTIVE is admin.checks.confirm(grant.id).status
    admin.connection(grant)


def test_a_guests_domain_is_not_shown_as_the_tenants(admin: Administration, credential: Credential) -> None:
    """An address is a label; its domain counts only where Microsoft says that it is this tenant's."""
    admin.entra.domains["fabrikam.example"] = FABRIKAM
    for address in ("guest@fabrikam.example", "guest@nowhere.example", "no address"):
        admin.signs_in(consent(admin, credential), address=address)
        assert "" == admin.grants.all()[0].domain


def test_an_expected_tenant_needs_no_administrators_role(admin: Administration, credential: Credential) -> None:
    """Who made the link knew the tenant; a member of it signed in."""
    admin.signs_in(consent(admin, credential, expected_tenant=CONTOSO))
    admin.work()

    assert GrantStatus.ACTIVE is admin.grants.all()[0].status


def test_a_victims_tenant_in_the_callback_is_refused(admin: Administration, credential: Credential) -> None:
    """The attacker names a tenant that consented long ago, and can only sign in at home."""
    location = admin.signs_in(consent(admin, credential, CONTOSO), FABRIKAM, roles=(GLOBAL_ADMINISTRATOR,))

    assert ("wrong_tenant", "") == came_of(admin, location)
    assert [] == admin.grants.all()
    assert [] == admin.state_rows()
    assert ("consent.sign_in", "wrong_tenant") in audited(admin)


def test_a_victims_tenant_in_the_second_callback_changes_nothing(admin: Administration, credential: Credential) -> None:
    """A sign-in's state knows its tenant; parameters of the other leg are not looked at."""
    way = consent(admin, credential, FABRIKAM)
    params = admin.sign_in.at_page(way.location, FABRIKAM) | {"tenant": CONTOSO, "admin_consent": "True"}
    admin.answer(params, jar(way))

    assert [FABRIKAM] == [grant.tenant for grant in admin.grants.all()]


def test_the_state_knows_the_leg(admin: Administration, credential: Credential) -> None:
    """A consent's answer at a sign-in's state is incomplete, and so is a code at a consent's state."""
    way = consent(admin, credential)
    state = parse_qs(urlsplit(way.location).query)["state"][0]
    location = admin.answer({"admin_consent": "True", "tenant": CONTOSO, "state": state}, jar(way))
    trip, query = admin.trip(credential)
    other = admin.answer({"code": "code-0", "state": query["state"]}, jar(trip))

    assert ["consent_incomplete"] * 2 == [came_of(admin, place)[0] for place in (location, other)]
    assert [] == admin.grants.all()
    assert 0 == admin.sign_in.redeemed


@pytest.mark.parametrize("params", [{"error": "access_denied", "error_subcode": "cancel"}, {"error": "server_error"}])
def test_a_sign_in_that_is_cancelled_or_refused_grants_nothing(
    admin: Administration, credential: Credential, params: dict[str, str]
) -> None:
    """The page says that nothing is used here before the sign-in; a code beside the error is not spent."""
    way = consent(admin, credential)
    state = parse_qs(urlsplit(way.location).query)["state"][0]
    location = admin.answer({**params, "state": state, "code": "code-0"}, jar(way))

    assert ("sign_in_refused", "") == came_of(admin, location)
    assert 0 == admin.sign_in.redeemed


def test_a_personal_account_that_signs_in_is_refused(admin: Administration, credential: Credential) -> None:
    """By name, whatever the consent said."""
    location = admin.signs_in(consent(admin, credential), PERSONAL_TENANT)

    assert ("personal_accounts_unsupported", "") == came_of(admin, location)


def test_a_code_of_another_trip_is_refused(admin: Administration, credential: Credential) -> None:
    """A code that was made for the attacker's trip does not fit the victim's verifier, nor the other way round."""
    mine, theirs = consent(admin, credential), consent(admin, credential)
    code = admin.sign_in.at_page(theirs.location, CONTOSO, roles=(GLOBAL_ADMINISTRATOR,))["code"]
    state = parse_qs(urlsplit(mine.location).query)["state"][0]
    location = admin.answer({"code": code, "state": state}, jar(mine))

    assert ("sign_in_refused", "") == came_of(admin, location)
    assert [] == admin.grants.all()


def test_another_browser_cannot_come_back_from_the_sign_in(admin: Administration, credential: Credential) -> None:
    """Neither without a cookie, nor with the first leg's, nor with another trip's; each is audited."""
    trip, query = admin.trip(credential)
    way = admin.consent.callback({"admin_consent": "True", "tenant": CONTOSO, "state": query["state"]}, jar(trip))
    other = consent(admin, credential)
    params = admin.sign_in.at_page(way.location, CONTOSO)

    for cookies in ({}, jar(trip), jar(other), {way.cookie_name: trip.cookie}, {way.cookie_name: other.cookie}):
        assert Code.COOKIE_MISSING is refusal(admin, params, cookies)
    assert 5 == audited(admin).count(("consent.sign_in", "foreign_browser"))


def test_the_cookie_of_another_credential_opens_nothing(admin: Administration, credential: Credential) -> None:
    """Neither leg's state of one credential takes the cookie of a trip for another."""
    other = admin.credential(tenant="organizations", name="Other")
    (mine, query), (theirs, _) = admin.trip(credential), admin.trip(other)
    params = {"admin_consent": "True", "tenant": CONTOSO, "state": query["state"]}
    for cookies in (jar(theirs), {mine.cookie_name: theirs.cookie}):
        assert Code.COOKIE_MISSING is refusal(admin, params, cookies)

    my_way, their_way = consent(admin, credential), consent(admin, other)
    answer = admin.sign_in.at_page(my_way.location, CONTOSO)
    for cookies in (jar(their_way), {my_way.cookie_name: their_way.cookie}):
        assert Code.COOKIE_MISSING is refusal(admin, answer, cookies)
    foreign = [pair for pair in audited(admin) if pair[1] == "foreign_browser"]
    assert 4 == len(foreign)


def test_a_sign_in_is_answered_within_fifteen_minutes(admin: Administration, credential: Credential) -> None:
    """Its state dies like the first; the link may be tried again."""
    url = admin.links.create(credential.id).url.rpartition("/")[2]
    trip = admin.consent.start(url)
    state = parse_qs(urlsplit(trip.location).query)["state"][0]
    way = admin.consent.callback({"admin_consent": "True", "tenant": CONTOSO, "state": state}, jar(trip))
    params = admin.sign_in.at_page(way.location, CONTOSO)
    admin.clock.advance(901)

    assert Code.STATE_EXPIRED is refusal(admin, params, jar(way))
    assert ("consent.sign_in", "expired") in audited(admin)
    admin.consent.invitation(url)


def test_a_replay_of_either_leg_leads_to_the_same_place_and_does_nothing(
    admin: Administration, credential: Credential
) -> None:
    """The same answer in the same browser; with other contents it is refused and audited."""
    trip, query = admin.trip(credential)
    first = {"admin_consent": "True", "tenant": CONTOSO, "state": query["state"]}
    way = admin.consent.callback(first, jar(trip))
    assert way == admin.consent.callback(first, jar(trip))
    params = admin.sign_in.at_page(way.location, CONTOSO)
    location = admin.answer(params, jar(way))
    admin.work()
    before = [admin.tables.tickets.everything(), admin.tables.grants.everything()]

    assert location == admin.answer(params, jar(way))
    assert way == admin.consent.callback(first, jar(trip))
    assert before == [admin.tables.tickets.everything(), admin.tables.grants.everything()]
    assert 1 == admin.sign_in.redeemed
    for changed, cookies in ((first | {"tenant": FABRIKAM}, jar(trip)), (params | {"code": "other"}, jar(way))):
        with pytest.raises(Refused) as refused:
            admin.answer(changed, cookies)
        assert Code.STATE_REPLAYED is refused.value.code
    assert [("consent.callback", "replayed"), ("consent.sign_in", "replayed")] == [
        pair for pair in audited(admin) if pair[1] == "replayed"
    ]


def test_of_two_threads_with_one_answer_one_redeems_it(admin: Administration, credential: Credential) -> None:
    """Both are led to the same page; one code is spent, one grant is made, one line is audited."""
    way = consent(admin, credential)
    params = admin.sign_in.at_page(way.location, CONTOSO, roles=(GLOBAL_ADMINISTRATOR,))
    gate, places = threading.Barrier(2), []

    def come_back() -> None:
        gate.wait()
        places.append(admin.answer(params, jar(way)))

    threads = [threading.Thread(target=come_back) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    admin.work()

    assert (2, 1, 1) == (len(places), len(set(places)), admin.sign_in.redeemed)
    assert [GrantStatus.ACTIVE] == [grant.status for grant in admin.grants.all()]
    assert 1 == audited(admin).count(("consent.sign_in", "signed_in"))


def test_the_second_of_two_answers_waits_for_the_first(admin: Administration, credential: Credential) -> None:
    """While Microsoft is asked, the same answer once more finds the state used, and spends nothing."""
    way = consent(admin, credential)
    params = admin.sign_in.at_page(way.location, CONTOSO)
    seen: list[tuple[str, str]] = []
    admin.sign_in.failures.before = lambda _: seen.append(came_of(admin, admin.answer(params, jar(way))))
    admin.answer(params, jar(way))

    assert [("", "")] == seen
    assert 1 == admin.sign_in.redeemed


def test_nothing_goes_out_before_the_state_is_consumed(admin: Administration, credential: Credential) -> None:
    """A write that fails spends no code: the same answer may come again."""
    way = consent(admin, credential)
    params = admin.sign_in.at_page(way.location, CONTOSO)
    admin.tables.tickets.failures.plan("commit")
    with pytest.raises(StorageUnavailable):
        admin.answer(params, jar(way))

    assert 0 == admin.sign_in.redeemed
    admin.answer(params, jar(way))
    assert 1 == len(admin.grants.all())


def test_a_callback_that_dies_before_the_grant_is_finished_by_the_tick(
    admin: Administration, credential: Credential
) -> None:
    """Who signed in is written down first; the tick makes the grant of it, once."""
    way = consent(admin, credential)
    params = admin.sign_in.at_page(way.location, CONTOSO, roles=(GLOBAL_ADMINISTRATOR,))
    admin.tables.grants.failures.plan("commit")
    with pytest.raises(StorageUnavailable):
        admin.answer(params, jar(way))
    assert [] == admin.grants.all()

    admin.pass_time(61)
    admin.work()
    assert [GrantStatus.ACTIVE] == [grant.status for grant in admin.grants.all()]
    assert [] == admin.state_rows()
    assert 1 == admin.sign_in.redeemed


class Died(BaseException):
    """The process ends."""


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_callback_that_dies_while_it_asks_needs_the_link_again(
    admin: Administration, credential: Credential, *, after_effect: bool
) -> None:
    """The verifier died with it, so nobody can finish: the page says so after a minute, and the link is still good."""
    url = admin.links.create(credential.id).url.rpartition("/")[2]
    trip = admin.consent.start(url)
    state = parse_qs(urlsplit(trip.location).query)["state"][0]
    way = admin.consent.callback({"admin_consent": "True", "tenant": CONTOSO, "state": state}, jar(trip))
    params = admin.sign_in.at_page(way.location, CONTOSO, roles=(GLOBAL_ADMINISTRATOR,))
    admin.sign_in.failures.plan("redeem", Died(), after_effect=after_effect)  # type: ignore[arg-type]
    with pytest.raises(Died):
        admin.answer(params, jar(way))
    location = admin.answer(params, jar(way))
    assert ("", "") == came_of(admin, location)

    admin.clock.advance(60)
    assert ("sign_in_unfinished", "") == came_of(admin, location)
    admin.pass_time(1)
    assert [] == admin.state_rows()
    assert ("consent.sign_in", "sign_in_unfinished") in audited(admin)
    admin.consent.invitation(url)


def test_an_answer_that_comes_after_the_tick_gave_up_makes_no_grant(
    admin: Administration, credential: Credential
) -> None:
    """What was told as failed does not turn out to have worked."""
    way = consent(admin, credential)
    params = admin.sign_in.at_page(way.location, CONTOSO, roles=(GLOBAL_ADMINISTRATOR,))
    admin.sign_in.failures.before = lambda _: admin.pass_time(61)
    location = admin.answer(params, jar(way))
    admin.pass_time(400)

    assert ("sign_in_unfinished", "") == came_of(admin, location)
    assert [] == admin.grants.all()


def test_a_wake_up_makes_no_grant_of_a_consent_that_nobody_signed_in_for(
    admin: Administration, credential: Credential
) -> None:
    """Whoever can write into the queue cannot skip the second leg."""
    consent(admin, credential)
    for _, key in admin.tables.tickets.everything():
        if key.startswith("s|"):
            day = next(partition for partition, name in admin.tables.tickets.everything() if name == key)
            admin.wakeups.put("consent-check", Wakeup(STATE, f"{day}.{key[2:]}", 0, "").to_body())
    admin.work()

    assert [] == admin.grants.all()


def test_an_outage_of_the_sign_in_is_told(admin: Administration, credential: Credential) -> None:
    """The code may be spent, so the link is opened again."""
    way = consent(admin, credential)
    admin.sign_in.failures.plan("redeem", Unreachable("No answer.", Code.SIGN_IN_UNAVAILABLE))
    location = admin.signs_in(way)

    assert ("sign_in_unavailable", "") == came_of(admin, location)
    assert [] == admin.state_rows()


def test_an_expired_secret_is_followed_by_the_one_that_is_to_replace_it(
    admin: Administration, credential: Credential
) -> None:
    """A code that was not looked at may be redeemed by the other version."""
    proof = TypedProof(AuthMethod.SECRET, client_secret="another~secret-value")
    admin.credentials.rotate(credential.id, proof)
    admin.sign_in.good.clear()
    admin.sign_in.good.add("another~secret-value")
    admin.signs_in(consent(admin, credential), roles=(GLOBAL_ADMINISTRATOR,))

    assert 1 == admin.sign_in.redeemed


def test_rows_hold_neither_code_nor_verifier_nor_nonce(admin: Administration, credential: Credential) -> None:
    """Whoever reads the tables can follow no trip to its end; the log of changes does not say who signed in."""
    way = consent(admin, credential)
    query = {name: values[0] for name, values in parse_qs(urlsplit(way.location).query).items()}
    params = admin.sign_in.at_page(way.location, CONTOSO, address="bob@contoso.example")
    admin.answer(params, jar(way))
    hidden = [query["nonce"], query["code_challenge"], query["state"].split("_")[3], way.cookie.split("_")[3]]
    rows = repr([admin.tables.tickets.everything(), admin.tables.audit.everything(), admin.wakeups.sent])

    assert [] == [text for text in [*hidden, params["code"]] if text in rows]
    assert "bob@" not in repr([admin.tables.audit.everything(), admin.wakeups.sent])


def test_keys_are_derived_as_rfc_5869_says() -> None:
    """Test case 1 of the RFC: the first 32 bytes of its output."""
    info = bytes(range(0xF0, 0xFA))
    expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"

    assert expected == hkdf(b"\x0b" * 22, bytes(range(13)), info).hex()


@pytest.mark.parametrize("tenant", ["common", "consumers", "Consumers", PERSONAL_TENANT, PERSONAL_TENANT.upper()])
def test_personal_accounts_are_refused_by_name_wherever_a_tenant_is_named(
    admin: Administration, credential: Credential, tenant: str
) -> None:
    """When a credential or link is made and a tenant verified; and where a domain turns out to be theirs."""
    admin.entra.domains["outlook.example"] = PERSONAL_TENANT
    for name in (tenant, "outlook.example"):
        for ask in (
            lambda name=name: admin.credentials.create(asked_credential(tenant=name)),
            lambda name=name: admin.links.create(credential.id, expected_tenant=name),
            lambda name=name: admin.credentials.verifiable(credential.id, name),
        ):
            with pytest.raises(InvalidRequest) as refused:
                ask()
            assert "personal_accounts_unsupported" == refused.value.faults[0].code

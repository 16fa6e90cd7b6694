"""The administrator's trip to Microsoft and back, and everybody else's attempts at it."""

from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

import pytest

from shared.codes import Code
from shared.consent.trip import Trip
from shared.credentials import GrantType
from shared.errors import Conflict, Gone, MailgrantError, NotFound, Refused, StorageUnavailable
from shared.grants import GrantStatus
from shared.identifiers import new_token
from shared.tickets import new_dated_id, partition_of, state_key
from tests.fakes.entra import ALL_ROLES
from tests.scenes.administration import CLIENT_ID, CONTOSO, FABRIKAM, Administration, asked_credential


@pytest.fixture
def admin() -> Administration:
    """Return an administration in which Contoso grants everything once it has consented."""
    made = Administration()
    made.entra.grants[CONTOSO] = ALL_ROLES
    return made


def accepted(query: Mapping[str, str], tenant: str = CONTOSO) -> dict[str, str]:
    """Return what Microsoft sends back after Accept."""
    return {"admin_consent": "True", "tenant": tenant, "state": query["state"]}


def jar(trip: Trip) -> dict[str, str]:
    """Return the cookies of the browser that made the trip."""
    return {"other": "x", trip.cookie_name: trip.cookie}


def result_of(admin: Administration, location: str) -> tuple[str, str]:
    """Return problem code and status of the grant that a result page shows."""
    outcome = admin.consent.outcome(location.rpartition("/")[2])
    return outcome.state.problem, outcome.grant.status.value if outcome.grant else ""


def outcomes(admin: Administration, action: str = "consent.callback") -> list[str]:
    """Return the outcomes that the audit log holds, oldest first."""
    rows = sorted(admin.tables.audit.everything().items(), reverse=True)
    return [str(values["outcome"]) for _, values in rows if values["action"] == action]


def test_the_way_out_names_app_scope_and_redirect(admin: Administration) -> None:
    """The trip goes to the tenant's v2 page, asks for .default and openid, and bears state and nothing else of ours."""
    trip, query = admin.trip(admin.credential())
    parts = urlsplit(trip.location)

    assert f"https://login.microsoftonline.com/{CONTOSO}/v2.0/adminconsent" == f"https://{parts.netloc}{parts.path}"
    assert CLIENT_ID == query["client_id"]
    assert "https://mail.example/api/consent/callback" == query["redirect_uri"]
    assert "https://graph.microsoft.com/.default openid profile" == query["scope"]
    assert {"client_id", "redirect_uri", "scope", "state"} == set(query)
    assert trip.cookie_name.startswith("__Host-mg-")


def test_consent_makes_a_grant_that_is_checked_at_once(admin: Administration) -> None:
    """After Accept the grant stands, its check is woken, and the result page says so."""
    trip, query = admin.trip(admin.credential())
    location = admin.answer(accepted(query), jar(trip))

    assert ("", "propagating") == result_of(admin, location)
    admin.work()
    assert ("", "active") == result_of(admin, location)


def test_roles_that_come_late_are_found_by_the_due_row(admin: Administration) -> None:
    """Nobody need come back: the tick wakes the check until the roles are there."""
    admin.entra.grants[CONTOSO] = ()
    grant = admin.consented(roles=())
    assert GrantStatus.PROPAGATING is grant.status

    admin.entra.grants[CONTOSO] = ALL_ROLES
    admin.pass_time(6)

    assert GrantStatus.ACTIVE is admin.grants.get(grant.id).status


def test_opening_a_link_changes_nothing(admin: Administration) -> None:
    """A scanner may open the link as often as it likes."""
    url = admin.links.create(admin.credential().id).url
    before = [admin.tables.tickets.everything(), admin.tables.grants.everything(), admin.due_rows()]
    for _ in range(3):
        admin.consent.invitation(url.rpartition("/")[2])

    assert before == [admin.tables.tickets.everything(), admin.tables.grants.everything(), admin.due_rows()]


def test_a_replay_does_nothing_and_leads_to_the_same_page(admin: Administration) -> None:
    """The same answer in the same browser, even after its state expired, changes no row."""
    trip, query = admin.trip(admin.credential())
    first = admin.answer(accepted(query), jar(trip))
    admin.work()
    before = [admin.tables.tickets.everything(), admin.tables.grants.everything()]
    admin.clock.advance(3600)

    assert first == admin.answer(accepted(query), jar(trip))
    assert before == [admin.tables.tickets.everything(), admin.tables.grants.everything()]


def test_a_replay_with_other_contents_is_refused_and_audited(admin: Administration) -> None:
    """A used state cannot be made to say something else."""
    trip, query = admin.trip(admin.credential())
    admin.answer({"error": "access_denied", "state": query["state"]}, jar(trip))
    admin.clock.advance(1)

    with pytest.raises(Refused) as refused:
        admin.answer(accepted(query), jar(trip))

    assert Code.STATE_REPLAYED is refused.value.code
    assert [] == admin.grants.all()
    assert ["consent_cancelled", "replayed"] == outcomes(admin)


def test_another_browser_is_refused_and_audited(admin: Administration) -> None:
    """Without the very cookie of this state the answer is refused, and the right browser can still use it."""
    credential = admin.credential()
    trip, query = admin.trip(credential)
    other, _ = admin.trip(credential)
    forged = {trip.cookie_name: str(new_token("cookie", trip.cookie.split("_")[2]))}

    for cookies in ({}, jar(other), {trip.cookie_name: other.cookie}, {trip.cookie_name: "nonsense"}, forged):
        with pytest.raises(Refused) as refused:
            admin.answer(accepted(query), cookies)
        assert Code.COOKIE_MISSING is refused.value.code

    assert ["foreign_browser"] * 5 == outcomes(admin)
    assert [] == admin.grants.all()
    admin.answer(accepted(query), jar(trip))
    assert 1 == len(admin.grants.all())


@pytest.mark.parametrize("extra", [{}, {"error": "access_denied"}])
def test_an_unknown_state_is_refused_without_a_storage_call(admin: Administration, extra: dict[str, str]) -> None:
    """A state that is none by its form never reaches storage."""
    calls = admin.tables.calls()
    for state in ("", "nonsense", "mg_state_20260302.x_y_z"):
        with pytest.raises(NotFound) as refused:
            admin.answer({"state": state, "admin_consent": "True", "tenant": CONTOSO, **extra}, {})
        assert Code.STATE_UNKNOWN is refused.value.code

    assert calls == admin.tables.calls()


def test_a_state_that_never_was_is_refused(admin: Administration) -> None:
    """A well-formed state of somebody's own making is not known."""
    made = new_token("state", new_dated_id(admin.clock()))
    with pytest.raises(NotFound) as refused:
        admin.answer({"state": str(made), "admin_consent": "True", "tenant": CONTOSO}, {})

    assert Code.STATE_UNKNOWN is refused.value.code


def test_a_state_dies_after_fifteen_minutes(admin: Administration) -> None:
    """A late answer is refused, nothing is changed, and the link can be opened again."""
    credential = admin.credential()
    trip, query = admin.trip(credential)
    admin.clock.advance(901)

    with pytest.raises(Gone) as refused:
        admin.answer(accepted(query), jar(trip))

    assert Code.STATE_EXPIRED is refused.value.code
    assert [] == admin.grants.all()


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"error": "access_denied", "error_subcode": "cancel"}, "consent_cancelled"),
        ({"error": "permission_denied", "error_description": "The admin canceled the request"}, "consent_cancelled"),
        ({"admin_consent": "True", "error": "consent_required", "tenant": CONTOSO}, "consent_cancelled"),
        ({"error": "access_denied", "error_description": "AADSTS90093: only an administrator"}, "consent_refused"),
        ({"error": "server_error", "admin_consent": "True", "tenant": CONTOSO}, "consent_refused"),
        ({"admin_consent": "True"}, "consent_incomplete"),
        ({"tenant": CONTOSO}, "consent_incomplete"),
        ({"admin_consent": "True", "tenant": "not-a-guid"}, "consent_incomplete"),
        ({"admin_consent": "True", "tenant": "9188040d-6c67-4c5b-b112-36a304b66dad"}, "personal_accounts_unsupported"),
        ({"admin_consent": "True", "tenant": FABRIKAM}, "wrong_tenant"),
    ],
)
def test_each_refusal_is_told_and_grants_nothing(admin: Administration, params: dict[str, str], problem: str) -> None:
    """An error decides whatever stands beside it, then missing fields, then the tenant; the link stays good."""
    link = admin.links.create(admin.credential().id).url.rpartition("/")[2]
    trip = admin.consent.start(link)
    state = parse_qs(urlsplit(trip.location).query)["state"][0]

    location = admin.answer({**params, "state": state}, jar(trip))

    assert (problem, "") == result_of(admin, location)
    assert "Nothing was changed" in admin.consent.outcome(location.rpartition("/")[2]).state.detail
    assert [] == admin.grants.all()
    assert [] == admin.state_rows()
    admin.consent.invitation(link)


def test_a_cancel_without_state_is_told_by_the_cookie(admin: Administration) -> None:
    """Microsoft leaves the state out of one kind of refusal; our cookie tells that it was ours, and nothing changes."""
    trip, _ = admin.trip(admin.credential())

    with pytest.raises(NotFound) as refused:
        admin.answer({"error": "permission_denied"}, jar(trip))

    assert "cancelled or refused at Microsoft" in refused.value.detail


def test_a_link_is_done_once_a_grant_resulted(admin: Administration) -> None:
    """Until then it may be tried again; afterwards it says that it has done its work."""
    link = admin.links.create(admin.credential().id).url.rpartition("/")[2]
    for params in ({"error": "access_denied"}, {"admin_consent": "True", "tenant": CONTOSO}):
        trip = admin.consent.start(link)
        state = parse_qs(urlsplit(trip.location).query)["state"][0]
        admin.answer({**params, "state": state}, jar(trip))

    with pytest.raises(Conflict):
        admin.consent.invitation(link)


def test_a_withdrawn_link_ends_a_trip_under_way(admin: Administration) -> None:
    """Withdrawing works until the moment at which the answer is taken."""
    credential = admin.credential()
    trip, query = admin.trip(credential)
    admin.links.withdraw(credential.id, admin.links.of(credential.id)[0].id)

    with pytest.raises(Gone) as refused:
        admin.answer(accepted(query), jar(trip))

    assert Code.LINK_EXPIRED is refused.value.code
    assert [] == admin.grants.all()


def test_links_are_listed_without_their_secrets(admin: Administration) -> None:
    """The list shows label, status and expiry of this credential's links, newest first."""
    credential = admin.credential()
    first = admin.links.create(credential.id, label="first")
    admin.clock.advance(60)
    admin.links.create(credential.id, label="second", hours=720)
    admin.links.create(admin.credential().id, label="another credential's")

    listed = admin.links.of(credential.id)

    assert ["second", "first"] == [ticket.label for ticket in listed]
    assert first.url.split("_")[-2] not in repr(listed)


def test_an_expired_link_says_so(admin: Administration) -> None:
    """A link is good for the hours asked for, and no second longer."""
    link = admin.links.create(admin.credential().id, hours=1).url.rpartition("/")[2]
    admin.clock.advance(3600)

    with pytest.raises(Gone) as refused:
        admin.consent.invitation(link)

    assert Code.LINK_EXPIRED is refused.value.code


def test_a_single_tenant_registration_can_expect_no_other_tenant(admin: Administration) -> None:
    """An expected tenant that cannot answer is refused when the link is made."""
    credential = admin.credential()
    for tenant in (FABRIKAM, "nowhere.example"):
        with pytest.raises(MailgrantError) as refused:
            admin.links.create(credential.id, expected_tenant=tenant)
        assert Code.INVALID_REQUEST is refused.value.code

    assert CONTOSO == admin.links.create(credential.id, expected_tenant="contoso.example").ticket.expected_tenant


def test_where_nothing_is_to_authorize_there_is_no_link(admin: Administration) -> None:
    """Credentials whose consent is given in the portal are verified instead."""
    credential = admin.credentials.create(asked_credential(grant_type=GrantType.CLIENT_CREDENTIALS))

    with pytest.raises(Conflict) as refused:
        admin.links.create(credential.id)

    assert Code.NOTHING_TO_AUTHORIZE is refused.value.code


def test_of_two_answers_for_one_state_one_counts(admin: Administration) -> None:
    """While one callback is at work another with the same state is at most a replay."""
    trip, query = admin.trip(admin.credential())
    locations: list[str] = []

    def second(method: str) -> None:
        if method == "commit" and not locations:
            locations.append("")
            locations[0] = admin.answer(accepted(query), jar(trip))

    admin.tables.tickets.failures.before = second
    location = admin.answer(accepted(query), jar(trip))
    admin.tables.tickets.failures.before = None

    assert [location] == locations
    assert ["consented"] == outcomes(admin)
    admin.work()
    assert 1 == len(admin.grants.all())


@pytest.mark.parametrize("table", ["grants", "tickets"])
def test_a_callback_that_dies_is_finished_by_the_tick(admin: Administration, table: str) -> None:
    """Between the consumed state and the grant, a due row waits; the work is done once."""
    trip, query = admin.trip(admin.credential())
    if table == "grants":
        admin.tables.grants.failures.plan("commit")
    else:
        admin.tables.tickets.failures.before = _dies_at_second_commit(admin)

    with pytest.raises(StorageUnavailable):
        admin.answer(accepted(query), jar(trip))
    admin.tables.tickets.failures.before = None
    admin.pass_time(61)
    admin.work()

    assert [GrantStatus.ACTIVE] == [grant.status for grant in admin.grants.all()]
    assert [key for key in admin.due_rows() if "|state|" in key] == []
    assert admin.answer(accepted(query), jar(trip)).startswith("https://mail.example/api/consent/result/")


def _dies_at_second_commit(admin: Administration) -> "Dies":
    return Dies(admin)


class Dies:
    """Makes the second commit to the tickets fail: the first consumed the state."""

    def __init__(self, admin: Administration) -> None:
        self.admin, self.commits = admin, 0

    def __call__(self, method: str) -> None:
        """Count, and plan the failure."""
        self.commits += method == "commit"
        if self.commits == 2:
            self.commits += 1
            self.admin.tables.tickets.failures.plan("commit")


def test_a_stray_due_row_of_an_unused_state_goes_when_the_state_is_dead(admin: Administration) -> None:
    """A callback that died before it consumed its state leaves a row that is kept while the state lives."""
    trip, query = admin.trip(admin.credential())
    admin.tables.tickets.failures.plan("commit")
    with pytest.raises(StorageUnavailable):
        admin.answer(accepted(query), jar(trip))

    admin.pass_time(61)
    assert 1 == len([key for key in admin.due_rows() if "|state|" in key])
    admin.pass_time(900)
    assert [] == admin.due_rows()


def test_a_result_is_shown_for_a_day_to_whoever_has_its_address(admin: Administration) -> None:
    """A guessed address shows nothing; after 24 hours the address shows nothing either."""
    trip, query = admin.trip(admin.credential())
    location = admin.answer(accepted(query), jar(trip))
    state = query["state"].split("_")[2]

    with pytest.raises(NotFound):
        admin.consent.outcome(str(new_token("result", state)))
    admin.clock.advance(86400)
    with pytest.raises(Gone):
        admin.consent.outcome(location.rpartition("/")[2])


def test_rows_hold_no_secret_of_link_state_cookie_or_result(admin: Administration) -> None:
    """Whoever reads the tables can follow no link and forge no answer."""
    trip, query = admin.trip(admin.credential())
    location = admin.answer(accepted(query), jar(trip))
    secrets = [text.split("_")[3] for text in (query["state"], trip.cookie, location.rpartition("/")[2])]

    rows = repr([admin.tables.tickets.everything(), admin.tables.audit.everything(), admin.wakeups.sent])

    assert [] == [secret for secret in secrets if secret in rows]
    assert admin.tables.tickets.get(partition_of(query["state"].split("_")[2]), state_key(query["state"].split("_")[2]))

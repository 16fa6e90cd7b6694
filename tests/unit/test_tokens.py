"""The shared token module: one request where many ask, faults where they belong, waiting that ends by itself."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from shared.codes import Code
from shared.errors import CredentialFault, GrantFault, NotFound, Throttled, Unreachable
from shared.grants import Grant
from shared.schedule import GRANT
from shared.tokens import Tokens
from tests.fakes.entra import ALL_ROLES
from tests.scenes.administration import BOX, CONTOSO, FABRIKAM, SECRET, Administration, new_secret


@pytest.fixture
def admin() -> Administration:
    """Return an administration in which Contoso has consented."""
    made = Administration()
    made.consented()
    made.entra.requests.clear()
    made.entra._cache.clear()
    return made


@pytest.fixture
def grant(admin: Administration) -> Grant:
    """Return Contoso's grant."""
    return admin.grants.all()[0]


@pytest.fixture
def tokens(admin: Administration) -> Tokens:
    """Return the token module of a process that has just started."""
    return admin.other_process()


def test_a_held_token_costs_no_call(admin: Administration, grant: Grant, tokens: Tokens) -> None:
    """The second use asks nobody: not Entra, not the vault, not storage."""
    first = tokens.access_token(grant.id)
    calls, reads = admin.tables.calls(), admin.vault.reads

    assert [first] * 5 == [tokens.access_token(grant.id) for _ in range(5)]
    assert (calls, reads, [CONTOSO]) == (admin.tables.calls(), admin.vault.reads, admin.entra.requests)


def test_thirty_two_threads_make_one_request(admin: Administration, grant: Grant, tokens: Tokens) -> None:
    """Whoever comes while a token is being fetched waits for that one."""
    barrier = threading.Barrier(32)
    reads = admin.vault.reads

    def ask(_: int) -> str:
        barrier.wait()
        return tokens.access_token(grant.id).value

    with ThreadPoolExecutor(32) as pool:
        values = set(pool.map(ask, range(32)))

    assert (1, 1, 1) == (len(values), len(admin.entra.requests), admin.vault.reads - reads)


def test_a_token_is_renewed_before_it_dies(admin: Administration, grant: Grant, tokens: Tokens) -> None:
    """Five minutes before the end a new one is fetched."""
    admin.entra.expires_in = 600
    first = tokens.access_token(grant.id)
    admin.entra._cache.clear()
    admin.clock.advance(301)

    assert first != tokens.access_token(grant.id)


@pytest.mark.parametrize("fault", [Unreachable("No answer."), Throttled("Slow down.", retry_after=30)])
def test_an_outage_fails_nobody_who_has_a_good_token(
    admin: Administration, grant: Grant, tokens: Tokens, fault: Exception
) -> None:
    """While the sign-in is away, a token that still lives is used; a dead one is not."""
    admin.entra.expires_in = 600
    first = tokens.access_token(grant.id)
    admin.entra._cache.clear()
    admin.clock.advance(301)
    admin.entra.failures.plan("token", fault)
    admin.entra.failures.plan("token", fault)

    assert first == tokens.access_token(grant.id)
    admin.clock.advance(299)
    with pytest.raises(type(fault)):
        tokens.access_token(grant.id)


def test_a_fresh_token_is_never_an_old_one(grant: Grant, tokens: Tokens) -> None:
    """After a 401 from Graph the token that was refused is not handed out again."""
    first = tokens.access_token(grant.id)
    fresh = tokens.access_token(grant.id, fresh=True)

    assert first != fresh
    assert fresh == tokens.access_token(grant.id)


def test_a_mailbox_bears_root_and_token(grant: Grant, tokens: Tokens) -> None:
    """What Graph calls need comes in one piece, and a fresh token at will."""
    mailbox = tokens.graph_mailbox(grant.id, BOX.id)

    assert ("https://graph.microsoft.com", BOX.id) == (mailbox.root, mailbox.user)
    assert mailbox.token(False) == mailbox.token(False) != mailbox.token(True)


def test_a_wrong_secret_is_written_onto_the_credential(admin: Administration, grant: Grant, tokens: Tokens) -> None:
    """The fault stands on the credential in words, and every process lets its connections wait."""
    admin.entra.good.clear()
    admin.entra.expired.add(SECRET)
    with pytest.raises(CredentialFault):
        tokens.access_token(grant.id, fresh=True)

    fault = admin.credentials.get(grant.credential_id).fault
    standing = admin.other_process().standing(grant.id)
    assert fault is not None
    assert ("secret_expired", "AADSTS7000222") == (fault.code, fault.microsoft_code)
    assert isinstance(standing, CredentialFault)
    assert Code.SECRET_EXPIRED is standing.code


def test_connections_of_a_broken_credential_make_no_calls(admin: Administration, grant: Grant, tokens: Tokens) -> None:
    """After the first failure nobody asks Entra but the one probe."""
    admin.entra.good.clear()
    for _ in range(3):
        with pytest.raises(CredentialFault):
            tokens.access_token(grant.id)

    assert 1 == len(admin.entra.requests)


def test_a_broken_credential_is_probed_within_a_minute_and_resumes(
    admin: Administration, grant: Grant, tokens: Tokens
) -> None:
    """The grant that met the fault looks again by itself; once it works, everyone resumes."""
    admin.entra.good.clear()
    with pytest.raises(CredentialFault):
        tokens.access_token(grant.id)
    admin.entra.good.add(SECRET)
    admin.pass_time(61)

    assert admin.credentials.get(grant.credential_id).fault is None
    assert admin.other_process().access_token(grant.id).value
    admin.clock.advance(60)
    assert tokens.access_token(grant.id).value


def test_a_fallback_secret_is_tried_once_the_active_one_fails(
    admin: Administration, grant: Grant, tokens: Tokens
) -> None:
    """A rotation that went wrong at Microsoft does not stop the mail."""
    admin.entra.good.add("new-secret~value")
    admin.credentials.rotate(grant.credential_id, new_secret("new-secret~value"))
    admin.entra.good.remove("new-secret~value")

    assert tokens.access_token(grant.id).value
    assert admin.credentials.get(grant.credential_id).fault is None


def test_a_candidate_that_works_where_the_active_secret_fails_is_promoted(
    admin: Administration, grant: Grant, tokens: Tokens
) -> None:
    """A new secret that nobody could prove is put to use the moment it is needed."""
    credential = admin.credentials.get(grant.credential_id)
    version = admin.vault.put(credential.secret_name, "new-secret~value")
    stored = admin.registry.credential(credential.id)
    admin.registry.save_credential(stored, replace(credential, candidate_version=version))
    admin.entra.good = {"new-secret~value"}

    assert tokens.access_token(grant.id).value
    after = admin.credentials.get(credential.id)
    assert (version, "", credential.active_version) == (
        after.active_version,
        after.candidate_version,
        after.fallback_version,
    )


def test_a_version_rotated_by_another_process_is_found(admin: Administration, grant: Grant, tokens: Tokens) -> None:
    """A process that still knows the old version re-reads the row and goes on."""
    tokens.access_token(grant.id)
    admin.entra.good = {SECRET, "new-secret~value"}
    admin.credentials.rotate(grant.credential_id, new_secret("new-secret~value"))
    admin.entra.good = {"new-secret~value"}

    assert tokens.access_token(grant.id, fresh=True).value


def test_an_old_version_is_tried_once_and_not_at_each_call(admin: Administration, grant: Grant, tokens: Tokens) -> None:
    """What another process rotated is remembered at once, else each call would ask Entra for up to a minute."""
    tokens.access_token(grant.id)
    admin.entra.good = {SECRET, "new-secret~value"}
    admin.credentials.rotate(grant.credential_id, new_secret("new-secret~value"))
    admin.entra.good = {"new-secret~value"}
    first = tokens.access_token(grant.id, fresh=True)
    asked = len(admin.entra.requests)

    assert [first] * 3 == [tokens.access_token(grant.id) for _ in range(3)]
    assert asked == len(admin.entra.requests)


def test_a_missing_consent_belongs_to_the_grant(admin: Administration, grant: Grant, tokens: Tokens) -> None:
    """The credential is not blamed; the grant is checked as soon as may be."""
    del admin.entra.grants[CONTOSO]
    admin.clock.advance(301)
    with pytest.raises(GrantFault):
        tokens.access_token(grant.id)
    admin.work()

    assert admin.credentials.get(grant.credential_id).fault is None
    assert "revoked" == admin.grants.get(grant.id).status.value
    assert isinstance(tokens.standing(grant.id), GrantFault)


def test_suspicion_checks_once_in_five_minutes(admin: Administration, grant: Grant, tokens: Tokens) -> None:
    """A storm of 401 and 403 becomes one check, and none is lost."""
    sent = len(admin.wakeups.sent)
    for _ in range(5):
        tokens.suspect(grant.id)
    assert sent == len(admin.wakeups.sent)

    admin.clock.advance(301)
    for _ in range(5):
        tokens.suspect(grant.id)
    admin.work()
    admin.pass_time(1)

    assert 1 == len([item for item in admin.wakeups.sent[sent:] if item.body["kind"] == GRANT])
    assert [CONTOSO] == admin.entra.requests


def test_early_suspicion_is_followed_up(admin: Administration, grant: Grant, tokens: Tokens) -> None:
    """What is suspected right after a check is checked five minutes after it, by the due row."""
    tokens.suspect(grant.id)
    admin.pass_time(301)

    assert [CONTOSO] == admin.entra.requests


def test_a_role_less_token_is_not_kept_for_its_life(admin: Administration, grant: Grant, tokens: Tokens) -> None:
    """A token without all roles hides a later grant; after five minutes a fresh one is fetched."""
    admin.entra.grants[CONTOSO] = ("Mail.ReadWrite",)
    tokens.access_token(grant.id, fresh=True)
    admin.entra.grants[CONTOSO] = ALL_ROLES
    admin.clock.advance(301)

    assert ALL_ROLES == tokens.access_token(grant.id).roles


def test_an_unknown_grant_stands_in_the_way_of_its_connections(tokens: Tokens) -> None:
    """A grant that is gone is a reason to wait, not an error of the worker."""
    gone = f"grant_01ARZ3NDEKTSV4RRFFQ69G5FAV.{FABRIKAM}"

    assert isinstance(tokens.standing(gone), GrantFault)
    with pytest.raises(NotFound):
        tokens.access_token(gone)


def test_what_stands_is_read_again_after_a_minute(admin: Administration, grant: Grant, tokens: Tokens) -> None:
    """A revocation found by another process is known here within 60 seconds."""
    assert tokens.standing(grant.id) is None
    admin.entra.grants[CONTOSO] = ()
    admin.checks.verify(grant.id)
    assert tokens.standing(grant.id) is None

    admin.clock.advance(61)

    assert isinstance(tokens.standing(grant.id), GrantFault)


def test_no_secret_shows_in_a_text(admin: Administration, grant: Grant, tokens: Tokens) -> None:
    """Neither a token nor a secret stands in what might be logged."""
    token = tokens.access_token(grant.id)

    assert token.value not in repr(token)
    assert SECRET not in repr(admin.credentials.get(grant.credential_id))

"""Consent, credentials and connections on memory: Contoso consents, Fabrikam never does unless a test says so."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

from shared.audit import Audit
from shared.connection_admin.changes import ConnectionChanges
from shared.connection_admin.checks import ConnectionChecks
from shared.connection_admin.creation import ConnectionCreation
from shared.connection_admin.lists import ConnectionLists
from shared.connection_admin.rules import AskedAction, NewConnection
from shared.connection_admin.tokens import ConnectionTokens
from shared.connections import Connection, Destination, Direction
from shared.consent.links import ConsentLinks
from shared.consent.sign_in import SigningIn
from shared.consent.trip import Consent, Trip
from shared.credential_admin import CredentialAdmin
from shared.credential_upkeep import CredentialUpkeep
from shared.credentials import Credential, GrantType, NewCredential
from shared.erasing import Erasing
from shared.errors import Fault
from shared.grant_admin import GrantAdmin
from shared.grant_checks import GrantChecks
from shared.grants import Grant, Pace
from shared.keeping.run import Keep
from shared.mailbox_probe import MailboxProbe
from shared.notices import IN_RECORDS
from shared.ports import Answer, Found, GraphMailbox, Person
from shared.proofs import AuthMethod, TypedProof
from shared.purge import Purge
from shared.registry import Registry
from shared.resuming import Resuming
from shared.schedule import CREDENTIAL, KEEP, NOTICE, PURGE, QUEUES, STATE, Wakeup
from shared.settings import Settings
from shared.tick import Tick
from shared.tokens import Tokens
from tests.fakes import MemoryBlobStore, MemoryTables, MemoryVault, MemoryWakeups, MovableClock
from tests.fakes.entra import ALL_ROLES, MemoryEntra
from tests.fakes.graph_directory import MemoryDirectory
from tests.fakes.sign_in import MemorySignIn

CONTOSO = "11111111-2222-4333-8444-555555555555"
FABRIKAM = "99999999-2222-4333-8444-555555555555"
CLIENT_ID = "aaaaaaaa-0000-4000-8000-00000000cafe"
SECRET = "s3cret~value-of-contoso"
BOX = Person("5e0f0000-0000-4000-8000-000000000001", "box@contoso.example", "Box")
ANN = Person("5e0f0000-0000-4000-8000-000000000002", "ann@contoso.example", "Ann")
WEBHOOK = Destination("webhook", "https://hooks.example/in")


class AllowedWebhooks:
    """Takes every destination but those on example.invalid; answers as *answer* says, and calls nobody without it."""

    def __init__(self) -> None:
        self.answer: Answer | Exception | None = None
        self.got: list[tuple[str, bytes, dict[str, str]]] = []

    def check(self, url: str) -> str | None:
        """Return why this URL can never be called, or None."""
        return "This host may not be called." if "example.invalid" in url or not url else None

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Any:
        """Give the planned answer; without one nothing here delivers."""
        self.got.append((url, body, dict(headers)))
        if self.answer is None:
            raise AssertionError(url)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclass
class Drafts:
    """
    As much of reading and sending as a connection test needs; *standing* are the drafts that were not removed.

    *refusal* is what marking meets.
    """

    standing: list[str] = field(default_factory=list)
    refusal: Fault | None = None

    def create_draft(self, mailbox: GraphMailbox, mime: bytes) -> Found:
        """Make a draft."""
        self.standing.append(f"draft-{len(self.standing)}")
        return Found(self.standing[-1], is_draft=True, internet_message_id="<x@contoso.example>")

    def delete_draft(self, mailbox: GraphMailbox, draft_id: str) -> None:
        """Remove a draft."""
        self.standing.remove(draft_id)

    def apply(self, mailbox: GraphMailbox, action: str, ids: Sequence[str]) -> dict[str, Fault | None]:
        """Mark drafts that stand."""
        assert set(ids) <= set(self.standing)
        return dict.fromkeys(ids, self.refusal)


def settings(public_base_url: str = "https://mail.example") -> Settings:
    """Return settings with only defaults beside the public URL."""
    return Settings.from_environment(
        {
            "AzureWebJobsStorage": "x",
            "MAIL_STORAGE": "x",
            "KEY_VAULT_URL": "https://vault.example",
            "PUBLIC_BASE_URL": public_base_url,
        }
    )


class Administration:
    """The use cases under test with the fakes below them."""

    def __init__(self, public_base_url: str = "https://mail.example") -> None:
        self.clock = MovableClock()
        self.settings = settings(public_base_url)
        self.tables, self.vault = MemoryTables(self.clock), MemoryVault(self.clock)
        self.wakeups = MemoryWakeups(self.clock)
        self.entra = MemoryEntra(domains={"contoso.example": CONTOSO}, good={SECRET})
        self.directory = MemoryDirectory([BOX, ANN])
        self.drafts, self.webhooks = Drafts(), AllowedWebhooks()
        self.audit = Audit(self.tables.audit, self.clock)
        self.registry = Registry(self.tables)
        self.tokens = self.other_process()
        self.checks = GrantChecks(
            self.registry,
            self.tokens,
            MailboxProbe(self.tables, self.directory),
            Resuming(self.tables, self.wakeups),
            self.audit,
            self.clock,
            Pace(self.settings.consent_recheck_seconds, self.settings.verify_seconds),
        )
        self.credentials = CredentialAdmin(self.tables, self.vault, self.entra, self.tokens, self.audit, self.clock)
        self.upkeep = CredentialUpkeep(self.registry, self.vault, self.audit)
        self.grants = GrantAdmin(self.tables, self.tokens, self.audit, self.clock)
        self.links = ConsentLinks(self.tables, self.entra, self.audit, self.settings, self.clock)
        self.sign_in = MemorySignIn(good=self.entra.good)
        self.signing_in = SigningIn(self.entra, self.vault, self.sign_in, self.settings, self.clock)
        self.consent = Consent(self.tables, self.wakeups, self.signing_in, self.audit, self.settings, self.clock)
        parts = (self.tables, self.tokens, self.directory, self.webhooks, self.wakeups, self.audit, self.clock)
        self.creation, self.changes = ConnectionCreation(*parts), ConnectionChanges(*parts, self.vault)
        self.blobs = MemoryBlobStore(self.clock)
        self.purge = Purge(
            self.tables,
            Erasing(self.tables, self.blobs),
            self.wakeups,
            partial(self.changes.delete, discard=True),
            self.tokens,
            self.audit,
            self.clock,
            self.clock.monotonic,
        )
        self.lists = ConnectionLists(self.tables, self.tokens, self.directory)
        self.connection_checks = ConnectionChecks(
            self.tables,
            self.tokens,
            self.directory,
            self.drafts,  # type: ignore[arg-type]
            self.drafts,  # type: ignore[arg-type]
        )
        self.connection_tokens = ConnectionTokens(self.tables, self.audit, self.clock)
        self.keep = Keep(self.tables, self.blobs, Erasing(self.tables, self.blobs), self.wakeups, self.clock.monotonic)
        self.tick = Tick(self.tables, self.wakeups, self.clock)

    def other_process(self) -> Tokens:
        """Return a token module that remembers nothing."""
        return Tokens(self.tables, self.vault, self.entra, self.wakeups, self.clock, self.clock.monotonic)

    def credential(self, **changes: Any) -> Credential:
        """Create a credential of Contoso."""
        return self.credentials.create(asked_credential(**changes))

    def trip(self, credential: Credential, **link: Any) -> tuple[Trip, dict[str, str]]:
        """Follow a new link to Microsoft; return the trip and the parameters of its URL."""
        url = self.links.create(credential.id, **link).url
        trip = self.consent.start(url.rpartition("/")[2])
        return trip, {name: values[0] for name, values in parse_qs(urlsplit(trip.location).query).items()}

    def consented(
        self, credential: Credential | None = None, tenant: str = CONTOSO, roles: Iterable[str] = ALL_ROLES, **link: Any
    ) -> Grant:
        """Walk the whole way as an administrator of *tenant* who accepts, and check the grant."""
        self.entra.grants[tenant] = tuple(roles)
        trip, query = self.trip(credential or self.credential(), **link)
        answer = {"admin_consent": "True", "tenant": tenant, "state": query["state"]}
        after = self.consent.callback(answer, {trip.cookie_name: trip.cookie})
        if after.cookie:
            self.signs_in(after, tenant)
        self.work()
        return self.grants.all()[0]

    def answer(self, params: Mapping[str, str], cookies: Mapping[str, str]) -> str:
        """Come back from Microsoft; return where that leads to."""
        return self.consent.callback(params, cookies).location

    def signs_in(self, trip: Trip, tenant: str = CONTOSO, **person: Any) -> str:
        """Sign in as somebody of *tenant* on the page that *trip* leads to; return where that leads to."""
        params = self.sign_in.at_page(trip.location, tenant, **person)
        return self.answer(params, {trip.cookie_name: trip.cookie})

    def work(self) -> None:
        """Do the consent work that is visible in the queue."""
        for body in self.wakeups.take(QUEUES[STATE]):
            wakeup = Wakeup.from_body(body)
            if wakeup.kind == STATE:
                self.consent.finish(wakeup.id, wakeup.due)
            elif wakeup.kind == CREDENTIAL:
                self.upkeep.handle(wakeup)
            elif wakeup.kind == KEEP:
                self.keep.handle(wakeup)
            elif wakeup.kind == PURGE:
                self.purge.handle(wakeup)
            else:
                self.checks.handle(wakeup)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, then one tick and the work that it wakes."""
        self.clock.advance(seconds)
        self.tick.run()
        self.work()

    def connection(self, grant: Grant, **changes: Any) -> Connection:
        """Create an incoming connection for the mailbox Box."""
        asked = asked_connection(grant.id, **changes)
        return self.creation.create(asked, {})

    def state_rows(self) -> list[str]:
        """Return the keys of the due rows of states."""
        return [key for key in self.due_rows() if "|state|" in key]

    def grant_rows(self) -> list[str]:
        """Return the keys of all rows of grants but those of notices, which go by themselves."""
        return [key for _, key in self.tables.grants.everything() if not key.startswith(IN_RECORDS)]

    def due_rows(self) -> list[str]:
        """Return the keys of all due rows but those of notices, which go by themselves."""
        keys = [key for _, key in self.tables.connections.everything() if key.startswith("due|")]
        return [key for key in keys if f"|{NOTICE}|" not in key]


def new_secret(value: str, expires_at: str | None = None) -> TypedProof:
    """Return a client secret as an administrator types it in at a rotation."""
    return TypedProof(AuthMethod.SECRET, value, expires_at)


def asked_credential(**changes: Any) -> NewCredential:
    """Return what an administrator of Contoso types in."""
    values: dict[str, Any] = {
        "name": "Contoso",
        "client_id": CLIENT_ID,
        "grant_type": GrantType.ADMIN_CONSENT,
        "auth_method": AuthMethod.SECRET,
        "client_secret": SECRET,
        "cloud": "global",
        "tenant": CONTOSO,
    }
    return NewCredential(**(values | changes))


def asked_connection(grant_id: str, **changes: Any) -> NewConnection:
    """Return what an administrator asks for: Box's inbox to a webhook."""
    values: dict[str, Any] = {
        "direction": Direction.INCOMING,
        "grant_id": grant_id,
        "mailbox": BOX.address,
        "name": "Box",
        "after_fetch": AskedAction(),
        "destination": WEBHOOK,
    }
    if changes.get("direction") is Direction.OUTGOING:
        values["destination"] = None
    return NewConnection(**(values | changes))

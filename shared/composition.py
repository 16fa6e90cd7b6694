"""Which real thing stands behind each port, and which use cases there are; makes no call to the outside."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Self

from azure.identity import DefaultAzureCredential

from shared.adapters.blob_storage import blob_service, open_blobs
from shared.adapters.entra import MsalEntra
from shared.adapters.entra_sign_in import MsalSignIn
from shared.adapters.graph_directory import HttpGraphDirectory
from shared.adapters.graph_http import GraphHttp
from shared.adapters.graph_reading import HttpGraphReading
from shared.adapters.graph_sending import GraphSender
from shared.adapters.graph_sent import HttpGraphSent
from shared.adapters.html_cleaning import clean
from shared.adapters.http_client import environment_client
from shared.adapters.key_vault import KeyVault, open_vault
from shared.adapters.own_front import PublicFront
from shared.adapters.queue_storage import StorageWakeups, open_wakeups
from shared.adapters.storage_account import StorageAccount
from shared.adapters.table_storage import open_tables
from shared.adapters.upload_links import StorageUploadLinks
from shared.adapters.webhooks import GuardedWebhooks, signature, verified
from shared.audit import Audit
from shared.audit_log import AuditLog
from shared.connection_admin.changes import ConnectionChanges
from shared.connection_admin.checks import ConnectionChecks
from shared.connection_admin.creation import ConnectionCreation
from shared.connection_admin.lists import ConnectionLists
from shared.connection_admin.redelivery import Redeliveries
from shared.connection_admin.signing import SecretRotation
from shared.connection_admin.tokens import ConnectionTokens
from shared.connection_admin.trial import DestinationTrial
from shared.connections import Back
from shared.consent.links import ConsentLinks
from shared.consent.sign_in import SigningIn
from shared.consent.trip import Consent
from shared.credential_admin import CredentialAdmin
from shared.credential_upkeep import CredentialUpkeep
from shared.deliver.alert_bodies import AlertFormat
from shared.deliver.notices import LONGEST_BACK, Notices
from shared.deliver.run import Deliver
from shared.deliver.telling import Alerts, Telling
from shared.erasing import Erasing
from shared.erasure import Erasure
from shared.events import EventMaker
from shared.fetch.run import Fetch, FetchLimits
from shared.front_proof import FrontProof
from shared.grant_admin import GrantAdmin
from shared.grant_checks import GrantChecks
from shared.grants import Pace
from shared.health import Health
from shared.hooks.hooks import Hooks
from shared.hooks.templates import MailTemplates
from shared.keeping.run import Keep
from shared.mailbox_probe import MailboxProbe
from shared.message_pages import MessagePages
from shared.outbox.work import Periods
from shared.poison import Poison
from shared.ports import BlobStore, Tables
from shared.purge import Purge
from shared.received import Received
from shared.refetching import Refetching
from shared.registry import Registry
from shared.resuming import Resuming
from shared.run_lists import RunLists
from shared.send.accept import Accept
from shared.send.drain import Drain
from shared.send.entries import Entries
from shared.send.replying import Replying
from shared.send.resending import Resending
from shared.send.uploads import Uploads
from shared.send.waking import DueRows, SharedWakeups
from shared.settings import Settings
from shared.signing import Signing
from shared.status_notices import tellings
from shared.telemetry import quiet_vendors
from shared.tick import Tick
from shared.times import now_utc
from shared.tokens import Tokens
from shared.turns import Turns


@dataclass(frozen=True, slots=True)
class Services:
    """Every use case, ready to be called from many threads."""

    settings: Settings
    audit: Audit
    audit_log: AuditLog
    credentials: CredentialAdmin
    credential_upkeep: CredentialUpkeep
    grants: GrantAdmin
    purge: Purge
    keep: Keep
    erasure: Erasure
    run_lists: RunLists
    grant_checks: GrantChecks
    consent: Consent
    consent_links: ConsentLinks
    connection_creation: ConnectionCreation
    connection_changes: ConnectionChanges
    connection_lists: ConnectionLists
    connection_checks: ConnectionChecks
    connection_tokens: ConnectionTokens
    destination_trial: DestinationTrial
    secret_rotation: SecretRotation
    redeliveries: Redeliveries
    signing: Signing
    fetch: Fetch
    deliver: Deliver
    notices: Notices
    accept: Accept
    drain: Drain
    entries: Entries
    replying: Replying
    resending: Resending
    received: Received
    message_pages: MessagePages
    refetching: Refetching
    uploads: Uploads
    tick: Tick
    poison: Poison
    mail_templates: MailTemplates
    hooks: Hooks
    health: Health
    front_proof: FrontProof


@dataclass(frozen=True, slots=True)
class _Outside:
    """What leads out of the process: storage, vault, Microsoft, and addresses that a person entered."""

    tables: Tables
    blobs: BlobStore
    wakeups: StorageWakeups
    vault: KeyVault
    entra: MsalEntra
    sign_in: MsalSignIn
    directory: HttpGraphDirectory
    reading: HttpGraphReading
    sending: GraphSender
    sent: HttpGraphSent
    webhooks: GuardedWebhooks
    upload_links: StorageUploadLinks

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the adapters that *settings* name; makes no call."""
        credential, client = DefaultAzureCredential(), environment_client()
        graph = GraphHttp(client)
        return cls(
            tables=open_tables(settings, credential),
            blobs=open_blobs(settings, credential),
            wakeups=open_wakeups(settings, credential),
            vault=open_vault(settings, credential),
            entra=MsalEntra(client),
            sign_in=MsalSignIn(client),
            directory=HttpGraphDirectory(graph),
            reading=HttpGraphReading(graph),
            sending=GraphSender(graph),
            sent=HttpGraphSent(graph),
            webhooks=GuardedWebhooks(settings.delivery_allow, settings.public_base_url, proxy=settings.delivery_proxy),
            upload_links=StorageUploadLinks(blob_service(StorageAccount.of(settings, credential))),
        )


@dataclass(frozen=True, slots=True)
class _Shared:
    """What several use cases are made of."""

    audit: Audit
    tokens: Tokens
    signing: Signing
    turns: Turns
    events: EventMaker
    telling: Telling
    templates: MailTemplates
    entries: Entries
    uploads: Uploads
    accept: Accept
    changes: ConnectionChanges
    erasing: Erasing

    @classmethod
    def of(cls, settings: Settings, out: _Outside) -> Self:
        """Return the services on the adapters *out*."""
        tables, blobs, wakeups = out.tables, out.blobs, out.wakeups
        audit, tokens = Audit(tables.audit, now_utc), Tokens(tables, out.vault, out.entra, wakeups, now_utc)
        signing = Signing(tables, out.vault)
        alerts = Alerts(settings.alert_webhook, settings.alert_webhook_secret, AlertFormat(settings.alert_format))
        uploads = Uploads(tables.outbox, out.upload_links, now_utc)
        told = tellings(tables, wakeups, now_utc)
        return cls(
            audit=audit,
            tokens=tokens,
            signing=signing,
            turns=Turns(tables.connections, settings.turn_lease_seconds),
            events=EventMaker(settings.public_base_url, signing.link_key),
            telling=Telling(wakeups, out.webhooks, signing, signature, alerts, now_utc),
            templates=MailTemplates(tables, audit, now_utc),
            entries=Entries(tables.outbox, now_utc, told),
            uploads=uploads,
            accept=Accept(
                tables.outbox, blobs, SharedWakeups(wakeups), DueRows(tables.connections), uploads, now_utc, told
            ),
            changes=ConnectionChanges(tables, tokens, out.directory, out.webhooks, wakeups, audit, now_utc, out.vault),
            erasing=Erasing(tables, blobs),
        )


def compose(settings: Settings) -> Services:
    """Return the product on real storage, vault, Entra and Graph, as *settings* name them."""
    quiet_vendors()
    out = _Outside.of(settings)
    its = _Shared.of(settings, out)
    tables, blobs, wakeups, webhooks = out.tables, out.blobs, out.wakeups, out.webhooks
    tokens, signing, turns, events = its.tokens, its.signing, its.turns, its.events
    retries = settings.delivery_retry_seconds
    return _administered(settings, out, its)(
        fetch=Fetch(tables, blobs, wakeups, turns, tokens, out.reading, _limits(settings)),
        deliver=Deliver(tables, blobs, wakeups, turns, webhooks, signing, signature, events, retries, now_utc),
        notices=Notices(tables, wakeups, its.telling, settings.public_base_url, Back(retries, LONGEST_BACK)),
        accept=its.accept,
        drain=Drain(
            *(turns, tables.outbox, blobs, wakeups, tokens, out.sending, _periods(settings)),
            runs=tables.log,
            sent=out.sent,
            confirm=timedelta(seconds=settings.confirm_seconds),
        ),
        entries=its.entries,
        replying=Replying(tables, blobs.received),
        resending=Resending(tables, blobs, its.entries, its.accept),
        received=Received(tables, blobs.received, wakeups, signing.link_key, settings.public_base_url, now_utc),
        message_pages=MessagePages(tables.receipts, blobs.received, signing.link_key, now_utc, clean),
        uploads=its.uploads,
        tick=Tick(tables, wakeups, now_utc),
        poison=Poison(tables, now_utc),
    )


def _administered(settings: Settings, out: _Outside, its: _Shared) -> Callable[..., Services]:
    """Return the services with everything that administrators call; whoever calls the result adds those that work."""
    tables, blobs, wakeups, webhooks = out.tables, out.blobs, out.wakeups, out.webhooks
    audit, tokens, signing, events, registry = its.audit, its.tokens, its.signing, its.events, Registry(out.tables)
    probe, resuming = MailboxProbe(tables, out.directory), Resuming(tables, wakeups)
    signing_in = SigningIn(out.entra, out.vault, out.sign_in, settings, now_utc)
    return partial(
        Services,
        settings=settings,
        audit=audit,
        audit_log=AuditLog(tables.audit, now_utc),
        credentials=CredentialAdmin(tables, out.vault, out.entra, tokens, audit, now_utc),
        credential_upkeep=CredentialUpkeep(registry, out.vault, audit),
        grants=GrantAdmin(tables, tokens, audit, now_utc),
        purge=Purge(tables, its.erasing, wakeups, partial(its.changes.delete, discard=True), tokens, audit, now_utc),
        keep=Keep(tables, blobs, its.erasing, wakeups),
        erasure=Erasure(tables, blobs.received),
        run_lists=RunLists(tables, now_utc),
        grant_checks=GrantChecks(registry, tokens, probe, resuming, audit, now_utc, _pace(settings)),
        consent=Consent(tables, wakeups, signing_in, audit, settings, now_utc),
        consent_links=ConsentLinks(tables, out.entra, audit, settings, now_utc),
        connection_creation=ConnectionCreation(
            tables, tokens, out.directory, webhooks, wakeups, audit, now_utc, turns_by_app=settings.turn_key == "app"
        ),
        connection_changes=its.changes,
        connection_lists=ConnectionLists(tables, tokens, out.directory),
        connection_checks=ConnectionChecks(tables, tokens, out.directory, out.reading, out.sending),
        connection_tokens=ConnectionTokens(tables, audit, now_utc),
        destination_trial=DestinationTrial(tables, webhooks, wakeups, signing, signature, events, audit, now_utc),
        secret_rotation=SecretRotation(tables, signing, wakeups, audit),
        redeliveries=Redeliveries(tables, wakeups, audit),
        signing=signing,
        refetching=Refetching(tables, wakeups),
        mail_templates=its.templates,
        hooks=Hooks(tables, its.templates, out.vault, signing, verified, audit, now_utc),
        health=Health(tables, wakeups, out.vault, now_utc),
        front_proof=FrontProof(PublicFront(settings.public_base_url), settings.admin_tenant, tables, wakeups, now_utc),
    )


def _pace(settings: Settings) -> Pace:
    return Pace(settings.consent_recheck_seconds, settings.verify_seconds)


def _limits(settings: Settings) -> FetchLimits:
    return FetchLimits(sweep_seconds=settings.sweep_seconds)


def _periods(settings: Settings) -> Periods:
    return Periods(
        look=timedelta(seconds=settings.send_look_seconds),
        gap=timedelta(seconds=settings.send_look_gap_seconds),
        quiet=timedelta(seconds=settings.send_quiet_seconds),
    )

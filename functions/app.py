"""The whole app: every area's functions, registered once."""

import azure.functions as func

from functions import (
    admin_door,
    audit_http,
    connection_tokens_http,
    connections_bulk_http,
    connections_http,
    consent_http,
    consent_queue,
    console_http,
    credentials_http,
    deliver_queue,
    destinations_http,
    fetch_queue,
    grants_http,
    health_http,
    hooks_http,
    inbox_http,
    keeping_http,
    message_page_http,
    openapi_http,
    outbox_http,
    poison_queue,
    received_http,
    retry_http,
    send_http,
    send_queue,
    tick_timer,
)
from functions.connections_http import ConnectionUseCases
from functions.destinations_http import DestinationUseCases
from shared.composition import Services


def build(services: Services) -> func.FunctionApp:
    """Return the app of *services*."""
    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
    http = _http(services)
    if services.settings.admin_auth == "easyauth":
        http = [admin_door.behind_easy_auth(http, services.front_proof, services.settings)]
    for blueprint in (*http, *_background(services)):
        app.register_functions(blueprint)
    return app


def _http(it: Services) -> list[func.Blueprint]:
    use = ConnectionUseCases(
        it.connection_creation, it.connection_changes, it.connection_lists, it.connection_checks, it.signing
    )
    destinations = DestinationUseCases(it.destination_trial, it.secret_rotation, it.redeliveries, it.connection_lists)
    return [
        health_http.blueprint(it.health, it.tick, it.audit, it.settings),
        openapi_http.blueprint(it.settings),
        audit_http.blueprint(it.audit_log, it.settings),
        credentials_http.blueprint(it.credentials, it.grant_checks, it.consent_links, it.settings),
        consent_http.blueprint(it.consent, it.settings),
        console_http.blueprint(it.settings),
        grants_http.blueprint(it.grants, it.grant_checks, it.purge, it.settings),
        connections_http.blueprint(use, it.settings),
        connections_bulk_http.blueprint(use, it.settings),
        destinations_http.blueprint(destinations, it.settings),
        connection_tokens_http.blueprint(it.connection_tokens, it.connection_lists, it.settings),
        send_http.blueprint(it.connection_tokens, it.accept, it.replying, it.entries, it.uploads, it.settings),
        hooks_http.blueprint(it.hooks, it.mail_templates, it.accept, it.settings),
        outbox_http.blueprint(it.entries, it.resending, it.audit, it.settings),
        received_http.blueprint(it.received, it.audit, it.settings),
        message_page_http.blueprint(it.message_pages, it.audit, it.settings),
        retry_http.blueprint(it.refetching, it.received, it.audit, it.settings),
        inbox_http.blueprint(it.connection_tokens, it.received, it.settings),
        keeping_http.blueprint(it.erasure, it.run_lists, it.audit, it.settings),
    ]


def _background(it: Services) -> list[func.Blueprint]:
    watch = it.tick.watchdog.look
    return [
        tick_timer.blueprint(it.tick, it.settings.tick_schedule),
        fetch_queue.blueprint(it.fetch, watch),
        deliver_queue.blueprint(it.deliver, it.notices, watch),
        send_queue.blueprint(it.drain, watch),
        consent_queue.blueprint(it.consent, it.grant_checks, it.credential_upkeep, it.purge, it.keep, watch),
        poison_queue.blueprint(it.poison),
    ]

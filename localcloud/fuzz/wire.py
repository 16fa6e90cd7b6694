"""The targets of what comes over the wire and out of storage, and of what the local host parses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings

from localcloud.fuzz import (
    azure_answers,
    edges,
    entra_answers,
    graph_answers,
    host_parsers,
    mutations,
    rows_and_messages,
    use_cases,
)
from localcloud.fuzz.targets import Target, of_test


def _drawn(name: str, cases: Any, check: Callable[[Any], None], **bounds: Any) -> Target:
    """Return the target that draws its *cases* from the input's bytes."""

    @settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(cases)
    def test(case: Any) -> None:
        check(case)

    return of_test(name, test, mutate=mutations.any_bytes, **bounds)


TARGETS = (
    _drawn("graph-answers", graph_answers.cases(), graph_answers.check),
    _drawn("entra-answers", entra_answers.cases(), entra_answers.check),
    _drawn("vault-answers", azure_answers.vault_cases(), azure_answers.check_vault),
    _drawn("table-answers", azure_answers.table_cases(), azure_answers.check_tables),
    _drawn("receivers", edges.receiver_cases(), edges.check_receiver),
    _drawn("signatures", edges.signature_cases(), edges.check_signature),
    _drawn("host-files", edges.host_cases(), edges.check_host),
    _drawn("consent-callback", edges.consent_cases(), edges.check_consent),
    _drawn("rows", rows_and_messages.row_cases(), rows_and_messages.check_row),
    _drawn("queue-messages", rows_and_messages.message_cases(), rows_and_messages.check_message),
    _drawn("due-rows", rows_and_messages.due_cases, rows_and_messages.check_due),
    _drawn("schedules", host_parsers.schedules, host_parsers.check_schedule),
    _drawn("odd-schedules", host_parsers.odd_schedules, host_parsers.check_odd_schedule),
    _drawn("routes", host_parsers.routes, host_parsers.check_routes),
    Target("fetch", use_cases.check_fetch, mutate=mutations.any_bytes, most_bytes=64, seconds=30.0),
    Target("send", use_cases.check_send, mutate=mutations.any_bytes, most_bytes=64, seconds=30.0),
)

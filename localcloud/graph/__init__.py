"""
Microsoft Graph mail, simulated: the applications that the gateway serves and what the control endpoint adds.

Modes of the world that it knows; each also as ``name:address`` for one mailbox, except those marked *:

- time and limits: latency_ms, list_item_ms, list_kb_ms, mailbox_concurrency (4), mailbox_requests (10,000 in 10 min),
  mailbox_upload_mb (150 in 5 min), send_limit_mb (35), recipient_limit (500), attachment_post_bytes,
  upload_session_min_bytes, retry_after_seconds*, retry_after_form* (int, decimal, date, none, cycle)
- sending: second_send_delivers_again, id_changes_on_send, sent_copy_delay_seconds, sent_copy_never,
  draft_lingers_seconds, marker_property_lost, marker_header_lost, message_id_rewritten, ndr (on), send_as (addresses)
- delta: delta_generations (3), delta_filter_cap (5,000), delta_empty_pages (number), delta_duplicates,
  delta_removed_first, delta_loses_moved_back
- others: mime_varies, rbac_mailboxes:<client id>* (addresses that are reachable without roles)

Faults of service ``graph`` name an operation of `localcloud.graph.operations` (or ``uploads.put``) and are bound to a
mailbox by its address or object id; beside the common effects, ``"when": "later"`` acts ``after_seconds`` later.
"""

from localcloud.graph.app import graph_app, uploads_app
from localcloud.graph.control import control_routes

__all__ = ["control_routes", "graph_app", "uploads_app"]

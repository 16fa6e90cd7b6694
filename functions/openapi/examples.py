"""An example of every request with a body, by the name of its model; a test holds them against the models."""

from collections.abc import Mapping
from typing import Any

_GRANT = "grant_01KB3V4Q0G2M5T8X9Z6Y7W1C3D.9c1a0e52-8f0b-4d34-9d52-0c1f6f3f7f11"
_CONNECTION = "conn_3a73f5a0e922000b01M81CWCPRQJ6E524XR1A4GS3B"

EXAMPLES: Mapping[str, Any] = {
    "CreateCredential": {
        "name": "Contoso",
        "client_id": "aaaaaaaa-0000-4000-8000-00000000cafe",
        "grant_type": "admin_consent",
        "auth_method": "secret",
        "cloud": "global",
        "tenant": "contoso.example",
        "client_secret": "the column Value of the secret",
        "secret_expires_at": "2027-11-22T00:00:00Z",
    },
    "ChangeCredential": {"name": "Contoso, production"},
    "RotateSecret": {"client_secret": "the new value", "secret_expires_at": "2028-11-22T00:00:00Z"},
    "VerifyCredential": {"tenant": "contoso.example"},
    "CreateLink": {"expected_tenant": "contoso.example", "label": "Contoso's administrator", "expires_in_hours": 48},
    "VerifyGrant": {"mailbox": "box@contoso.example"},
    "CreateConnection": {
        "direction": "incoming",
        "grant_id": _GRANT,
        "mailbox": "box@contoso.example",
        "name": "Support",
        "folder": "inbox",
        "start": "now",
        "after_fetch": {"action": "read"},
        "destination": {"type": "webhook", "url": "https://hooks.example/mail"},
    },
    "BulkBody": {
        "dry_run": True,
        "operations": [
            {"op": "patch", "id": _CONNECTION, "connection": {"interval_minutes": 15}, "version": 3},
            {"op": "disable", "id": _CONNECTION},
        ],
    },
    "ChangeConnection": {"interval_minutes": 15, "after_fetch": None},
    "TestConnection": {"unreachable_mailbox": "director@contoso.example"},
    "RotateSigningSecret": {"overlap_hours": 24},
    "RedeliverBody": {"status": "failed", "since": "2026-11-01T00:00:00Z", "dry_run": True},
    "CreateToken": {"scope": "send"},
    "MessageBody": {
        "to": ["ann@example.com", {"address": "bob@example.com", "name": "Bob"}],
        "subject": "Ticket 42",
        "text": "Thank you for writing.",
        "html": "<p>Thank you for writing.</p>",
        "headers": {"X-Ticket": "42"},
        "attachments": [{"name": "a.txt", "content_type": "text/plain", "content": "aGVsbG8="}],
        "metadata": {"ticket": 42},
    },
    "UploadBody": {"name": "report.pdf", "content_type": "application/pdf", "size": 5242880},
    "HookBody": {"template": "order", "verify": {"type": "standard_webhooks"}, "dedupe_key": "{{ payload.id }}"},
    "TemplateBody": {
        "to": "{{ payload.customer.email }}",
        "subject": "Order {{ payload.id }}",
        "text": "Thank you, {{ payload.customer.name }}.",
    },
    "PreviewBody": {"payload": {"id": "1001", "customer": {"name": "Ann", "email": "ann@example.com"}}},
    "ResendBody": {"accept_duplicate": False},
}

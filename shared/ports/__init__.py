"""
What the product needs of the outside, as promises: tables, blobs, queues, vault, Entra, Graph, webhooks, time.

Every method says what it promises, what it raises and what a repeat does. Adapters keep these promises; each has one
contract suite that its fake and its real form both pass.
"""

from collections.abc import Callable
from datetime import datetime

from shared.ports.front import Front
from shared.ports.graph import (
    Attachment,
    DeltaPage,
    Folder,
    Found,
    GraphDirectory,
    GraphMailbox,
    GraphReading,
    GraphSending,
    Listed,
    MailCount,
    Person,
    Placed,
    Window,
)
from shared.ports.graph_sent import REPORTS_LISTED, GraphSent, Marked, Report
from shared.ports.microsoft import AccessToken, Entra, SignedIn, SignIn, Vault
from shared.ports.storage import (
    ANY,
    Blobs,
    BlobStore,
    Committed,
    Delete,
    Insert,
    Operation,
    Row,
    Rows,
    StoredBlob,
    Table,
    Tables,
    Update,
    UploadLinks,
    Upsert,
    Wakeups,
)
from shared.ports.webhooks import Answer, Webhooks

Clock = Callable[[], datetime]

__all__ = [
    "ANY",
    "REPORTS_LISTED",
    "AccessToken",
    "Answer",
    "Attachment",
    "BlobStore",
    "Blobs",
    "Clock",
    "Committed",
    "Delete",
    "DeltaPage",
    "Entra",
    "Folder",
    "Found",
    "Front",
    "GraphDirectory",
    "GraphMailbox",
    "GraphReading",
    "GraphSending",
    "GraphSent",
    "Insert",
    "Listed",
    "MailCount",
    "Marked",
    "Operation",
    "Person",
    "Placed",
    "Report",
    "Row",
    "Rows",
    "SignIn",
    "SignedIn",
    "StoredBlob",
    "Table",
    "Tables",
    "Update",
    "UploadLinks",
    "Upsert",
    "Vault",
    "Wakeups",
    "Webhooks",
    "Window",
]

"""Whose mailboxes are there, and what has reached which address: the mail of the simulated Microsoft 365."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from localcloud.mail.fields import timestamp
from localcloud.mail.message import Message
from localcloud.mail.mime_parse import parse_mime
from localcloud.mail.store import Mailbox
from localcloud.mail.throttle import Throttle

if TYPE_CHECKING:
    from localcloud.graph.attachment_sessions import UploadSession
    from localcloud.world import Tenant, User, World


@dataclass
class DeliveredCopy:
    """One copy of a message that reached *address* at *at* (epoch seconds); *raw* are the exact bytes."""

    address: str
    raw: bytes
    at: float
    external: bool
    _report: dict[str, Any] = field(default_factory=dict)

    def report(self) -> dict[str, Any]:
        """Return what a test wants to know of the copy, with hashes instead of content."""
        if not self._report:
            mail = parse_mime(self.raw)
            author = next(iter(mail.addresses["from"]), ("", ""))
            self._report = {
                "address": self.address, "internet_message_id": mail.message_id, "subject": mail.subject,
                "from": author[1], "sha256": hashlib.sha256(self.raw).hexdigest(), "size": len(self.raw),
                "attachments": [
                    {"name": item.name, "sha256": hashlib.sha256(item.content).hexdigest(), "size": len(item.content)}
                    for item in mail.attachments
                ],
                "headers": {name: value for name, value in mail.headers if name.casefold().startswith("x-")},
                "external": self.external, "at": timestamp(self.at),
            }  # fmt: skip
        return self._report


class Mailboxes:
    """Every mailbox of *world*, made when first looked at, and the record of all deliveries."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.received: dict[str, list[DeliveredCopy]] = defaultdict(list)
        self.uploads: dict[str, UploadSession] = {}
        self.throttle = Throttle(self)
        self._mailboxes: dict[str, Mailbox] = {}

    def of(self, tenant: Tenant, user: User) -> Mailbox:
        """Return the mailbox of *user*, with everything done that has become due."""
        mailbox = self._mailboxes.get(user.id)
        if mailbox is None:
            mailbox = self._mailboxes[user.id] = Mailbox(user, tenant.id, self.world.clock)
        mailbox.settle()
        return mailbox

    def find(self, key: str) -> Mailbox | None:
        """Return the mailbox with this address or user id, whatever its state, in any tenant."""
        for tenant in self.world.tenants.values():
            user = tenant.find_user(key)
            if user is not None:
                return self.of(tenant, user)
        return None

    def is_local(self, address: str) -> bool:
        """Say whether the domain of *address* belongs to one of the tenants."""
        domain = address.rpartition("@")[2].casefold()
        return any(
            domain == tenant.domain
            or any(user.address.casefold().endswith(f"@{domain}") for user in tenant.users.values())
            for tenant in self.world.tenants.values()
        )

    def store(self, mailbox: Mailbox, raw: bytes, folder: str = "inbox", received_at: float | None = None) -> Message:
        """Put a message that arrived as *raw* into *folder* and return it."""
        moment = self.world.clock() if received_at is None else received_at
        return mailbox.add(Message(mailbox.new_message_id(), raw, moment), mailbox.folder(folder))

    def record_copy(self, address: str, raw: bytes, *, external: bool) -> None:
        """Remember that *raw* reached *address*."""
        self.received[address.casefold()].append(DeliveredCopy(address, raw, self.world.clock(), external))

    def mode(self, name: str, default: Any = None, address: str = "") -> Any:
        """Return a switch of the world, one for this *address* (``name:address``) before the general one."""
        modes = self.world.modes
        return modes.get(f"{name}:{address.casefold()}", modes.get(name, default))

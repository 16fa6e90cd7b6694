"""
What happens to a message after Exchange has accepted it: copies to recipients, the Sent Items copy, bounces.

The switches are the cases in which documents and reports about Exchange disagree; each can be set for one mailbox.
"""

from __future__ import annotations

import uuid
from email.utils import formatdate
from typing import TYPE_CHECKING

from localcloud.mail.bounces import non_delivery_report
from localcloud.mail.errors import MailError, bad_request
from localcloud.mail.fields import addresses_in
from localcloud.mail.message import Message
from localcloud.mail.mime_compose import change_headers, header_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from localcloud.mail.mailboxes import Mailboxes
    from localcloud.mail.store import Mailbox

DEFAULT_SEND_LIMIT_MB = 35
DEFAULT_RECIPIENT_LIMIT = 500
MARKER_HEADER = "X-Mailgrant-Entry"
MESSAGE_CLASS_ID = "String 0x1a"
REPORT_CLASS = "REPORT.IPM.Note.NDR"


def submit(mailboxes: Mailboxes, mailbox: Mailbox, draft: Message, *, save_copy: bool = True) -> None:
    """
    Send *draft* as ``/send`` does.

    Raises:
        MailError: where Exchange refuses at once; nothing has happened then.
    """
    if draft.submitted:
        if not mailboxes.mode("second_send_delivers_again", address=mailbox.user.address):
            raise bad_request("The message is not a draft and cannot be sent.", "ErrorInvalidRequest")
        _deliver(mailboxes, mailbox, draft, draft.mime())
        return
    if not draft.is_draft:
        raise bad_request("The message is not a draft and cannot be sent.", "ErrorInvalidRequest")
    _check_sender(mailboxes, mailbox, draft)
    _check_recipients(mailboxes, mailbox, draft)
    raw = _submitted_mime(mailboxes, mailbox, draft)
    check_size(mailboxes, mailbox, len(raw))
    draft.submitted = True
    _deliver(mailboxes, mailbox, draft, raw)
    _leave_drafts(mailboxes, mailbox, draft, raw, save_copy=save_copy)


def check_size(mailboxes: Mailboxes, mailbox: Mailbox, size: int) -> None:
    """
    Compare *size* (bytes) with the mailbox's send limit.

    Raises:
        MailError: ErrorMessageSizeExceeded.
    """
    limit_mb = float(mailboxes.mode("send_limit_mb", DEFAULT_SEND_LIMIT_MB, mailbox.user.address))
    if size > limit_mb * 1024 * 1024:
        raise MailError(413, "ErrorMessageSizeExceeded", "The message exceeds the maximum supported size.")


def _check_sender(mailboxes: Mailboxes, mailbox: Mailbox, draft: Message) -> None:
    own = {mailbox.user.address.casefold()}
    own |= {str(address).casefold() for address in mailboxes.mode("send_as", (), mailbox.user.address)}
    if any(address.casefold() not in own for _, address in addresses_in(draft.fields(), "from")):
        raise MailError(
            403,
            "ErrorSendAsDenied",
            "The user account which was used to submit this request does not have the right to send mail on behalf "
            "of the specified sending account. Cannot submit message.",
        )


def _check_recipients(mailboxes: Mailboxes, mailbox: Mailbox, draft: Message) -> None:
    addresses = _recipients(draft)
    if not addresses:
        raise bad_request("At least one recipient is not valid., A message can't be sent because it contains no "
                          "recipients.", "ErrorInvalidRecipients")  # fmt: skip
    bad = [address for address in addresses if not all(address.partition("@")) or " " in address]
    if bad:
        raise bad_request("At least one recipient is not valid., Recipient is not resolved.", "ErrorInvalidRecipients")
    if len(addresses) > int(mailboxes.mode("recipient_limit", DEFAULT_RECIPIENT_LIMIT, mailbox.user.address)):
        raise bad_request("The message has too many recipients.", "ErrorExceededMaxRecipientLimit")


def _recipients(message: Message) -> list[str]:
    pairs = addresses_in(message.fields(), "toRecipients", "ccRecipients", "bccRecipients")
    return list({address.casefold(): address for _, address in pairs}.values())


def _submitted_mime(mailboxes: Mailboxes, mailbox: Mailbox, draft: Message) -> bytes:
    """Return the MIME text as it leaves: complete with Date, From and Message-ID."""
    raw, address = draft.mime(), mailbox.user.address
    present = header_names(raw)
    remove: list[str] = []
    add: list[tuple[str, str]] = []
    if "from" not in present:
        add.append(("From", f'"{mailbox.user.display_name}" <{address}>'))
    if "date" not in present:
        add.append(("Date", formatdate(mailboxes.world.clock())))
    if "message-id" not in present or mailboxes.mode("message_id_rewritten", address=address):
        remove.append("message-id")
        add.append(("Message-ID", f"<{uuid.uuid4().hex.upper()}@{address.rpartition('@')[2]}>"))
    if mailboxes.mode("marker_header_lost", address=address):
        remove.append(MARKER_HEADER)
    return change_headers(raw, remove, add) if add or remove else raw


def _deliver(mailboxes: Mailboxes, mailbox: Mailbox, draft: Message, raw: bytes) -> None:
    """Give every recipient a copy of its own, which names no hidden recipient."""
    public = change_headers(raw, remove=("bcc",))
    failed = []
    for address in _recipients(draft):
        trace = (
            f"Received: from {mailbox.user.address.rpartition('@')[2]} by mail.protection.outlook.com\r\n"
            f" with HTTPS id {uuid.uuid4().hex[:16]} for <{address}>; {formatdate(mailboxes.world.clock())}\r\n"
        )
        if not _deliver_copy(mailboxes, address, trace.encode("utf-8", "replace") + public):
            failed.append(address)
    if failed and mailboxes.mode("ndr", default=True, address=mailbox.user.address):
        _bounce(mailboxes, mailbox, raw, failed)


def _deliver_copy(mailboxes: Mailboxes, address: str, copy: bytes) -> bool:
    """Deliver to *address*; False where it is in one of our domains and nobody is there."""
    target = mailboxes.find(address)
    if target is not None and target.user.mailbox_state in ("enabled", "access_denied"):
        mailboxes.store(target, copy)
    elif target is not None or mailboxes.is_local(address):
        return False
    mailboxes.record_copy(address, copy, external=target is None)
    return True


def _bounce(mailboxes: Mailboxes, mailbox: Mailbox, raw: bytes, failed: Iterable[str]) -> None:
    report = non_delivery_report(raw, mailbox.user.address, list(failed), mailboxes.world.clock())
    stored = mailboxes.store(mailbox, report)
    if not mailboxes.mode("ndr_class_lost", address=mailbox.user.address):
        stored.extended[MESSAGE_CLASS_ID] = REPORT_CLASS


def _leave_drafts(mailboxes: Mailboxes, mailbox: Mailbox, draft: Message, raw: bytes, *, save_copy: bool) -> None:
    address, now = mailbox.user.address, mailboxes.world.clock()

    def leave() -> None:
        if mailbox.messages.get(draft.immutable_id) is draft:
            mailbox.remove(draft)

    def place_copy() -> None:
        leave()
        mailbox.add(_sent_copy(mailboxes, mailbox, draft, raw, now), mailbox.well_known["sentitems"])

    lingers = float(mailboxes.mode("draft_lingers_seconds", 0, address))
    delay = float(mailboxes.mode("sent_copy_delay_seconds", 0, address))
    wanted = save_copy and not mailboxes.mode("sent_copy_never", address=address)
    for wait, action in ((lingers, leave), *(((lingers + delay, place_copy),) if wanted else ())):
        if wait > 0:
            mailbox.later(now + wait, action)
        else:
            action()


def _sent_copy(mailboxes: Mailboxes, mailbox: Mailbox, draft: Message, raw: bytes, now: float) -> Message:
    address = mailbox.user.address
    changed = mailboxes.mode("id_changes_on_send", address=address)
    copy = Message(mailbox.new_message_id() if changed else draft.immutable_id, raw, now)
    copy.created_at, copy.submitted, copy.is_read = draft.created_at, True, True
    kept = ("categories", "flag", "inferenceClassification", "conversationId")
    copy.properties = {name: draft.properties[name] for name in kept if name in draft.properties}
    if not mailboxes.mode("marker_property_lost", address=address):
        copy.extended = dict(draft.extended)
    return copy

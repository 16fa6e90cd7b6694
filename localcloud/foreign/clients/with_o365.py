"""
Do with python-o365 what its users do with a mailbox; runs in that client's own environment.

Reads one JSON object from stdin (``client_id``, ``client_secret``, ``tenant``, ``mailbox``, ``colleague``,
``folder``: the name of one to make, ``scratch``: an empty folder on disk) and writes a line of JSON per step:
``step`` and ``saw``, or ``failed`` with the client's own words.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from O365 import Account, MSGraphProtocol
from O365.utils.token import MemoryTokenBackend

LARGE = b"o365 " * 700_000  # 3.5 MB: above the 3 MB from which this client opens an upload session, in two chunks
SMALL = "Grüße\n".encode("latin-1")


def sha256(content: bytes) -> str:
    """Return the hash in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


class Visit:
    """One run through the mailbox; each public method is a step, in the order of their definition."""

    def __init__(self, asked: dict[str, str]) -> None:
        self.asked = asked
        self.scratch = Path(asked["scratch"])
        self.account = self._account({})
        self.mailbox = self.account.mailbox()
        self.inbox = self.mailbox.inbox_folder()

    def _account(self, headers: dict[str, str]) -> Any:
        asked = self.asked
        return Account(
            (asked["client_id"], asked["client_secret"]),
            auth_flow_type="credentials",
            tenant_id=asked["tenant"],
            main_resource=asked["mailbox"],
            token_backend=MemoryTokenBackend(),
            protocol=MSGraphProtocol(timezone="UTC"),
            default_headers=headers,
            requests_delay=0,
        )

    def authenticates(self) -> bool:
        """Get a token by client credentials."""
        return bool(self.account.authenticate())

    def lists_folders(self) -> dict[str, Any]:
        """Create a folder, list all, find one by its name, read the inbox's counts."""
        self.mailbox.create_child_folder(self.asked["folder"])
        named = self.mailbox.get_folder(folder_name=self.asked["folder"])
        missing = self.mailbox.get_folder(folder_name="No such folder")
        self.inbox.refresh_folder()
        return {
            "names": [folder.name for folder in self.mailbox.get_folders()],
            "named": named and named.name,
            "missing": missing and missing.name,
            "ordered": [folder.name for folder in self.mailbox.get_folders(limit=3, order_by="displayName desc")],
            "inbox": [self.inbox.name, self.inbox.total_items_count, self.inbox.unread_items_count],
        }

    def changes_folders(self) -> dict[str, Any]:
        """Create, nest, rename, copy, move and delete folders."""
        outer = self.mailbox.create_child_folder("Außen")
        inner = outer.create_child_folder("Innen")
        renamed = inner.update_folder_name("Größer")
        with contextlib.suppress(ValueError):  # 2.1.10 asks rightly, then forgets the protocol for what it returns
            inner.copy_folder(outer.parent_id)
        copied = self.mailbox.get_folder(folder_name="Größer")
        target = self.mailbox.create_child_folder("Ziel")
        moved = inner.move_folder(target)
        seen = {
            "renamed": renamed,
            "copied": copied.folder_id != inner.folder_id,
            "moved": moved,
            "in_target": [folder.name for folder in target.get_folders()],
            "in_outer": [folder.name for folder in outer.get_folders()],
        }
        return {**seen, "deleted": copied.delete()}

    def lists_messages(self) -> dict[str, Any]:
        """List in pages and with the options that this client's queries make."""
        q = self.mailbox.new_query()
        since = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
        recent = q.chain_and(q.greater("receivedDateTime", since), q.equals("is_read", False))
        queries = {
            "unread": q.equals("isRead", False),
            "contains": q.contains("subject", "Übersicht"),
            "starts": q.startswith("subject", "Plain"),
            "from": q.equals("from", "zoe@elsewhere.example"),
            "has_files": q.equals("hasAttachments", True),
            "recent": recent & q.orderby(("receivedDateTime", False)),
            "selected": q.select("subject", "isRead"),
        }
        pages = self.inbox.get_messages(limit=None, batch=2)
        found = {name: [m.subject for m in self.inbox.get_messages(query=query)] for name, query in queries.items()}
        whole = self.mailbox.get_messages(limit=50, order_by="subject asc")
        return {"pages": [message.subject for message in pages], "whole": [m.subject for m in whole], **found}

    def reads_messages(self) -> list[dict[str, Any]]:
        """Read each message of the inbox whole: text, people, files, MIME text."""
        return [self._read(message) for message in self.inbox.get_messages(download_attachments=True)]

    def _read(self, message: Any) -> dict[str, Any]:
        again = self.mailbox.get_message(object_id=message.object_id)
        file = self.scratch / "saved.eml"
        message.save_as_eml(file)
        return {
            "subject": again.subject,
            "from": again.sender.address,
            "to": [recipient.address for recipient in again.to],
            "body_type": again.body_type,
            "text": again.get_body_text().strip() if "<body" in again.body else again.body.strip(),
            "received": again.received.isoformat(),
            "read": again.is_read,
            "sha256": sha256(file.read_bytes()),
            "files": [self._file(message, attachment) for attachment in message.attachments],
        }

    def _file(self, message: Any, attachment: Any) -> dict[str, Any]:
        if attachment.attachment_type == "item":
            nested = message.attachments.get_eml_as_object(attachment)
            mime = message.attachments.get_mime_content(attachment)
            return {"name": attachment.name, "nested": nested.subject, "sha256": sha256(mime)}
        kept = attachment.save(self.scratch, custom_name="file")
        return {
            "name": attachment.name,
            "sha256": sha256((self.scratch / "file").read_bytes()) if kept else None,
            "inline": attachment.is_inline,
            "content_id": attachment.content_id,
        }

    def marks_messages(self) -> dict[str, Any]:
        """Mark read and unread, categorise, flag."""
        message = self._one("Plain text")
        marked = [message.mark_as_read(), message.mark_as_unread(), message.mark_as_read()]
        message.add_category("Blue category")
        message.flag.set_flagged(due_date=dt.datetime(2030, 1, 2, tzinfo=dt.UTC))
        saved = message.save_message()
        again = self._one("Plain text")
        return {
            "marked": marked,
            "saved": saved,
            "read": again.is_read,
            "categories": again.categories,
            "flag": again.flag.status.name,
            "due": again.flag.due_date.isoformat(),
        }

    def files_messages(self) -> dict[str, Any]:
        """Copy, move by name and by folder, delete."""
        folder = self.mailbox.get_folder(folder_name=self.asked["folder"])
        message = self._one("To be filed")
        copy = message.copy(folder)
        before = message.object_id
        moved = message.move("archive")
        gone = self._one("To be deleted")
        return {
            "copied": [copy.subject, copy.folder_id == folder.folder_id, copy.object_id != before],
            "moved": [moved, message.object_id != before],
            "deleted": gone.delete(),
            "in_folder": [item.subject for item in folder.get_messages()],
        }

    def keeps_immutable_ids(self) -> dict[str, bool]:
        """Ask for immutable ids, move a message, and answer it, which asks for a time zone in the same header."""
        account = self._account({"Prefer": 'IdType="ImmutableId"'})
        account.authenticate()
        mailbox = account.mailbox()
        message = mailbox.get_message(query=mailbox.new_query().equals("subject", "With a mail"))
        before = message.object_id
        message.move("archive")
        moved = message.object_id == before
        draft = message.reply(to_all=False)
        found = mailbox.get_message(object_id=draft.object_id)
        return {
            "moved": moved,
            "answered": found.object_id == draft.object_id,
            "deleted": draft.delete(),
            "back": message.move("inbox"),
            "differs": self._one("With a mail").object_id != before,
        }

    def answers_messages(self) -> dict[str, Any]:
        """Reply to all, with a text of its own; forward with the files of the original."""
        original = self._one("Files Übersicht")
        reply = original.reply()
        reply.body = "<p>Danke!</p>"
        forward = original.forward()
        forward.to.add(self.asked["colleague"])
        return {
            "reply": [reply.subject, [item.address for item in reply.to], reply.is_draft, reply.send()],
            "forward": [forward.subject, forward.send()],
        }

    def sends_messages(self) -> dict[str, Any]:
        """Send at once with a small file, and without a copy of one's own."""
        message = self._new("o365 small")
        path = self.scratch / "klein ü.txt"
        path.write_bytes(SMALL)
        message.attachments.add(str(path))
        message.add_message_header("X-Order", "17")
        silent = self._new("o365 silent")
        return {"small": message.send(), "silent": silent.send(save_to_sent_folder=False)}

    def sends_large_files(self) -> dict[str, Any]:
        """Save a draft, remove a file of it, add a large one through an upload session, send."""
        message = self._new("o365 large")
        message.attachments.add([{"name": "wrong.txt", "content": base64.b64encode(b"x").decode()}])
        saved = message.save_draft()
        draft = self.mailbox.get_message(object_id=message.object_id, download_attachments=True)
        draft.attachments.remove("wrong.txt")
        path = self.scratch / "large.bin"
        path.write_bytes(LARGE)
        draft.attachments.add(str(path))
        return {"saved": saved, "changed": draft.save_draft(), "sent": draft.send(), "sha256": sha256(LARGE)}

    def meets_refusals(self) -> dict[str, str]:
        """Ask for what is not there; say what the client makes of the answer."""
        mailbox = self.mailbox
        unknown = self._one("Plain text").object_id[:-8] + "AAAAAAA="
        return {
            "message": refusal(lambda: mailbox.get_message(object_id=unknown)),
            "folder": refusal(lambda: mailbox.get_folder(folder_id="nowhere")),
            "again": refusal(lambda: mailbox.create_child_folder(self.asked["folder"])),
            "property": refusal(lambda: list(mailbox.get_messages(query="nonsense eq 1"))),
            "order": refusal(
                lambda: list(mailbox.get_messages(query="isRead eq false", order_by="receivedDateTime desc"))
            ),
        }

    def _new(self, subject: str) -> Any:
        message = self.mailbox.new_message()
        message.to.add(self.asked["colleague"])
        message.subject = subject
        message.body = "<p>Schöne Grüße</p>"
        return message

    def _one(self, subject: str) -> Any:
        return self.inbox.get_message(query=self.mailbox.new_query().equals("subject", subject))


def refusal(act: Callable[[], Any]) -> str:
    """Return the words with which the client reports that *act* was refused."""
    try:
        return f"not refused: {act()}"
    except Exception as error:  # noqa: BLE001 - whatever the client raises is what is asked for
        return str(error)


def main() -> None:
    """Do every step; one that fails does not keep the next from being tried."""
    visit = Visit(json.load(sys.stdin))
    for name, step in [(name, step) for name, step in vars(Visit).items() if not name.startswith("_")]:
        try:
            saw = json.dumps(step(visit))
            line = {"step": name, "saw": json.loads(saw)}
        except Exception as error:  # noqa: BLE001 - the test judges what the client could not do
            line = {"step": name, "failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()

"""
Do with mailsuite's Graph connection what its users do with a mailbox, and with msgraph-sdk below it a delta query.

Runs in that client's own environment. Reads one JSON object from stdin (``client_id``, ``client_secret``, ``tenant``,
``mailbox``, ``colleague``, ``folder``: the name of one to make, ``scratch``: an empty folder on disk) and writes a
line of JSON per step: ``step`` and ``saw``, or ``failed`` with the client's own words.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from azure.identity import ClientSecretCredential
from mailsuite.mailbox import MSGraphConnection
from msgraph import GraphServiceClient

SMALL = "Grüße\n".encode("latin-1")
INLINE = b"\x89PNG made up"


def subject_of(text: str) -> str:
    """Return the subject of a MIME text that came through as a string."""
    return str(message_from_bytes(text.encode(), policy=policy.default)["subject"])


class Visit:
    """One run through the mailbox; each public method is a step, in the order of their definition."""

    def __init__(self, asked: dict[str, str]) -> None:
        self.asked = asked
        self.delta_link = ""
        self.connection = MSGraphConnection(
            auth_method="ClientSecret",
            mailbox=asked["mailbox"],
            client_id=asked["client_id"],
            client_secret=asked["client_secret"],
            username=None,
            password=None,
            tenant_id=asked["tenant"],
            token_file=str(Path(asked["scratch"]) / "token"),
            allow_unencrypted_storage=True,
        )

    def tracks_changes_first(self) -> list[str]:
        """Walk the first round of a delta query to its link."""
        return asyncio.run(self._delta())

    def changes_folders(self) -> dict[str, Any]:
        """Create (twice: the second is no error), nest, rename, move with a new name, and delete folders."""
        connection = self.connection
        connection.create_folder(self.asked["folder"])
        connection.create_folder("Berichte")
        connection.create_folder("Berichte")
        connection.create_folder("Berichte/Ältere")
        connection.create_folder("Papier's Korb")
        connection.rename_folder("Berichte/Ältere", "Älteste")
        connection.move_folder("Berichte/Älteste", "Papier's Korb/Weg")
        names = ("Berichte", "Berichte/Älteste", "Papier's Korb/Weg", "Inbox", "inbox", "Nirgends")
        seen = {name: connection.folder_exists(name) for name in names}
        connection.delete_folder("Papier's Korb/Weg")
        return {**seen, "after deletion": connection.folder_exists("Papier's Korb/Weg")}

    def fetches_messages(self) -> dict[str, Any]:
        """List ids in pages, since a day and up to a number; read each as MIME text."""
        connection = self.connection
        ids = connection.fetch_messages("Inbox")
        texts = {found: connection.fetch_message(found) for found in ids}
        return {
            "count": len(ids),
            "at_most": len(connection.fetch_messages("Inbox", batch_size=3)),
            "since": len(connection.fetch_messages("Inbox", since="2030-01-01T00:00:00Z")),
            "in_folder": len(connection.fetch_messages(self.asked["folder"])),
            "subjects": [subject_of(text) for text in texts.values()],
            "sha256": [hashlib.sha256(text.encode()).hexdigest() for text in texts.values()],
        }

    def files_messages(self) -> None:
        """Mark read, move and delete."""
        connection = self.connection
        found = {subject_of(connection.fetch_message(item)): item for item in connection.fetch_messages("Inbox")}
        connection.fetch_message(found["Plain text"], mark_read=True)
        connection.move_message(found["To be filed"], self.asked["folder"])
        connection.delete_message(found["To be deleted"])
        connection.keepalive()

    def sends_messages(self) -> None:
        """Send at once with files, and without a copy of one's own."""
        colleague = self.asked["colleague"]
        files = [("klein ü.txt", SMALL), ("bild.png", INLINE)]
        self.connection.send_message(
            self.asked["mailbox"], [colleague], subject="mailsuite small", attachments=files, html_message="<p>ü</p>"
        )
        self.connection.send_message(
            self.asked["mailbox"],
            message_bcc=[colleague],
            subject="mailsuite silent",
            plain_message="ü",
            save_to_sent_items=False,
        )

    def meets_refusals(self) -> list[str]:
        """Ask for what is not there; say what the client makes of the answer."""
        connection, refusals = self.connection, []
        for act, name in ((connection.fetch_message, "nothing"), (connection.fetch_messages, "Nirgends")):
            try:
                act(name)
            except Exception as error:  # noqa: BLE001 - whatever the client raises is what is asked for
                refusals.append(f"{type(error).__name__} {getattr(getattr(error, 'error', None), 'code', '')}".strip())
        return refusals

    def tracks_changes_again(self) -> list[str]:
        """Ask what has changed since the first round."""
        return asyncio.run(self._delta())

    async def _delta(self) -> list[str]:
        """Return subjects, and ``removed`` for what has left; remember the link that the round ended with."""
        asked = self.asked
        credential = ClientSecretCredential(asked["tenant"], asked["client_id"], asked["client_secret"])
        client = GraphServiceClient(credential, ["https://graph.microsoft.com/.default"])
        delta = client.users.by_user_id(asked["mailbox"]).mail_folders.by_mail_folder_id("inbox").messages.delta
        page = await (delta.with_url(self.delta_link) if self.delta_link else delta).get()
        found = list(page.value)
        while page.odata_next_link:
            page = await delta.with_url(page.odata_next_link).get()
            found += page.value
        self.delta_link = page.odata_delta_link
        return ["removed" if "@removed" in item.additional_data else item.subject for item in found]


def main() -> None:
    """Do every step; one that fails does not keep the next from being tried."""
    visit = Visit(json.load(sys.stdin))
    for name, step in [(name, step) for name, step in vars(Visit).items() if not name.startswith("_")]:
        try:
            line = {"step": name, "saw": step(visit)}
        except Exception as error:  # noqa: BLE001 - the test judges what the client could not do
            line = {"step": name, "failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()

"""Uses the Microsoft Graph connection of mailsuite."""

import os
from collections.abc import Callable

from mailsuite.mailbox.graph import MSGraphConnection

from bench.peers.worker import Account, Box, Letter, Shelf, serve


class MailsuiteBox:
    """A mailbox in sequence."""

    def __init__(self, connection: MSGraphConnection) -> None:
        self._connection = connection

    def fetch(self, shelf: Shelf) -> None:
        """Keep every mail, which this client gives as text only, then mark it read."""
        for message_id in self._connection.fetch_messages("inbox"):
            shelf.keep(self._connection.fetch_message(message_id).encode())
            self._connection.mark_message_read(message_id)

    def send(self, letters: list[Letter]) -> None:
        """Send one after another."""
        for letter in letters:
            self._connection.send_message(
                self._connection.mailbox_name,
                message_to=[letter.to],
                subject=letter.subject,
                html_message=letter.html,
                attachments=[(letter.name, letter.content)],
            )


def connect(account: Account) -> Callable[[str], Box]:
    """Return what makes a connection, which is for one mailbox, and gets its token and folder."""

    def opens(address: str) -> Box:
        connection = MSGraphConnection(
            auth_method="ClientSecret",
            mailbox=address,
            client_id=account.client_id,
            client_secret=account.secret,
            username=None,
            password=None,
            tenant_id=account.tenant,
            token_file=os.devnull,  # only other ways of authenticating write it
            allow_unencrypted_storage=False,
        )
        connection.fetch_messages("inbox", batch_size=1)
        return MailsuiteBox(connection)

    return opens


if __name__ == "__main__":
    serve(connect)

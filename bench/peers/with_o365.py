"""Uses python-o365 as its documentation does; the way is its `requests_delay` in milliseconds."""

import io
from collections.abc import Callable

import O365
from O365.utils.token import MemoryTokenBackend

from bench.peers.worker import Account, Box, Letter, Shelf, serve


class O365Box:
    """A mailbox in sequence."""

    def __init__(self, account: O365.Account, address: str) -> None:
        self._mailbox = account.mailbox(resource=address)

    def fetch(self, shelf: Shelf) -> None:
        """Keep every mail, then mark it read."""
        for message in list(self._mailbox.inbox_folder().get_messages(limit=None)):
            shelf.keep(message.get_mime_content())
            message.mark_as_read()

    def send(self, letters: list[Letter]) -> None:
        """Send one after another."""
        for letter in letters:
            message = self._mailbox.new_message()
            message.to.add(letter.to)
            message.subject, message.body = letter.subject, letter.html
            message.attachments.add([(io.BytesIO(letter.content), letter.name)])
            message.send()


def connect(account: Account) -> Callable[[str], Box]:
    """Get a token."""
    client = O365.Account(
        (account.client_id, account.secret),
        auth_flow_type="credentials",
        tenant_id=account.tenant,
        requests_delay=int(account.way),
        token_backend=MemoryTokenBackend(),
    )
    if not client.authenticate():
        raise ValueError("python-o365 got no token")

    def opens(address: str) -> Box:
        box = client.mailbox(resource=address)
        list(box.inbox_folder().get_messages(limit=1))
        return O365Box(client, address)

    return opens


if __name__ == "__main__":
    serve(connect)

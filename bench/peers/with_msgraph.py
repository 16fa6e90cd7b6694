"""
Uses Microsoft's msgraph-sdk.

Fetching: ``naive`` (in sequence), ``tuned`` (whole pages with attachments, kept in memory only, marked by ``$batch``),
``same`` (originals four at a time, marked by ``$batch``). Sending: ``naive`` (in sequence), ``gather`` (all at once).
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from azure.identity import ClientSecretCredential
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph import GraphServiceClient
from msgraph.generated.models.body_type import BodyType
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.file_attachment import FileAttachment
from msgraph.generated.models.item_body import ItemBody
from msgraph.generated.models.message import Message
from msgraph.generated.models.recipient import Recipient
from msgraph.generated.users.item.mail_folders.item.messages.messages_request_builder import MessagesRequestBuilder
from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody
from msgraph_core.requests.batch_request_content import BatchRequestContent
from msgraph_core.requests.batch_request_item import BatchRequestItem

from bench.peers.worker import Account, Box, Letter, Shelf, serve

AT_ONCE = 4
STEPS = 20
ROOT = "https://graph.microsoft.com/v1.0"
Query = MessagesRequestBuilder.MessagesRequestBuilderGetQueryParameters


class MsgraphBox:
    """A mailbox, used in one of the ways."""

    def __init__(self, client: GraphServiceClient, address: str, way: str, loop: asyncio.AbstractEventLoop) -> None:
        self._client, self._way, self._loop = client, way, loop
        self._user = client.users.by_user_id(address)
        self._inbox = self._user.mail_folders.by_mail_folder_id("inbox").messages

    def fetch(self, shelf: Shelf) -> None:
        """Fetch every mail in the way asked for."""
        ways: dict[str, Callable[[Shelf], Coroutine[Any, Any, None]]] = {
            "naive": self._one_by_one,
            "tuned": self._in_memory,
            "same": self._four_at_a_time,
        }
        self._loop.run_until_complete(ways[self._way](shelf))

    def send(self, letters: list[Letter]) -> None:
        """Send one after another, or all at once; raises the first error once all have ended."""
        self._loop.run_until_complete(self._all_at_once(letters) if self._way == "gather" else self._in_turn(letters))

    async def look(self) -> None:
        """Ask for one id, so that there are a token and a connection."""
        await self._inbox.get(_asking(top=1, select=["id"]))

    async def _one_by_one(self, shelf: Shelf) -> None:
        page = await self._inbox.get()
        while page:
            for message in page.value:
                one = self._user.messages.by_message_id(message.id)
                shelf.keep(await one.content.get())
                await one.patch(Message(is_read=True))
            page = await self._inbox.with_url(page.odata_next_link).get() if page.odata_next_link else None

    async def _in_memory(self, _: Shelf) -> None:
        page = await self._inbox.get(_asking(top=100, expand=["attachments"]))
        await self._mark([message.id for message in page.value])

    async def _four_at_a_time(self, shelf: Shelf) -> None:
        page = await self._inbox.get(_asking(top=100, select=["id"]))
        gate = asyncio.Semaphore(AT_ONCE)

        async def keep(message_id: str) -> None:
            async with gate:
                mime = await self._user.messages.by_message_id(message_id).content.get()
            await asyncio.to_thread(shelf.keep, mime)

        found = [message.id for message in page.value]
        await asyncio.gather(*(keep(message_id) for message_id in found))
        await self._mark(found)

    async def _mark(self, found: list[str]) -> None:
        """Mark mails read, twenty in a request."""
        for start in range(0, len(found), STEPS):
            batch = BatchRequestContent()
            for message_id in found[start : start + STEPS]:
                one = self._user.messages.by_message_id(message_id)
                step = BatchRequestItem(one.to_patch_request_information(Message(is_read=True)))
                step.url = step.url.removeprefix(ROOT)  # its own set_url leaves the version in
                batch.add_request(step.id, step)
            answer = await self._client.batch.post(batch)
            if any(done.status != 200 for done in answer.responses.values()):
                raise ValueError("a mail was not marked")

    async def _in_turn(self, letters: list[Letter]) -> None:
        for letter in letters:
            await self._user.send_mail.post(_posted(letter))

    async def _all_at_once(self, letters: list[Letter]) -> None:
        sends = [self._user.send_mail.post(_posted(letter)) for letter in letters]
        failed = [done for done in await asyncio.gather(*sends, return_exceptions=True) if done is not None]
        if failed:
            raise failed[0]


def _asking(**parameters: Any) -> Any:
    return RequestConfiguration(query_parameters=Query(**parameters))


def _posted(letter: Letter) -> SendMailPostRequestBody:
    file = FileAttachment(odata_type="#microsoft.graph.fileAttachment", name=letter.name, content_bytes=letter.content)
    message = Message(
        subject=letter.subject,
        body=ItemBody(content_type=BodyType.Html, content=letter.html),
        to_recipients=[Recipient(email_address=EmailAddress(address=letter.to))],
        attachments=[file],
    )
    return SendMailPostRequestBody(message=message, save_to_sent_items=True)


def connect(account: Account) -> Callable[[str], Box]:
    """Return what opens a mailbox with one client for all."""
    loop = asyncio.new_event_loop()
    credential = ClientSecretCredential(account.tenant, account.client_id, account.secret)
    client = GraphServiceClient(credential, ["https://graph.microsoft.com/.default"])

    def opens(address: str) -> Box:
        box = MsgraphBox(client, address, account.way, loop)
        loop.run_until_complete(box.look())
        return box

    return opens


if __name__ == "__main__":
    serve(connect)

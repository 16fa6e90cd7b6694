"""What a soak is played on: two hosts on one storage that is kept in a folder, two tenants, and many connections."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from localcloud.faults.intake import FORMS
from localcloud.faults.sending import WITHOUT_DRAFTS
from localcloud.host.clock import OFFSET
from localcloud.processes import HostProcess
from localcloud.receiver import Receiver
from localcloud.soak.mails import TEMPLATE
from localcloud.soak.model import Box, Model, Reader
from localcloud.soak.schedule import HOOKED, READERS, SENDERS
from localcloud.stack import Stack
from localcloud.story import Organisation, Story

# A host stands still for longer than a lease, and less than the quiet period: within it Exchange acts, or never.
PERIODS = {
    "TURN_LEASE_SECONDS": "6",
    "SEND_QUIET_SECONDS": "15",
    "SEND_LOOK_SECONDS": "2",
    "SEND_LOOK_GAP_SECONDS": "2",
    "DELIVERY_RETRY_SECONDS": "0.05",
    "CONSENT_RECHECK_SECONDS": "0.2",
    "LOCAL_HOST_QUEUE_LEASE_SECONDS": "6",
    "LOCAL_HOST_QUEUE_POLL_SECONDS": "0.3",
}
_AGAIN = {"second_send_delivers_again": True}
WAYS: dict[str, dict[str, Any]] = {
    "plain0": {},
    "plain1": _AGAIN,
    "again": _AGAIN,
    "renamed": {**_AGAIN, "id_changes_on_send": True},
    "late": {**_AGAIN, "sent_copy_delay_seconds": 4},
    "lingers": {**_AGAIN, "draft_lingers_seconds": 1.5},
}
"""How the mailboxes of senders behave."""
_ANSWER_SECONDS = 15.0
MAKING_SECONDS = 25.0


class UnansweredError(Exception):
    """No host gave an answer in time."""


@dataclass
class Stage:
    """The running product of a soak; use as a context manager. *over* ends whatever waits for an answer."""

    location: Path
    say: Callable[[str], None]
    model: Model = field(default_factory=Model)
    over: bool = False
    refusals: dict[str, int] = field(default_factory=dict)
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        """Start everything and connect every mailbox."""
        try:
            self.stack = self._open.enter_context(Stack(PERIODS, self.say, forked=True, location=self.location))
            second = self.stack.second_host()
            self._open.callback(second.close)
            self.hosts: list[HostProcess] = [self.stack.host, second]
            second.start()
            self._clients = [self._client(host) for host in self.hosts]
            self._found()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything."""
        self._open.close()

    @property
    def receiver(self) -> Receiver:
        """The software that receives mail."""
        return self.stack.receiver

    def ask(
        self, method: str, path: str, body: Any = None, *, host: int = 0, token: str = "", key: str = ""
    ) -> httpx.Response:
        """Call one host once, as an administrator or with a *token*; raises httpx.TransportError."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {"Idempotency-Key": key} if key else {}
        if not token:
            headers |= {"x-functions-key": self.hosts[host].host_key, "X-Mailgrant-Request": "1"}
        content = {} if method == "GET" else {"json": {} if body is None else body}
        return self._clients[host].request(method, path, headers=headers, **content)  # type: ignore[arg-type]

    def insist(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        host: int = 0,
        seconds: float = 45.0,
        token: str = "",
        key: str = "",
    ) -> httpx.Response:
        """
        Call one host after the other until one answers with more than that it cannot now.

        Raises:
            UnansweredError: none did in time.
        """
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            with contextlib.suppress(httpx.TransportError):
                answer = self.ask(method, path, body, host=host, token=token, key=key)
                if answer.status_code < 500 and answer.status_code != 429:
                    return answer
            host = 1 - host
            time.sleep(0.4)
        raise UnansweredError(f"{method} {path.partition('/')[0]}")

    def connect_reader(self, reader: Reader, start: Any, *, host: int = 0) -> None:
        """Make a connection that reads, or adopt the one that an answer that was lost had made."""
        owner = self.organisations[0]
        path = f"{reader.person}-{self.model.next_number()}"
        body = {
            "direction": "incoming",
            "grant_id": owner.grant["id"],
            "mailbox": reader.address,
            "name": f"{reader.person} is read",
            "folder": "inbox",
            "interval_minutes": 1,
            "start": start,
            "after_fetch": FORMS[reader.form][0],
            "destination": {"type": "webhook", "url": self.receiver.url(path)},
        }
        made = self._made(body, lambda: self._made_unseen(reader), host)
        path = str(made["destination"]["url"]).rpartition("/")[2]
        with self.model.lock:
            reader.adopt(made["id"], continues=isinstance(made["start"], dict) and "continue_from" in made["start"])
        self.receiver.secrets[path] = made.get("signing_secret") or self.new_secret(made["id"], 0, host=host)

    def new_secret(self, connection_id: str, overlap: int, *, host: int = 0) -> str:
        """Rotate a signing secret and return the new one."""
        path = f"connections/{connection_id}/signing-secret/rotate"
        answer = self.insist("POST", path, {"overlap_hours": overlap}, host=host)
        if answer.status_code == 409:
            answer = self.insist("POST", path, {"overlap_hours": 0}, host=host)
        return str(answer.raise_for_status().json()["signing_secret"])

    def connect_sender(self, person: str, *, host: int = 0) -> None:
        """Make a connection that sends, with a token."""
        owner = self.organisations[1 if person.startswith("direct") else 0]
        address = owner.address(person)
        name = f"{person} sends {self.model.next_number()}"
        body = {
            "direction": "outgoing",
            "grant_id": owner.grant["id"],
            "mailbox": address,
            "name": name,
            "send_rate": 0,
            "recipient_allow_list": ["@outside.example"],  # a hook lets its callers name the recipients
        }
        made = self._made(body, lambda: None, host)
        token = self.insist("POST", f"connections/{made['id']}/tokens", {"scope": "send"}, host=host)
        box = Box(person, address, made["id"], token.raise_for_status().json()["token"])
        box.hook = self._hook(made["id"], host) if person in HOOKED else ""
        with self.model.lock:
            self.model.boxes[person] = box

    def _hook(self, connection_id: str, host: int) -> str:
        """Make a hook, whose calls name their mail by number; return its secret part."""
        path = f"connections/{connection_id}"
        self.insist("PUT", f"{path}/templates/order", TEMPLATE, host=host).raise_for_status()
        hook = {"template": "order", "dedupe_key": "{{ payload.number }}"}
        made = self.insist("POST", f"{path}/hooks", hook, host=host)
        return str(made.raise_for_status().json()["url"]).rpartition("/")[2]

    def path_of(self, person: str) -> str:
        """Return the newest path of a person's connections at the receiver."""
        return next(path for path in reversed(list(self.receiver.secrets)) if path.startswith(f"{person}-"))

    def restart_hosts(self, offset: float = 0.0) -> None:
        """End both hosts, and start them with their clocks *offset* seconds ahead."""
        for host in self.hosts:
            host.kill()
            host.change_environment({OFFSET: str(offset)})
        for host in self.hosts:
            host.start()

    def listed(self, path: str, **params: str) -> list[dict[str, Any]]:
        """Return a whole list of the API."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            query = "&".join(f"{name}={value}" for name, value in {**params, "limit": "200"}.items())
            page = self.insist("GET", f"{path}?{query}{f'&cursor={cursor}' if cursor else ''}").json()
            found += page["data"]
            cursor = page["next_cursor"] or ""
            if not cursor:
                return found

    def _made(self, body: dict[str, Any], unseen: Callable[[], dict[str, Any] | None], host: int) -> dict[str, Any]:
        """Make a connection, again and again while its grant is in trouble, or find what a lost answer has made."""
        ends = time.monotonic() + MAKING_SECONDS
        while True:
            answer = self.insist("POST", "connections", body, host=host)
            made: dict[str, Any] | None = answer.json() if answer.status_code == 201 else unseen()
            if made is not None:
                return made
            if time.monotonic() > ends:
                raise UnansweredError(f"connection refused with {answer.status_code}: {answer.json().get('code')}")
            time.sleep(1)

    def _made_unseen(self, reader: Reader) -> dict[str, Any] | None:
        found = self.listed("connections", direction="incoming")
        mine = [one for one in found if one["mailbox"]["address"] == reader.address]
        return next((one for one in mine if one["id"] not in reader.lineages), None)

    def _client(self, host: HostProcess) -> httpx.Client:
        limits = httpx.Limits(max_keepalive_connections=0)
        client = httpx.Client(base_url=f"{host.url}/api/", trust_env=False, timeout=_ANSWER_SECONDS, limits=limits)
        self._open.callback(client.close)
        return client

    def _found(self) -> None:
        """Have two tenants consent, the second without the right to make drafts, and connect every mailbox."""
        story = Story(self.stack)
        plain = [person for person in SENDERS if not person.startswith("direct")]
        direct = [person for person in SENDERS if person.startswith("direct")]
        first = story.found("contoso.example", "Contoso", [*READERS, *plain])
        second = story.found("fabrikam.example", "Fabrikam", direct)
        self.organisations: list[Organisation] = [first, second]
        self.say("Two tenants consent")
        for one in self.organisations:
            story.register(one)
            if one is second:
                self.stack.control.change_registration(one.client_id, required_roles=WITHOUT_DRAFTS)
            story.accept(one)
        story.await_status(first, "active")
        story.await_status(second, "partial")
        self.say(f"{len(READERS)} mailboxes are read, {len(SENDERS)} send")
        for person in READERS:
            reader = Reader(person, first.address(person), person.rstrip("0123456789"))
            self.model.readers[person] = reader
            self.connect_reader(reader, "all")
        for person in SENDERS:
            self.connect_sender(person)
            address = self.model.boxes[person].address
            if ways := WAYS.get(person):
                self.stack.control.set_modes(**{f"{name}:{address}": value for name, value in ways.items()})
